// SPDX-License-Identifier: Apache-2.0
// withdraw.test.mjs - what a reload takes back is gone within a second, at the
// other end too; what it does not concern goes on as if nothing had happened.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, quick, startAgent, until, within } from './agent.mjs';
import { freePort, startServer, startSink } from './servers.mjs';

const POLICY = `version: v1
rules:
  - id: allow-reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
`;
const LIMIT = 1000; // ms, from the moment that the change is in force

async function reload(agent) {
	const { code, stderr } = await agent.zg(['reload']);
	assert.equal(code, 0, stderr);
}

// Run change, and see all of ends happen: how long after it was in force.
async function endsAfter(change, ...ends) {
	const all = Promise.all(ends).then(() => performance.now());
	await change();
	const inForce = performance.now();
	return await within(all, 'the connections to end') - inForce;
}

const closed = (socket) => new Promise((done) => socket.once('close', done));

async function accepted(sink, connect) {
	const arrives = new Promise((done) => sink.once('connection', done));
	await connect();
	return within(arrives, 'the connection to arrive');
}

describe('a reload that takes something back', needs(), () => {
	let agent, revoked, kept, plain, spared, inside;

	const allow = (...ports) => ports.map((port) => ({ cidr: '127.0.0.1/32', port }));
	const configure = (...ports) => fs.writeFileSync(agent.config,
		fs.readFileSync(agent.config, 'utf8').replace(/ {4}allow: .*/, `    allow: ${JSON.stringify(allow(...ports))}`));
	const registry = (id) => path.join(agent.dir, `etc/servers/${id}.json`);

	before(async () => {
		[revoked, kept, plain, spared] = await Promise.all([startServer(), startServer(), startSink(), startSink()]);
		agent = await startAgent({
			policy: POLICY,
			servers: [{ id: 'revoked', url: revoked.url(), tools: TOOLS }, { id: 'kept', url: kept.url(), tools: TOOLS }],
			allow: allow(plain.port, spared.port),
		});
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([revoked, kept, plain, spared].map((s) => s?.close()));
	});

	test('an allow entry that is gone takes its live connection with it, and no other', async () => {
		const stays = await accepted(spared, () => inside.must('open', { name: 'stays', host: '127.0.0.1', port: spared.port }));
		const ms = await quick(LIMIT, 'the end of the connection', async () => {
			configure(plain.port, spared.port);
			await reload(agent);
			const gone = await accepted(plain, () => inside.must('open', { name: 'gone', host: '127.0.0.1', port: plain.port }));
			return endsAfter(async () => {
				configure(spared.port);
				await reload(agent);
			}, closed(gone), inside.do('ended', { name: 'gone' }));
		});
		assert.match((await inside.do('ended', { name: 'gone' })).code ?? '', /ECONNABORTED|ECONNRESET/);
		assert.equal((await inside.do('open', { name: 'again', host: '127.0.0.1', port: plain.port })).error?.code, 'EPERM');
		assert.ok(!stays.destroyed);
		await inside.must('send', { name: 'stays', text: 'still here' });
		await until(async () => (await inside.must('received', { name: 'stays' })).text.includes('200 OK'), 'an answer on the spared connection');
		const record = await agent.record((r) => r.kind === 'socket.destroy' && r.port === plain.port, 'socket.destroy');
		assert.equal(record.profile, 'agent');
		assert.equal(record.address, '127.0.0.1');
		assert.equal(record.protocol, 'tcp');
		assert.equal(record.count, 1);
		assert.match(record.reason, /allow entry|port|address/);
		assert.ok(!agent.records().some((r) => r.kind === 'socket.destroy' && r.port === spared.port));
		console.log(`# ended ${Math.round(ms)} ms after the configuration was in force`);
	});

	test('a revoked server: live streams, idle connections and the gateway\'s own end', async () => {
		await inside.must('connect', { client: 'other', url: agent.url('kept') });
		await until(() => kept.requests.some((r) => r.method === 'GET'), 'the other server\'s event stream');
		const before = [...kept.sockets];
		const ms = await quick(LIMIT, 'the end of the connections', async () => {
			agent.register({ id: 'revoked', url: revoked.url(), tools: TOOLS });
			await reload(agent);
			revoked.requests.length = 0;
			for (const [client, url] of [['explicit', agent.url('revoked')], ['transparent', revoked.url()]])
				await inside.must('connect', { client, url });
			await inside.must('open', { name: 'idle', host: '127.0.0.1', port: revoked.port });
			// each client of the SDK holds a stream open, which the gateway holds open to the server
			await until(() => revoked.requests.filter((r) => r.method === 'GET').length >= 2, 'the event streams');
			const upstream = [...revoked.sockets];
			assert.ok(upstream.length >= 2);
			return endsAfter(async () => {
				fs.rmSync(registry('revoked'));
				await reload(agent);
			}, ...upstream.map(closed), inside.do('ended', { name: 'idle' }));
		});
		console.log(`# ended ${Math.round(ms)} ms after the registry was in force`);
		assert.equal(revoked.sockets.size, 0);
		assert.equal((await inside.do('open', { name: 'again', host: '127.0.0.1', port: revoked.port })).error?.code, 'EPERM');
		const call = await inside.do('tool', { client: 'explicit', name: 'read_issue', args: { number: 1 } });
		assert.match(JSON.stringify(call), /not registered/);
		// the other server's stream never noticed
		assert.ok(before.some((s) => !s.destroyed));
		const { result } = await inside.must('tool', { client: 'other', name: 'read_issue', args: { number: 1 } });
		assert.match(result.content[0].text, /issue 1/);
		for (const profile of ['agent', '(gateway)'])
			await agent.record((r) => r.kind === 'socket.destroy' && r.profile === profile && r.port === revoked.port, `socket.destroy of ${profile}`);
	});

	test('a server that the profile may no longer use: its stream ends, the server stays', async () => {
		let opened = 0, ended = 0, all = () => {};
		kept.on('request', ({ method }) => { opened += method === 'GET'; });
		kept.on('closed', ({ method }) => {
			ended += method === 'GET';
			all();
		});
		opened = kept.requests.filter((r) => r.method === 'GET').length; // of the client before, which is still there
		await quick(LIMIT, 'the end of the streams', async () => {
			const earlier = opened;
			fs.writeFileSync(agent.config, fs.readFileSync(agent.config, 'utf8').replace('servers: []', 'servers: ["*"]'));
			await reload(agent);
			await inside.must('connect', { client: 'narrowed', url: agent.url('kept') });
			await until(() => opened > earlier, 'the event stream');
			const streams = new Promise((done) => { all = () => ended === opened && done(); });
			return endsAfter(async () => {
				fs.writeFileSync(agent.config, fs.readFileSync(agent.config, 'utf8').replace('servers: ["*"]', 'servers: []'));
				await reload(agent);
			}, streams);
		});
		const call = await inside.do('tool', { client: 'narrowed', name: 'read_issue', args: { number: 1 } });
		assert.match(JSON.stringify(call), /may not use|profile/);
	});
});

