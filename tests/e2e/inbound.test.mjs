// SPDX-License-Identifier: Apache-2.0
// inbound.test.mjs - who may dial a workload, which unix sockets it reaches and
// which socket options it sets, as zerogate.yaml says, through the whole agent.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { freePort } from './servers.mjs';

// A server in the workload: echoes on a port, until it is told to end.
const ECHO = 'require("net").createServer((c) => c.on("data", (d) => String(d) === "end" ? process.exit() : c.write(d)))'
	+ '.on("error", (e) => console.log(e.code)).listen(Number(process.argv[1]), "127.0.0.1")';
// A client in the workload: sends a word, prints what comes back, or why nothing does.
const DIAL = 'const c = require("net").connect(process.argv[1], () => c.write("word")).on("error", (e) => console.log(e.code))'
	+ '.on("data", (d) => { console.log(String(d)); c.destroy(); })';

function echoed(options) {
	return new Promise((done, fail) => {
		const c = net.connect(options, () => c.write('word'));
		c.on('data', (d) => { done(String(d)); c.destroy(); });
		c.on('error', fail);
		c.setTimeout(5000, () => { c.destroy(); fail(new Error('no answer')); });
	});
}

describe('who dials a workload, and what it reaches on this machine', needs(), () => {
	let agent, folder, port, other, echo;
	const dial = async (at) => agent.zg(['run', '--', agent.node, '-e', DIAL, at]);

	before(async () => {
		[port, other] = [await freePort(), await freePort()];
		folder = fs.mkdtempSync('/tmp/zg-inbound-');
		fs.chmodSync(folder, 0o777);
		echo = net.createServer((c) => c.pipe(c)).listen(path.join(folder, 'pg.5432'));
		await until(() => fs.existsSync(path.join(folder, 'pg.5432')), 'the socket');
		fs.chmodSync(path.join(folder, 'pg.5432'), 0o777);
		fs.symlinkSync('pg.5432', path.join(folder, 'link'));
		agent = await startAgent({ allow: [{ unix: `${folder}/pg.*` }], more: `    listen: [{port: ${port}, from: "127.1.0.0/16"}]\n` });
	});
	after(async () => {
		await agent?.stop();
		echo?.close();
		fs.rmSync(folder, { recursive: true, force: true });
	});

	test('a listed port is dialled by those who are named, and by nobody else', async () => {
		const run = agent.zg(['run', '--', agent.node, '-e', ECHO, String(port)]);
		await until(() => echoed({ host: '127.0.0.1', port, localAddress: '127.1.0.7' }).then((t) => t === 'word', () => false), 'the workload to serve');
		await assert.rejects(echoed({ host: '127.0.0.1', port, localAddress: '127.2.0.7' }), /no answer/);
		const record = await agent.record((r) => r.kind === 'kernel.deny' && r.layer === 'ingress' && r.address === '127.2.0.7', 'kernel.deny of 127.2.0.7');
		assert.match(record.reason, /listen list does not accept/);
		net.connect({ host: '127.0.0.1', port, localAddress: '127.1.0.7' }, function () { this.write('end'); }).on('error', () => {});
		await run;
	});

	test('another port is not listened on', async () => {
		const { stdout, stderr } = await agent.zg(['run', '--', agent.node, '-e', ECHO, String(other)]);
		assert.match(stdout, /EPERM/);
		assert.match(stderr, new RegExp(`refused listening on tcp 127\\.0\\.0\\.1:${other}, `));
	});

	test('a named unix socket answers, others and links to it do not', async () => {
		assert.equal((await dial(path.join(folder, 'pg.5432'))).stdout.trim(), 'word');
		for (const name of ['link', 'other', 'sub/../pg.5432']) {
			const { stdout, stderr } = await dial(`${folder}/${name}`);
			assert.equal(stdout.trim(), 'EPERM', name);
			assert.ok(stderr.includes(`refused unix socket ${folder}/${name}, 1 time`), stderr);
		}
		const record = await agent.record((r) => r.kind === 'kernel.deny' && r.path === path.join(folder, 'other'), 'kernel.deny of a unix socket');
		assert.equal(record.layer, 'unix');
		assert.equal(record.address, undefined);
	});

	test('sockets that start processes are refused with a reason that says so', async () => {
		for (const at of ['/run/docker.sock', '/var/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket',
			'/run/systemd/private', '/run/user/1000/bus', '/run/snapd.socket']) {
			const { stdout, stderr } = await dial(at);
			assert.equal(stdout.trim(), 'EPERM', at);
			assert.match(stderr, /whoever reaches this socket can start processes outside the gate/, at);
		}
		const record = await agent.record((r) => r.kind === 'kernel.deny' && r.path === '/run/docker.sock', 'kernel.deny of Docker');
		assert.match(record.message, /was refused unix socket \/run\/docker\.sock: whoever reaches/);
	});

	test('the agent itself is reached from inside', async () => {
		assert.equal((await agent.zg(['run', '--', path.join(agent.bin, 'zerogate'), '--socket', agent.socket, 'run', '--', 'sh', '-c', 'exit 7'])).code, 7);
	});

	test('options that route or send by themselves are refused and named', async () => {
		const join = 'const s = require("dgram").createSocket("udp4"); s.bind(0, () => { try { s.addMembership("224.0.0.99", "127.0.0.1"); }'
			+ ' catch (e) { console.log(e.code); } s.close(); })';
		const { stdout, stderr } = await agent.zg(['run', '--', agent.node, '-e', join]);
		assert.match(stdout, /EPERM/);
		assert.match(stderr, /refused socket option IP_ADD_MEMBERSHIP, 1 time/);
	});
});
