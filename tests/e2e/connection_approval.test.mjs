// SPDX-License-Identifier: Apache-2.0
// connection_approval.test.mjs - a destination that nobody registered: refused,
// asked about, granted to one executable for a while, and over when it is over.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, needs, quick, startAgent, until, within } from './agent.mjs';
import { freePort, startSink } from './servers.mjs';

const EPERM = /not permitted|Couldn't connect|Failed to connect/i;

describe('connections that people grant', needs(), () => {
	let agent, inside, sinks, denied, registered;

	before(async () => {
		sinks = await Promise.all([startSink(), startSink()]);
		denied = await freePort();
		registered = await freePort();
		agent = await startAgent({
			more: `    ask: true\n    deny: [{cidr: "127.0.0.1/32", port: ${denied}}]\n`,
			servers: [{ id: 'elsewhere', url: `http://127.0.0.1:${registered}/mcp` }],
			before: (a) => fs.writeFileSync(a.config, fs.readFileSync(a.config, 'utf8').replace('servers: ["*"]', 'servers: [none]')),
		});
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all((sinks ?? []).map((s) => s.close()));
	});

	const curl = (port) => agent.zg(['run', '--', 'curl', '-sS', '--noproxy', '*', '--max-time', '60',
		`http://127.0.0.1:${port}/`], { uid: CLIENT_UID });
	const request = (port, exe) => agent.approval((r) => r.method === 'connect' && r.tool.includes(`port ${port}`)
		&& (!exe || r.comm === exe));
	const open = (name, port) => inside.do('open', { name, host: '127.0.0.1', port });
	const requests = (port) => agent.records().filter((r) => r.kind === 'approval.request' && r.tool?.includes(`port ${port}`));

	async function approve(id, ...more) {
		const { code, stderr } = await agent.zg(['approvals', 'approve', id, '--reason', 'needed today', ...more]);
		assert.equal(code, 0, stderr);
		await agent.record((r) => r.kind === 'connection.grant' && r.approval === id, 'connection.grant');
	}

	test('refused, approved, then let through: for that executable alone', async () => {
		const { port } = sinks[0];
		const first = await curl(port);
		assert.notEqual(first.code, 0);
		assert.match(first.stderr, EPERM);
		const id = await request(port);
		await until(async () => (await agent.zg(['--json', 'status'])).rows[0].waiting.connections === 1, 'status to count it');
		const shown = await agent.zg(['approvals', 'show', id]);
		assert.match(shown.stdout, /curl/);
		assert.match(shown.stdout, new RegExp(`tcp 127\\.0\\.0\\.1 port ${port}`));
		// the same once more is not asked again, another executable is
		await curl(port);
		assert.equal((await open('other', port)).error?.code, 'EPERM');
		await until(() => requests(port).length === 2, 'a question for each executable');
		await approve(id, '--for', '10m');
		const again = await curl(port);
		assert.equal(again.code, 0, again.stderr);
		assert.equal((await open('other', port)).error?.code, 'EPERM');
		assert.equal(requests(port).length, 2);
		const record = agent.records().find((r) => r.kind === 'connection.grant' && r.approval === id);
		assert.match(record.path, /\/curl$/);
		assert.equal(record.address, '127.0.0.1');
		assert.equal(record.port, port);
		assert.equal(record.protocol, 'tcp');
		assert.equal(record.uid, CLIENT_UID);
		assert.equal(record.approver_uid, 0);
	});

	test('its time is over: refused again, and what was open is closed', async () => {
		const { port } = sinks[1];
		assert.equal((await open('early', port)).error?.code, 'EPERM');
		const id = await request(port);
		await approve(id, '--for', '8s');
		const arrives = new Promise((done) => sinks[1].once('connection', done));
		await inside.must('open', { name: 'live', host: '127.0.0.1', port });
		const peer = await within(arrives, 'the connection');
		await within(new Promise((done) => peer.once('close', done)), 'the connection to end');
		assert.match((await inside.do('ended', { name: 'live' })).code ?? '', /ECONNABORTED|ECONNRESET/);
		assert.equal((await open('late', port)).error?.code, 'EPERM');
		const end = await agent.record((r) => r.kind === 'connection.end' && r.approval === id, 'connection.end');
		assert.match(end.reason, /time is over/);
		// by the agent's own clock: neither this test nor its connection was in a hurry
		const grant = agent.records().find((r) => r.kind === 'connection.grant' && r.approval === id);
		const seconds = (Date.parse(end.time) - Date.parse(grant.time)) / 1000;
		assert.ok(seconds > 7 && seconds < 20, `it ended after ${seconds} s`);
	});

	// A destination that is granted and dialled; withdraw(port, id) takes it back. How long
	// its connection lived then.
	const livesFor = async (name, withdraw) => {
		const sink = await startSink(), { port } = sink;
		sinks.push(sink);
		assert.equal((await open('early', port)).error?.code, 'EPERM');
		const id = await request(port);
		await approve(id);
		const arrives = new Promise((done) => sink.once('connection', done));
		await inside.must('open', { name, host: '127.0.0.1', port });
		const peer = await within(arrives, 'the connection');
		const closed = new Promise((done) => peer.once('close', () => done(performance.now())));
		const { code, stderr } = await withdraw(id);
		const inForce = performance.now();
		assert.equal(code, 0, stderr);
		const ms = await within(closed, 'the connection to end') - inForce;
		assert.equal((await open('late', port)).error?.code, 'EPERM');
		const end = await agent.record((r) => r.kind === 'connection.end' && r.approval === id, 'connection.end');
		return { ms, end, port };
	};

	test('a denial takes back what was granted, live connections included', () =>
		quick(1000, 'the end of the connection', async () => {
			const { ms, end } = await livesFor('revoked', (id) => agent.zg(['approvals', 'deny', id, '--reason', 'not any more']));
			assert.match(end.reason, /not any more/);
			return ms;
		}));

	test('another policy ends it', async () => {
		let n = 0;
		await quick(1000, 'the end of the connection', async () => {
			const { ms, end, port } = await livesFor('reloaded', () => {
				agent.policy(`version: v1\nrules: [{id: reads-${n++}, match: {labels: {mcp.action: read}}, decision: ALLOW}]\n`);
				return agent.zg(['reload']);
			});
			assert.match(end.reason, /policy has changed/);
			await until(() => requests(port).length === 2, 'the question anew, under the new policy');
			return ms;
		});
	});

	test('nobody is asked about what is denied, metadata, or the agent itself', async () => {
		const other = await freePort();
		for (const [host, port] of [['127.0.0.1', denied], ['127.0.0.1', registered], ['169.254.169.254', 80], ['8.8.8.8', 443]])
			assert.equal((await inside.do('open', { name: `never ${host}`, host, port })).error?.code, 'EPERM');
		// a later question that is asked says that the former were heard
		assert.equal((await open('asked', other)).error?.code, 'EPERM');
		await request(other);
		for (const what of [`port ${denied}`, `port ${registered}`, '169.254.169.254', '8.8.8.8'])
			assert.ok(!agent.records().some((r) => r.kind === 'approval.request' && r.tool.includes(what)), what);
	});

	test('a file that was changed after the question is not what was asked about', async () => {
		const port = await freePort();
		const own = path.join(agent.dir, 'a dialler');
		fs.copyFileSync('/usr/bin/curl', own);
		fs.chmodSync(own, 0o755);
		fs.chmodSync(agent.dir, 0o755);
		// it tries again, and so is still there when its file is looked at
		const dial = () => agent.zg(['run', '--', own, '--retry', '1', '--retry-delay', '1', '--retry-all-errors', '-sS', '--noproxy', '*', '--max-time', '60', `http://127.0.0.1:${port}/`], { uid: CLIENT_UID });
		assert.match((await dial()).stderr, EPERM);
		const id = await request(port);
		assert.match((await agent.zg(['approvals', 'show', id])).stdout, /"executable": "\/tmp\/[^/]*\/a dialler",\s.*\s.*\s*"owner_uid": 0,\s*"mode": "0755"/);
		fs.appendFileSync(own, 'x');
		assert.equal((await agent.zg(['approvals', 'approve', id, '--reason', 'needed'])).code, 0);
		await until(async () => {
			await dial();
			return requests(port).length === 2;
		}, 'the question anew, about the changed file');
		assert.ok(!agent.records().some((r) => r.kind === 'connection.grant' && r.approval === id));
	});

	test('nor does the one who asked decide, nor does a ledger that was killed forget', async () => {
		const port = await freePort();
		assert.equal((await open('own', port)).error?.code, 'EPERM');
		const id = await request(port);
		const own = await agent.zg(['approvals', 'approve', id], { uid: CLIENT_UID, groups: 'adm' });
		assert.notEqual(own.code, 0);
		assert.match(own.stderr, /self_approval|not_auth/);
		await agent.kill('ledger');
		await until(async () => (await agent.zg(['approvals', 'list'])).stdout.includes(id), 'the ledger to be back');
		await until(async () => (await agent.zg(['approvals', 'approve', id])).code === 0, 'the question to be asked again');
		assert.equal((await open('granted', port)).error?.code, 'ECONNREFUSED');
	});
});
