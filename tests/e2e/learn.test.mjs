// SPDX-License-Identifier: Apache-2.0
// learn.test.mjs - from audit mode to an allowlist: what `zerogate network
// learn` prints is put into zerogate.yaml, and the same traffic then passes in
// enforce mode, and nothing else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, within } from './agent.mjs';
import { freePort, startSink } from './servers.mjs';

const METADATA = '169.254.169.254';

async function fetchFrom(port) {
	const socket = net.connect(port, '127.0.0.1');
	let text = '';
	socket.on('data', (chunk) => { text += chunk; });
	socket.on('error', () => {});
	await within(once(socket, 'close'), 'the served connection to end');
	return text;
}

describe('network learn', needs(), () => {
	let agent, inside, learned, port;
	const sinks = [];

	// The traffic of a workload; which of it was refused.
	async function traffic() {
		const refused = [];
		for (const host of ['127.0.0.1', '::1'])
			for (const sink of sinks)
				if ((await inside.do('dial', { host, port: sink.port })).error?.code === 'EPERM')
					refused.push(`${host} ${sink.port}`);
		if ((await inside.do('udp', { host: '127.0.0.1', port: sinks[0].port })).error)
			refused.push('udp');
		if ((await inside.do('serve', { name: 'service', host: '127.0.0.1', port })).error)
			refused.push('serve');
		else if (await fetchFrom(port) !== 'served')
			refused.push('served');
		await inside.do('stop', { name: 'service' }).catch(() => {});
		return refused;
	}

	before(async () => {
		sinks.push(await startSink(), await startSink());
		port = await freePort();
		agent = await startAgent({ mode: 'audit' });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all(sinks.map((s) => s.close()));
	});

	test('what audit mode let pass is printed as entries', async () => {
		assert.deepEqual(await traffic(), []);
		await inside.do('raw', { host: METADATA, port: 80, timeout: 200 }).catch(() => {});
		await agent.record((r) => r.kind === 'kernel.would_deny' && r.address === METADATA, 'would_deny of the metadata address');
		await agent.record((r) => r.kind === 'kernel.would_deny' && r.port === port && r.layer === 'bind', 'would_deny of bind');
		const { code, stdout, stderr } = await agent.zg(['network', 'learn', '--profile', 'agent']);
		assert.equal(code, 0, stderr);
		learned = stdout;
		const ports = sinks.map((s) => s.port).sort((a, b) => a - b);
		const list = ports[1] === ports[0] + 1 ? `"${ports[0]}-${ports[1]}"` : ports.join(', ');
		for (const cidr of ['127.0.0.1/32', '::1/128'])
			assert.ok(stdout.includes(`      - {cidr: "${cidr}", port: [${list}]} # `), stdout);
		assert.ok(stdout.includes(`      - {cidr: "127.0.0.1/32", port: [${sinks[0].port}], proto: udp} # 1 times, by node`), stdout);
		assert.match(stdout, new RegExp(`    listen:\\n      - \\{from: "127.0.0.1/32", port: \\[${port}\\]\\} # `));
	});

	test('what hands out credentials is a comment with a warning', () => {
		const lines = learned.split('\n').filter((l) => l.includes(METADATA));
		assert.equal(lines.length, 1, learned);
		assert.match(lines[0], /^ {6}# - \{cidr: "169\.254\.169\.254\/32", port: \[80\]\} # .*WARNING/);
	});

	test('the folder alone says the same, and --since leaves out what is older', async () => {
		const offline = await agent.zg(['network', 'learn', '--profile', 'agent', '--audit', path.join(agent.dir, 'state/audit')]);
		assert.equal(offline.code, 0, offline.stderr);
		assert.equal(offline.stdout, learned);
		assert.equal((await agent.zg(['network', 'learn', '--since', '1h'])).stdout, learned);
		for (const args of [['--since', '2999-01-01'], ['--profile', 'other']])
			assert.match((await agent.zg(['network', 'learn', ...args])).stdout, /^# nothing was recorded/);
		assert.equal((await agent.zg(['network', 'learn', '--since', 'yesterday'])).code, 2);
		assert.equal((await agent.zg(['network', 'learn', '--audit', '/nonexistent'])).code, 2);
	});

	test('pasted into zerogate.yaml it loads, and allows that traffic and no other', async () => {
		const text = fs.readFileSync(agent.config, 'utf8');
		const entries = learned.slice(learned.indexOf('    allow:'));
		fs.writeFileSync(agent.config, text.replace('mode: audit', 'mode: enforce').replace(/ {4}allow: .*\n/, entries));
		const { code, stderr } = await agent.zg(['reload']);
		assert.equal(code, 0, stderr);
		assert.deepEqual(await traffic(), []);
		const other = await startSink();
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: other.port })).error?.code, 'EPERM');
		assert.match((await inside.do('raw', { host: METADATA, port: 80, timeout: 200 })).error?.code ?? '', /EPERM/);
		await other.close();
	});
});