// A process of our own that prints; said() waits for what it printed.
function start(t, command, ...args) {
	const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
	t.after(() => child.kill('SIGKILL'));
	child.stdin.on('error', () => {});
	child.text = '';
	child.stdout.on('data', (chunk) => { child.text += chunk; });
	child.said = (what) => until(() => child.text.includes(what), `"${what}" (said: ${child.text})`);
	return child;
}

describe('what cannot be ended is dead all the same', needs(), () => {
	let agent, slice;

	const serve = (port) => `const s=require('net').createServer((c)=>{c.on('data',(d)=>process.stdout.write(d));c.on('error',()=>{})});s.listen(${port},'127.0.0.1',()=>console.log('ready'))`;
	const dial = (port) => `const s=require('net').connect(${port},'127.0.0.1',()=>console.log('open'));s.on('error',(e)=>console.log(e.code));s.on('close',()=>console.log('closed'));process.stdin.on('data',(d)=>{s.write(d);console.log('wrote '+d)})`;
	const join = (cgroup, ...command) => ['sh', '-c', `mkdir -p ${cgroup} && echo $$ > ${cgroup}/cgroup.procs && exec "$@"`, 'sh', ...command];

	async function open(port) {
		fs.writeFileSync(agent.config, fs.readFileSync(agent.config, 'utf8').replace(/ {4}allow: .*/,
			`    allow: ${JSON.stringify(port ? [{ cidr: '127.0.0.1/32', port }] : [])}`));
		await reload(agent);
	}

	// Withdraw, then write: neither a byte nor an end reaches anybody.
	async function deadAfterwards(client, server, port) {
		client.stdin.write('before.');
		await server.said('before.');
		await open(null);
		client.stdin.write('after.');
		await client.said('wrote after.');
		await agent.record((r) => r.kind === 'kernel.deny' && r.layer === 'egress' && r.port === port, 'kernel.deny of a packet');
		assert.ok(!server.text.includes('after'));
		assert.ok(!/ECONN|closed/.test(client.text), client.text);
		assert.ok(!agent.records().some((r) => r.kind === 'socket.destroy' && r.port === port));
	}

	before(async () => {
		agent = await startAgent();
		slice = path.join(agent.cgroup, 'zerogate.slice');
	});
	after(() => agent?.stop());

	test('in another network namespace', async (t) => {
		const port = await freePort();
		await open(port);
		const server = start(t, 'unshare', '-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', agent.node, '-e', serve(port));
		await server.said('ready');
		const client = start(t, ...join(path.join(slice, 'elsewhere'), 'nsenter', '-t', String(server.pid), '-n', agent.node, '-e', dial(port)));
		await client.said('open');
		await deadAfterwards(client, server, port);
	});

	test('of a cgroup whose folder is gone', async (t) => {
		const port = await freePort(), first = path.join(slice, 'first'), second = path.join(slice, 'second');
		await open(port);
		const server = start(t, agent.node, '-e', serve(port));
		await server.said('ready');
		const client = start(t, ...join(first, agent.node, '-e', dial(port)));
		await client.said('open');
		fs.mkdirSync(second);
		fs.writeFileSync(path.join(second, 'cgroup.procs'), String(client.pid));
		fs.rmdirSync(first);
		await deadAfterwards(client, server, port);
	});
});
