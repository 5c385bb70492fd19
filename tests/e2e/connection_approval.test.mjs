// SPDX-License-Identifier: Apache-2.0
// connection_approval.test.mjs - a destination that nobody registered: refused,
// asked about, granted to one executable for a while, and over when it is over.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, needs, startAgent, until, within } from './agent.mjs';
import { freePort, startSink } from './servers.mjs';

const EPERM = /not permitted|Couldn't connect|Failed to connect/i;

describe('connections that people grant', needs(), () => {
	let agent, inside, sinks, denied, registered;

	before(async () => {
		sinks = await Promise.all([startSink(), startSink(), startSink(), startSink()]);
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

	const curl = (port) => agent.zg(['run', '--', 'curl', '-sS', '--noproxy', '*', '--max-time', '5',
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
		await approve(id, '--for', '2s');
		const granted = performance.now();
		const arrives = new Promise((done) => sinks[1].once('connection', done));
		await inside.must('open', { name: 'live', host: '127.0.0.1', port });
		const peer = await within(arrives, 'the connection');
		await within(new Promise((done) => peer.once('close', done)), 'the connection to end', 8000);
		const ms = performance.now() - granted;
		assert.ok(ms > 1000 && ms < 4000, `it ended after ${Math.round(ms)} ms`);
		assert.match((await inside.do('ended', { name: 'live' })).code ?? '', /ECONNABORTED|ECONNRESET/);
		assert.equal((await open('late', port)).error?.code, 'EPERM');
		const end = await agent.record((r) => r.kind === 'connection.end' && r.approval === id, 'connection.end');
		assert.match(end.reason, /time is over/);
	});

	test('a denial takes back what was granted, live connections included', async () => {
		const { port } = sinks[2];
		assert.equal((await open('early', port)).error?.code, 'EPERM');
		const id = await request(port);
		await approve(id);
		const arrives = new Promise((done) => sinks[2].once('connection', done));
		await inside.must('open', { name: 'revoked', host: '127.0.0.1', port });
		const peer = await within(arrives, 'the connection');
		const closed = new Promise((done) => peer.once('close', done));
		const { code, stderr } = await agent.zg(['approvals', 'deny', id, '--reason', 'not any more']);
		assert.equal(code, 0, stderr);
		await within(closed, 'the connection to end', 1000);
		assert.equal((await open('late', port)).error?.code, 'EPERM');
		const end = await agent.record((r) => r.kind === 'connection.end' && r.approval === id, 'connection.end');
		assert.match(end.reason, /not any more/);
	});

	test('another policy ends it', async () => {
		const { port } = sinks[3];
		assert.equal((await open('early', port)).error?.code, 'EPERM');
		const id = await request(port);
		await approve(id);
		const arrives = new Promise((done) => sinks[3].once('connection', done));
		await inside.must('open', { name: 'reloaded', host: '127.0.0.1', port });
		const peer = await within(arrives, 'the connection');
		const closed = new Promise((done) => peer.once('close', done));
		agent.policy('version: v1\nrules: [{id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}]\n');
		const { code, stderr } = await agent.zg(['reload']);
		assert.equal(code, 0, stderr);
		await within(closed, 'the connection to end', 1000);
		const end = await agent.record((r) => r.kind === 'connection.end' && r.approval === id, 'connection.end');
		assert.match(end.reason, /policy has changed/);
		assert.equal((await open('late', port)).error?.code, 'EPERM');
		await until(() => requests(port).length === 2, 'the question anew, under the new policy');
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
		const dial = () => agent.zg(['run', '--', own, '--retry', '1', '--retry-delay', '1', '--retry-all-errors', '-sS', '--noproxy', '*', '--max-time', '5', `http://127.0.0.1:${port}/`], { uid: CLIENT_UID });
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
