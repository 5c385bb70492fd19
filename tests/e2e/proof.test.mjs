// SPDX-License-Identifier: Apache-2.0
// proof.test.mjs - the agent notices that its gate was tampered with behind its
// back, says so, repairs it, and says that as well.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { startSink } from './servers.mjs';

const bpftool = fs.existsSync('/usr/sbin/bpftool') ? '/usr/sbin/bpftool' : 'bpftool';
const bytes = (list) => list.map((b) => (typeof b === 'string' ? String(Number(b)) : String(b)));

describe('self-proof', needs(), () => {
	let agent, sink, inside;
	const pin = (name) => path.join(agent.dir, 'bpf/zerogate', name);
	const bpf = (...args) => execFileSync(bpftool, ['-j', ...args], { encoding: 'utf8', maxBuffer: 1 << 24 });
	const status = async () => JSON.parse((await agent.zg(['--json', 'status'])).stdout);
	const refused = async () => assert.equal((await inside.do('dial', { host: '127.0.0.1', port: sink.port })).error?.code, 'EPERM');
	const proofs = () => agent.records().filter((r) => r.kind === 'agent.self_proof');

	before(async () => {
		sink = await startSink();
		agent = await startAgent({
			allow: [{ cidr: '127.0.0.9/32', port: 9 }, { cidr: '10.9.0.0/16', port: 9 }, { host: 'proof.example', port: 9 }, { unix: '/run/zg-proof/*' }],
			more: '    exec: {deny: [/bin/true, /usr/bin/env]}\n  held:\n    cgroups: ["held.slice"]\n',
		});
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await sink?.close();
	});

	const rows = (table) => JSON.parse(bpf('map', 'dump', 'pinned', pin(table)));
	const put = (table, key, value) => bpf('map', 'update', 'pinned', pin(table), 'key', ...bytes(key), 'value', ...bytes(value));
	const text = (list) => String.fromCharCode(...list.map(Number));

	// Tampers, then asks the doctor, who must name what was wrong; after that
	// all is as before, and the record tells both.
	async function foundAndRepaired(tamper, what) {
		const told = proofs().length, before = await status();
		await tamper();
		const answer = await agent.zg(['doctor']);
		assert.equal(answer.code, 1, answer.stdout);
		assert.match(answer.stderr, what);
		const now = await status();
		assert.match(now.enforcement, /^(full|degraded: )/, 'it was repaired');
		assert.ok(now.proofs_failed > before.proofs_failed);
		const records = await until(() => proofs().slice(told).length >= 2 && proofs().slice(told), 'both records');
		assert.match(records[0].reason, /^broken: /);
		assert.match(records[0].reason, what);
		assert.match(records.at(-1).reason, /^(full|degraded: )/);
		await refused();
		assert.equal((await agent.zg(['doctor'])).code, 0, 'the next look finds nothing');
	}

	test('it is proved before the agent is ready, and the record says so', async () => {
		const { proofs: rounds, proofs_failed, proved_ns, enforcement } = await status();
		assert.ok(rounds >= 1 && proved_ns > 0);
		assert.equal(proofs_failed, 0);
		const record = await agent.record((r) => r.kind === 'agent.self_proof', 'agent.self_proof');
		assert.equal(record.reason, enforcement);
	});

	test('its own refused connections are nobody\'s denials', async () => {
		const before = await status();
		assert.equal((await agent.zg(['doctor'])).code, 0);
		const now = await status();
		assert.ok(now.proofs > before.proofs);
		assert.equal(now.denials, before.denials);
		assert.deepEqual(agent.records().filter((r) => r.kind === 'kernel.deny' && /canary/.test(r.cgroup)), []);
	});

	test('a link that was unpinned', () => foundAndRepaired(() => fs.unlinkSync(pin('link_zg_connect4')), /zg_connect4/));

	test('a link that was detached', () => foundAndRepaired(() => {
		bpf('link', 'detach', 'pinned', pin('link_zg_egress'));
	}, /zg_egress/));

	test('status alone sees a program that is gone', async () => {
		const { enforcement } = await status();
		bpf('link', 'detach', 'pinned', pin('link_zg_sendmsg6'));
		assert.match((await status()).enforcement, /^broken: .*zg_sendmsg6/);
		await until(async () => (await status()).enforcement === enforcement, 'the repair');
	});

	test('a governed cgroup that was taken out of the table', () => foundAndRepaired(() => {
		for (const { key } of JSON.parse(bpf('map', 'dump', 'pinned', pin('zg_member'))))
			bpf('map', 'delete', 'pinned', pin('zg_member'), 'key', ...bytes(key));
	}, /governed cgroup/));

	test('a rule that was deleted', () => foundAndRepaired(() => {
		const [{ key }] = JSON.parse(bpf('map', 'dump', 'pinned', pin('zg_rule')));
		bpf('map', 'delete', 'pinned', pin('zg_rule'), 'key', ...bytes(key));
	}, /rule/));

	test('a rule that was widened', () => foundAndRepaired(() => {
		const [{ key, value }] = JSON.parse(bpf('map', 'dump', 'pinned', pin('zg_rule')));
		bpf('map', 'update', 'pinned', pin('zg_rule'), 'key', ...bytes(key), 'value', ...bytes(value.with(8, 0).with(9, 0).with(10, 255).with(11, 255).with(12, 1)));
	}, /rule/));

	for (const table of ['zg_host', 'zg_addr']) {
		test(`an address that was deleted from ${table}`, () => foundAndRepaired(() => {
			const [{ key }] = JSON.parse(bpf('map', 'dump', 'pinned', pin(table)));
			bpf('map', 'delete', 'pinned', pin(table), 'key', ...bytes(key));
		}, /address/));

		test(`an address that was added to ${table}`, () => foundAndRepaired(() => {
			const [{ key, value }] = JSON.parse(bpf('map', 'dump', 'pinned', pin(table)));
			bpf('map', 'update', 'pinned', pin(table), 'key', ...bytes(key.with(10, 7)), 'value', ...bytes(value));
		}, /addresses does not have as many/));
	}

	test('a profile that was set to let everything pass', () => foundAndRepaired(() => {
		for (const { key, value } of rows('zg_profile').filter((r) => text(r.value).includes('agent')))
			put('zg_profile', key, value.with(0, 1));
	}, /profile/));

	test('containment that was lifted, or made up, in the table', async () => {
		const contained = async () => (await status()).contained;
		const set = (bit) => {
			for (const { key, value } of rows('zg_profile').filter((r) => text(r.value).includes('held')))
				put('zg_profile', key, value.with(1, bit));
		};
		const inForce = () => rows('zg_profile').filter((r) => text(r.value).includes('held') && Number(r.value[1])).length;
		assert.equal((await agent.zg(['contain', 'held'])).code, 0);
		await foundAndRepaired(() => set(0), /contained profile is open/);
		assert.ok(inForce() >= 1, 'it is closed again');
		assert.equal(await contained(), 'held');
		assert.equal((await agent.zg(['resume', 'held'])).code, 0);
		await foundAndRepaired(() => set(1), /profile is contained/);
		assert.equal(await contained(), '');
	});

	test('a unix socket that was deleted', () => foundAndRepaired(() => {
		const { key } = rows('zg_unix').find((r) => text(r.key).includes('/run/zg-proof/'));
		bpf('map', 'delete', 'pinned', pin('zg_unix'), 'key', ...bytes(key));
	}, /unix socket/));

	test('another port of the gateway', () => foundAndRepaired(() => {
		const [{ key, value }] = rows('zg_ctl');
		put('zg_ctl', key, value.with(57, Number(value[57]) ^ 1)); // gateway4_port_be
	}, /gateway is elsewhere/));

	test('a connection that got past missing programs is found, told and ended', async () => {
		const before = await status();
		const worker = await agent.inside();
		for (const name of ['connect4', 'egress', 'ingress', 'lsm_connect'].filter((n) => fs.existsSync(pin(`link_zg_${n}`))))
			bpf('link', 'detach', 'pinned', pin(`link_zg_${name}`));
		const held = worker.do('raw', { host: '127.0.0.1', port: sink.port });
		await until(() => sink.connections === 1, 'the connection, with nothing to hold it');
		const record = await agent.record((r) => r.kind === 'server.unknown', 'server.unknown');
		assert.equal(record.port, sink.port);
		assert.equal(record.address, '127.0.0.1');
		assert.match(record.message, /was ended/);
		assert.match(record.cgroup, /zerogate\.slice/);
		assert.match((await held).error?.code, /^ECONN(ABORTED|RESET)$/, 'its owner notices');
		assert.equal((await status()).unknown_servers, before.unknown_servers + 1, 'told once');
		assert.equal((await agent.zg(['doctor'])).code, 1, 'and the programs are put back');
		await refused();
	});

	test('nobody asks: within its minute it finds what is gone, puts it back and records both', async () => {
		const told = proofs().length;
		fs.unlinkSync(pin('link_zg_connect4'));
		const records = await until(() => proofs().slice(told).length >= 2 && proofs().slice(told), 'both records', 300000);
		assert.match(records[0].reason, /^broken: .*zg_connect4/);
		assert.match(records.at(-1).reason, /^(full|degraded: )/);
		assert.ok(fs.existsSync(pin('link_zg_connect4')));
		await refused();
	});

	test('a canary that died is replaced', async () => {
		await agent.kill('canary');
		assert.equal((await agent.zg(['doctor'])).code, 0);
		assert.equal(agent.pids('canary').length, 1);
	});
});
