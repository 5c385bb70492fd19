// SPDX-License-Identifier: Apache-2.0
// gate.test.mjs - what a workload can reach at all, by whatever address, and
// what `zerogate run` tells about it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, TOOLS, needs, startAgent, until } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer, startSink } from './servers.mjs';

describe('the kernel gate, from a workload', needs(), () => {
	let agent, server, shadow, sink, allowed, inside;

	before(async () => {
		[server, shadow, sink, allowed] = await Promise.all([startServer(), startServer(), startSink(), startSink()]);
		agent = await startAgent({ servers: [{ id: 'github', url: server.url(), addresses: undefined, tools: TOOLS }],
			allow: [{ cidr: '127.0.0.1/32', port: allowed.port }] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([server, shadow, sink, allowed].map((s) => s?.close()));
	});

	for (const [how, host] of Object.entries({ 'by name': 'localhost', 'by IPv4': '127.0.0.1', 'by IPv6': '::1',
		'by v4-mapped IPv6': '::ffff:127.0.0.1', 'by 0.0.0.0': '0.0.0.0', 'by ::': '::' }))
		test(`an unregistered server is refused ${how}, and nothing arrives`, async () => {
			const answer = await inside.do('dial', { host, port: sink.port });
			assert.equal(answer.error?.code, 'EPERM', JSON.stringify(answer));
			assert.equal(sink.connections, 0);
		});

	test('the SDK client cannot reach it either', async () => {
		for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
			const answer = await inside.do('connect', { url: shadow.url(host), client: 'shadow' });
			assert.equal(answer.error?.cause, 'EPERM', JSON.stringify(answer));
		}
		assert.equal(shadow.connections, 0);
	});

	test('UDP is refused as well', async () => {
		for (const host of ['127.0.0.1', '::1'])
			assert.equal((await inside.do('udp', { host, port: sink.port })).error?.code, 'EPERM');
	});

	test('each refusal is a record with address, port and who', async () => {
		const { pid } = await inside.must('whoami');
		for (const address of ['127.0.0.1', '::1']) {
			const record = await agent.record((r) => r.kind === 'kernel.deny' && r.port === sink.port && r.pid === pid && r.address === address && r.protocol === 'tcp', `kernel.deny of ${address}`);
			assert.equal(record.uid, CLIENT_UID);
			assert.match(record.reason, /./);
			assert.match(record.cgroup, /./);
		}
	});

	test('what the profile allows is reached, unchanged', async () => {
		const answer = await inside.must('dial', { host: '127.0.0.1', port: allowed.port });
		assert.equal(answer.remote, `127.0.0.1 ${allowed.port}`);
		await until(() => allowed.connections === 1, 'the allowed connection to arrive');
		assert.equal((await inside.do('dial', { host: '::1', port: allowed.port })).error?.code, 'EPERM');
	});

	test('dialling the registered server ends in the gateway; the client sees its own peer', async () => {
		const before = agent.records().filter((r) => r.kind === 'call.intent').length;
		for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', 'localhost']) {
			const raw = new RawClient(inside, server.url(host));
			const { status, message } = await raw.request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } });
			assert.equal(status, 200, host);
			assert.equal(message.result.serverInfo.name, 'fixture');
		}
		const records = agent.records().filter((r) => r.kind === 'call.intent').slice(before);
		assert.equal(records.length, 3);
		assert.ok(records.every((r) => r.transparent === 1));
		const { remote } = await inside.must('dial', { host: '127.0.0.1', port: server.port });
		assert.equal(remote, `127.0.0.1 ${server.port}`, 'getpeername keeps the address that was dialled');
	});

	test('raw bytes to the registered server never pass the gateway', async () => {
		const seen = server.requests.length;
		await inside.do('raw', { host: '127.0.0.1', port: server.port, bytes: 'POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello' });
		assert.equal(server.requests.length, seen);
	});

	test('zerogate run: exit status, no new privileges, a cgroup of its own, stray descriptors closed', async () => {
		assert.equal((await agent.zg(['run', '--', 'true'])).code, 0);
		assert.equal((await agent.zg(['run', '--', 'sh', '-c', 'exit 7'])).code, 7);
		assert.equal((await agent.zg(['run', '--', 'sh', '-c', 'kill -9 $$'])).code, 137);
		assert.equal((await agent.zg(['run', '--', '/no/such/command'])).code, 127);
		const { status, uid } = await inside.must('whoami');
		assert.match(status, /^NoNewPrivs:\s+1$/m);
		assert.equal(uid, CLIENT_UID);
		// a descriptor that the caller left open does not come along; 3 is the folder that ls reads
		const listing = execFileSync('sh', ['-c', 'exec 7</dev/null 9</dev/null "$0" --socket "$1" run -- ls /proc/self/fd',
			path.join(agent.bin, 'zerogate'), agent.socket], { encoding: 'utf8' });
		assert.deepEqual(listing.trim().split('\n'), ['0', '1', '2', '3']);
	});

	test('a setgid program, as crontab and at are, gains nothing below zerogate run', async () => {
		const program = path.join(agent.dir, 'own-group');
		fs.copyFileSync('/usr/bin/id', program);
		fs.chownSync(program, 0, 1);
		fs.chmodSync(program, 0o2755);
		const free = execFileSync('setpriv', ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups', program, '-g'], { encoding: 'utf8', cwd: '/' });
		assert.equal(free.trim(), '1', 'ungoverned it does');
		const { code, stdout } = await agent.zg(['run', '--', program, '-g'], { uid: CLIENT_UID, cwd: '/' });
		assert.equal(code, 0);
		assert.equal(stdout.trim(), String(CLIENT_UID));
	});

	test('zerogate run reports what the kernel denied', async () => {
		const worker = await agent.inside();
		for (let i = 0; i < 3; i++)
			await worker.do('dial', { host: '127.0.0.1', port: sink.port });
		await worker.do('dial', { host: '::1', port: shadow.port });
		const { code, errors } = await worker.end(5);
		assert.equal(code, 5);
		assert.match(errors, new RegExp(`127\\.0\\.0\\.1[: ]+${sink.port}`));
		assert.match(errors, new RegExp(`::1\\]?[: ]+${shadow.port}`));
		assert.match(errors, /\b3\b/);
	});

	test('a burst of refusals is counted to the last one', async () => {
		const burst = `exec 2>/dev/null; for ((i = 0; i < 4000; i++)); do exec 8<>/dev/tcp/127.0.0.1/${sink.port}; done; :`;
		const { code, stderr } = await agent.zg(['run', '--', 'bash', '-c', burst]);
		assert.equal(code, 0);
		assert.match(stderr, new RegExp(`refused tcp 127\\.0\\.0\\.1:${sink.port}, 4000 times`));
	});

	test('a child of the workload is governed too, and it cannot leave', async () => {
		const worker = await agent.zg(['run', '--', 'setsid', agent.node, '-e',
			`require('net').connect(${sink.port}, '127.0.0.1').on('error', (e) => { console.log(e.code); })`]);
		assert.match(worker.stdout, /EPERM/);
		assert.equal(sink.connections, 0);
	});

	test('status: the gate is whole, all workers ready', async () => {
		const { code, stdout } = await agent.zg(['--json', 'status']);
		assert.equal(code, 0);
		const status = JSON.parse(stdout);
		assert.match(status.enforcement, /^(full$|degraded: )/);
		assert.equal(status.workers_ready, status.workers);
	});

	test('with the whole agent killed, what was refused stays refused and the redirect opens nothing', async () => {
		const connections = server.connections;
		await agent.kill();
		await agent.exited;
		for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
			assert.equal((await inside.do('dial', { host, port: sink.port })).error?.code, 'EPERM', host);
		assert.ok((await inside.do('dial', { host: '127.0.0.1', port: server.port })).error, 'the gateway is gone');
		assert.equal(server.connections, connections);
		assert.equal((await agent.zg(['status'])).code, 3, 'the daemon cannot be reached');
		await agent.start();
		const raw = await new RawClient(inside, server.url()).open();
		assert.equal((await raw.call('read_issue', { number: 5 })).message.result.content[0].text, 'issue 5: the build is slow',
			'the workload that was running is still known');
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: sink.port })).error?.code, 'EPERM');
		assert.equal(sink.connections, 0);
	});
});
