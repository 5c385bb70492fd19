// SPDX-License-Identifier: Apache-2.0
// `zerogate stdio ID`: real local servers, started by the agent in cgroups and
// profiles of their own, spoken to with the official SDKs over pipes; and what
// such a server, or its client, tries in order to get around that.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import * as sdk2 from '@modelcontextprotocol/client';
import * as sdk2stdio from '@modelcontextprotocol/client/stdio';
import { CLIENT_UID, cgroupMount, needs, startAgent, until, within } from './agent.mjs';

process.env.TMPDIR = '/run'; // servers have a /tmp of their own

const POLICY = `version: v1
rules:
  - id: all
    match: {labels: {mcp.server: "*"}}
    decision: ALLOW
  - id: ask
    match: {labels: {mcp.tool: "held*"}}
    decision: REQUIRE_APPROVAL
  - id: short
    match: {labels: {mcp.tool: "hang"}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 1}
  - id: no
    match: {labels: {mcp.tool: "forbidden"}}
    decision: DENY
`;

const NPM = {
	everything: 'server-everything', filesystem: 'server-filesystem',
	memory: 'server-memory', thinking: 'server-sequential-thinking',
};

// An agent with local servers; each: (agent) => members of its registry entry.
async function stdioAgent(t, servers, options = {}) {
	const agent = await startAgent({ policy: POLICY, ...options });
	t.after(() => agent.stop());
	agent.local = (id, members) => fs.writeFileSync(path.join(agent.dir, `etc/servers/${id}.json`), JSON.stringify({
		name: `dev.zerogate.test/${id}`, description: id, version: '1.0.0',
		_meta: { 'dev.zerogate/registry': { id, ...members } },
	}));
	for (const [id, members] of Object.entries(servers))
		agent.local(id, typeof members === 'function' ? members(agent) : members);
	const done = await agent.zg(['reload']);
	assert.equal(done.code, 0, done.stderr + agent.logText());
	return agent;
}

const npm = (agent, name, ...args) => ({
	command: agent.node,
	args: [path.join(agent.src, 'tests/e2e/node_modules/@modelcontextprotocol', NPM[name], 'dist/index.js'), ...args],
});
const fixture = (agent, ...args) => ({ command: agent.node, args: [path.join(agent.src, 'tests/e2e/stdio_fixture.mjs'), ...args] });

// What a client puts in the place of the server's command.
function launcher(agent, id, { uid = CLIENT_UID, governed = true, env = {} } = {}) {
	const zg = [path.join(agent.bin, 'zerogate'), '--socket', agent.socket];
	const command = [
		'setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups',
		...(governed ? [...zg, 'run', '--'] : []), ...zg, 'stdio', id,
	];
	return { command: command[0], args: command.slice(1), env: { PATH: process.env.PATH, ...env }, stderr: 'pipe', cwd: '/' };
}

async function connect(t, agent, id, options = {}) {
	const transport = new StdioClientTransport(launcher(agent, id, options));
	const client = new Client({ name: 'test', version: '1' }, { capabilities: { sampling: {}, roots: {}, elicitation: {} } });
	let errors = '';
	transport.stderr.on('data', (chunk) => { errors += chunk; });
	t.after(() => client.close());
	try {
		await within(client.connect(transport), `connecting to ${id}`);
	} catch (e) {
		throw new Error(`${e.message}\n${errors}\n${agent.logText()}`);
	}
	client.errors = () => errors;
	client.pid = transport.pid;
	return client;
}

// Lines in, lines out, and how it ended.
function raw(agent, id, options) {
	const { command, args, env, cwd } = launcher(agent, id, options);
	const child = spawn(command, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
	const it = { child, out: '', err: '' };
	child.stdin.on('error', () => {});
	child.stdout.on('data', (chunk) => { it.out += chunk; });
	child.stderr.on('data', (chunk) => { it.err += chunk; });
	it.ended = new Promise((done) => child.on('close', (code, signal) => done({ code, signal, ...it })));
	it.say = (message) => child.stdin.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
	it.messages = () => it.out.split('\n').slice(0, -1).map((l) => JSON.parse(l));
	it.hears = (match) => until(() => it.messages().find(match), `a message; so far: ${it.out} ${it.err}`);
	return it;
}

const text = (result) => result.content[0].text;

test('the reference servers work over pipes as they do alone', needs(), async (t) => {
	const agent = await stdioAgent(t, {
		everything: (a) => npm(a, 'everything', 'stdio'),
		memory: (a) => ({ ...npm(a, 'memory'), env: { MEMORY_FILE_PATH: '/tmp/memory.json' } }),
		files: (a) => npm(a, 'filesystem', '/usr/share'),
		thinking: (a) => npm(a, 'thinking'),
	});

	const everything = await connect(t, agent, 'everything');
	assert.ok((await everything.listTools()).tools.length > 5);
	assert.match(text(await everything.callTool({ name: 'echo', arguments: { message: 'hello' } })), /hello/);
	await until(async () => { // the SDK loses what arrives together with the answer
		const progress = [];
		await everything.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } }, undefined,
			{ onprogress: (p) => progress.push(p.progress) });
		return progress.length >= 2;
	}, 'progress while the call runs');
	assert.ok((await everything.listResources()).resources.length > 0);
	assert.ok((await everything.listPrompts()).prompts.length > 0);

	const memory = await connect(t, agent, 'memory');
	await memory.callTool({ name: 'create_entities', arguments: { entities: [{ name: 'x', entityType: 'y', observations: ['z'] }] } });
	assert.match(text(await memory.callTool({ name: 'read_graph', arguments: {} })), /"x"/);

	const files = await connect(t, agent, 'files');
	assert.match(text(await files.callTool({ name: 'list_directory', arguments: { path: '/usr/share' } })), /\[DIR\]/);

	const thinking = await connect(t, agent, 'thinking');
	const thought = await thinking.callTool({ name: 'sequentialthinking', arguments: { thought: 'a', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 } });
	assert.match(text(thought), /thoughtNumber/);

	const start = await agent.record((r) => r.kind === 'server.start' && r.server === 'memory');
	assert.match(start.cgroup, /^zerogate\.slice\/run-/, 'for whom');
	assert.equal(start.file, agent.node);
	assert.match(start.evidence, /bounded/);
	await memory.close();
	await agent.record((r) => r.kind === 'server.exit' && r.server === 'memory');
	await agent.record((r) => r.kind === 'call.outcome' && r.server === 'memory' && r.tool === 'read_graph' && r.outcome === 'ok');
});

test('the newer SDK speaks to a local server, too', needs(), async (t) => {
	const agent = await stdioAgent(t, { everything: (a) => npm(a, 'everything', 'stdio') });
	const transport = new sdk2stdio.StdioClientTransport(launcher(agent, 'everything'));
	const client = new sdk2.Client({ name: 'test', version: '2' });
	t.after(() => client.close());
	await within(client.connect(transport), 'connecting');
	assert.match(text(await client.callTool({ name: 'echo', arguments: { message: 'two' } })), /two/);
});

test('a server runs alone: identity, environment, files, network, processes', needs(), async (t) => {
	const sink = (await import('node:net')).createServer(() => {});
	await new Promise((done) => sink.listen(0, '127.0.0.1', done));
	t.after(() => sink.close());
	const port = sink.address().port;
	const agent = await stdioAgent(t, {
		alone: (a) => ({ ...fixture(a, '--flag', '$(touch /tmp/x); `id`'), env: { FIXED: 'yes' }, env_pass: ['CHOSEN', 'LANG'], limits: { pids: 40, memory: '256M', cpu: 100 } }),
		open: (a) => ({ ...fixture(a), network: [{ cidr: '127.0.0.1/32', port }] }),
		mine: (a) => ({ ...fixture(a), user: 'caller', private_tmp: false, cwd: '/usr' }),
	});
	const c = await connect(t, agent, 'alone', { env: { CHOSEN: 'this', SECRET: 'not this', LD_PRELOAD: '/evil.so', LANG: 'de_DE.UTF-8' } });
	const call = async (client, name, args = {}) => text(await client.callTool({ name, arguments: args }));

	const env = JSON.parse(await call(c, 'env'));
	assert.deepEqual(Object.keys(env).sort(), ['CHOSEN', 'FIXED', 'HOME', 'LANG', 'PATH', 'TMPDIR']);
	assert.equal(env.CHOSEN, 'this');
	assert.equal(env.LANG, 'de_DE.UTF-8');

	const me = JSON.parse(await call(c, 'whoami'));
	assert.deepEqual(me.argv, ['--flag', '$(touch /tmp/x); `id`'], 'no shell read them');
	assert.ok(me.uid >= 60800 && me.uid < 60800 + 256 && me.uid === me.gid);
	assert.deepEqual(me.groups.filter((g) => g !== me.gid), []);
	assert.match(me.status, /NoNewPrivs:\s+1/);
	assert.match(me.status, /CapEff:\s+0{16}/);
	assert.match(me.status, /CapPrm:\s+0{16}/);
	assert.match(me.cgroup, /zerogate\.agent\/servers\/alone-\d+/);
	assert.equal(Number(me.sid), me.pid, 'a session of its own');

	fs.writeFileSync('/tmp/zg-client-file', 'secret');
	t.after(() => fs.rmSync('/tmp/zg-client-file', { force: true }));
	assert.equal(await call(c, 'ls', { path: '/tmp' }), '(empty)', "the client's /tmp is not seen");
	assert.equal(await call(c, 'write', { path: '/tmp/zg-of-server', text: 'x' }), 'written');
	assert.equal(fs.existsSync('/tmp/zg-of-server'), false);
	assert.equal(await call(c, 'ls', { path: '/root' }), 'EACCES');

	assert.equal(await call(c, 'dial', { port }), 'EPERM');
	assert.equal(await call(c, 'dial', { port: agent.port }), 'EPERM', 'not even the gateway');
	const denied = await agent.record((r) => r.kind === 'kernel.deny' && r.profile === 'server:alone');
	assert.match(denied.cgroup, /servers\/alone-/);
	const open = await connect(t, agent, 'open');
	assert.equal(await call(open, 'dial', { port }), 'connected', 'what its entry allows');

	// each limit is in force, or the record says that this machine has no controller for it
	const { evidence } = await agent.record((r) => r.kind === 'server.start' && r.server === 'alone');
	const cgroup = path.join(cgroupMount(), /^0::(.*)$/m.exec(me.cgroup)[1]);
	for (const [file, value, what] of [['memory.max', String(256 << 20), 'memory'], ['cpu.max', '100000 100000', 'processor time']]) {
		const at = path.join(cgroup, file);
		if (fs.existsSync(at))
			assert.equal(fs.readFileSync(at, 'utf8').trim(), value);
		else
			assert.match(evidence, new RegExp(`; no controller here for: .*${what}`));
	}
	const bomb = JSON.parse(await call(c, 'bomb', { count: 100 }));
	assert.ok(bomb.refused > 50, JSON.stringify(bomb));

	const other = JSON.parse(await call(open, 'whoami'));
	assert.notEqual(other.uid, me.uid, 'no two servers share a uid');
	const mine = JSON.parse(await call(await connect(t, agent, 'mine'), 'whoami'));
	assert.equal(mine.uid, CLIENT_UID);
	assert.equal(mine.cwd, '/usr');
});

test('who may have a server, and which one', needs(), async (t) => {
	const agent = await stdioAgent(t, {
		ok: (a) => fixture(a), mine: (a) => ({ ...fixture(a), user: 'caller' }),
		gone: () => ({ command: '/nonexistent/server' }),
		hashed: (a) => ({ ...fixture(a), sha256: crypto.createHash('sha256').update(fs.readFileSync(process.execPath)).digest('hex') }),
		wrong: (a) => ({ ...fixture(a), sha256: '0'.repeat(64) }),
	});
	const refused = async (id, why, options) => {
		const end = await raw(agent, id, options).ended;
		assert.match(end.err, why);
		assert.notEqual(end.code, 0);
		assert.equal(end.out, '');
	};
	await refused('ok', /zerogate run/, { governed: false });
	await refused('nothing', /not registered/);
	await refused('mine', /never as root/, { uid: 0 });
	await refused('gone', /find the command/);
	await refused('wrong', /sha256/);
	await agent.record((r) => r.kind === 'server.refuse' && r.server === 'wrong');
	const c = await connect(t, agent, 'hashed');
	assert.equal(text(await c.callTool({ name: 'echo', arguments: { text: 'hashed' } })), 'hashed');

	// what stands at the path may change; what is hashed is what runs
	const link = path.join(agent.dir, 'server');
	const script = '#!/bin/sh\nexec "$0.real"\n';
	fs.writeFileSync(link, script, { mode: 0o755 });
	agent.local('swapped', { command: link, sha256: crypto.createHash('sha256').update(script).digest('hex') });
	fs.rmSync(link);
	fs.symlinkSync('/bin/cat', link);
	assert.equal((await agent.zg(['reload'])).code, 0);
	await refused('swapped', /sha256/);
	// others could have written it
	fs.rmSync(link);
	fs.writeFileSync(link, script, { mode: 0o755 });
	fs.chmodSync(link, 0o777);
	agent.local('loose', { command: link });
	assert.equal((await agent.zg(['reload'])).code, 0);
	await refused('loose', /others can write/);
});

test('nothing outlives a session', needs(), async (t) => {
	const agent = await stdioAgent(t, { s: (a) => fixture(a, '--stay') });
	const gone = (pid) => until(() => !fs.existsSync(`/proc/${pid}`), `pid ${pid} to go`);
	const servers = path.join(agent.cgroup, 'zerogate.agent/servers');
	const empty = () => until(() => fs.readdirSync(servers, { withFileTypes: true }).every((e) => !e.isDirectory()), 'the cgroups to go');

	// the client closes its end: the server does not care, and is ended all the same
	let c = await connect(t, agent, 's');
	let child = await c.callTool({ name: 'child', arguments: {} });
	await c.close();
	await gone(text(child));
	await empty();

	// the client is killed
	let r = raw(agent, 's');
	r.say({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } });
	await r.hears((m) => m.id === 1);
	r.say({ id: 2, method: 'tools/call', params: { name: 'child', arguments: {} } });
	const pid = text((await r.hears((m) => m.id === 2)).result);
	r.child.kill('SIGKILL');
	await gone(pid);
	await empty();

	// the server dies: calls under way end with an error, and so does the session
	r = raw(agent, 's');
	r.say({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } });
	await r.hears((m) => m.id === 1);
	r.say({ id: 2, method: 'tools/call', params: { name: 'child', arguments: {} } });
	const second = text((await r.hears((m) => m.id === 2)).result);
	r.say({ id: 3, method: 'tools/call', params: { name: 'die', arguments: {} } });
	const answer = await r.hears((m) => m.id === 3);
	assert.ok(answer.result.isError, JSON.stringify(answer));
	const end = await within(r.ended, 'the session to end');
	assert.equal(end.code, 1);
	assert.match(end.err, /status 3/);
	await gone(second);
	const exit = await agent.record((x) => x.kind === 'server.exit' && x.status === 3);
	assert.equal(exit.server, 's');

	// a gateway is killed: the session ends, another can begin
	c = await connect(t, agent, 's');
	child = await c.callTool({ name: 'child', arguments: {} });
	const closed = new Promise((done) => { c.onclose = done; });
	await agent.kill('gateway');
	await within(closed, 'the session to end');
	await gone(text(child));
	await until(async () => JSON.parse((await agent.zg(['--json', 'status'])).stdout).workers_ready >= 1, 'a gateway');
	const again = await connect(t, agent, 's');
	assert.equal(text(await again.callTool({ name: 'echo', arguments: { text: 'back' } })), 'back');

	// its entry is withdrawn
	const over = new Promise((done) => { again.onclose = done; });
	fs.rmSync(path.join(agent.dir, 'etc/servers/s.json'));
	assert.equal((await agent.zg(['reload'])).code, 0);
	await within(over, 'the withdrawn session to end');
	await empty();
});

test('a failed server is started again where its entry says so', needs(), async (t) => {
	const agent = await stdioAgent(t, { s: (a) => ({ ...fixture(a), restart: 'on-failure' }) });
	const c = await connect(t, agent, 's');
	await c.callTool({ name: 'count', arguments: {} });
	const died = await c.callTool({ name: 'die', arguments: {} });
	assert.ok(died.isError);
	await until(async () => {
		const r = await c.callTool({ name: 'initialized', arguments: {} });
		return !r.isError && text(r) === '1';
	}, 'the new server, which was told the greeting again');
	assert.equal(text(await c.callTool({ name: 'count', arguments: {} })), '1', 'it is a new one');
	for (let i = 0; i < 2; i++) {
		await c.callTool({ name: 'die', arguments: {} });
		await until(async () => !(await c.callTool({ name: 'initialized', arguments: {} })).isError, 'another one');
	}
	const closed = new Promise((done) => { c.onclose = done; });
	await c.callTool({ name: 'die', arguments: {} }).catch(() => {});
	await within(closed, 'the session to end when it failed too often');
});

test('policy speaks on every message of a pipe', needs(), async (t) => {
	const agent = await stdioAgent(t, { s: (a) => fixture(a) });
	const r = raw(agent, 's');
	r.say({ id: 'i', method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: { roots: {} }, clientInfo: { name: 'x', version: '1' } } });
	await r.hears((m) => m.id === 'i');
	r.say({ method: 'notifications/initialized' });
	const tool = (id, name, args = {}) => r.say({ id, method: 'tools/call', params: { name, arguments: args } });

	tool(1, 'forbidden');
	const no = await r.hears((m) => m.id === 1);
	assert.match(text(no.result), /denied this call/);
	assert.ok(no.result.isError);

	tool(2, 'held_write'); // waits for a person, and nobody else waits for it
	tool(3, 'echo', { text: 'meanwhile' });
	assert.equal(text((await r.hears((m) => m.id === 3)).result), 'meanwhile');
	const approval = await agent.approval();
	assert.equal((await agent.zg(['approvals', 'approve', approval])).code, 0);
	assert.equal(text((await r.hears((m) => m.id === 2)).result), 'done');

	// one that takes progress hears of the wait, by the same pipe
	r.say({ id: 'p6', method: 'tools/call', params: { name: 'held_write', arguments: { n: 6 }, _meta: { progressToken: 'p6' } } });
	const wait = await r.hears((m) => m.method === 'notifications/progress' && m.params.progressToken === 'p6');
	const told = await agent.approval((x) => x.approval !== approval);
	assert.equal(wait.params.message, `waiting for approval ${told}`);
	assert.equal((await agent.zg(['approvals', 'approve', told])).code, 0);
	assert.equal(text((await r.hears((m) => m.id === 'p6')).result), 'done');

	tool(4, 'held_write', { n: 4 }); // a held call is cancelled: the server knows of none
	await agent.approval((x) => x.approval !== approval && x.approval !== told);
	r.say({ method: 'notifications/cancelled', params: { requestId: 4 } });

	tool(5, 'hang');
	const cut = await r.hears((m) => m.id === 5);
	assert.match(text(cut.result), /cut after 1 seconds/);
	await until(() => /server s: cancelled 5/.test(agent.logText()), 'the server to be told');

	tool(6, 'roots'); // a request of the server's
	const question = await r.hears((m) => m.method === 'roots/list');
	r.say({ id: question.id, result: { roots: [{ uri: 'file:///x' }] } });
	assert.match(text((await r.hears((m) => m.id === 6)).result), /file:\/\/\/x/);

	tool(7, 'notify', { text: 'key AKIAQYLPMN5HHHFPZAM2' });
	const note = await r.hears((m) => m.method === 'notifications/message');
	assert.match(note.params.data, /zerogate:aws/, 'scanned like everything else');
	tool(8, 'echo', { text: 'key AKIAQYLPMN5HHHFPZAM2' });
	assert.match(text((await r.hears((m) => m.id === 8)).result), /zerogate:aws/);

	tool(9, 'foreign');
	await r.hears((m) => m.id === 9);
	assert.ok(!r.messages().some((m) => m.id === 'nobody asked'));
	tool(10, 'garbage', { count: 5 });
	await r.hears((m) => m.id === 10);
	assert.ok(r.messages().every((m) => m.jsonrpc === '2.0' && (m.method || 'id' in m)), 'no garbage came through');

	for (const line of ['no json', '[]', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', '{"jsonrpc":"2.0","id":"\xff","method":"ping"}'])
		r.child.stdin.write(Buffer.from(line + '\n', 'latin1'));
	tool(11, 'echo', { text: 'still here' });
	assert.equal(text((await r.hears((m) => m.id === 11)).result), 'still here');
	assert.ok(r.messages().filter((m) => m.error && m.id === null).length >= 3);
	r.child.stdin.write('{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"echo","arguments":{"text":"' + 'x'.repeat(5 << 20) + '"}}}\n');
	await r.hears((m) => m.error && /too large/.test(m.error.message));
	tool(13, 'big', { bytes: 3 << 20 });
	assert.equal(text((await r.hears((m) => m.id === 13)).result).length, 3 << 20);

	// one message to us is one line to them: a carriage return between its values is
	// a blank in JSON, and the end of a line to who reads text
	r.child.stdin.write('{"jsonrpc":"2.0","id":20,"method":"ping","params":{"x":\r{"jsonrpc":"2.0","id":21,"method":"tools/call","params":{"name":"count"}}\r}}\n');
	tool(22, 'count');
	assert.equal(text((await r.hears((m) => m.id === 22)).result), '1', 'no call was smuggled past policy');
	await r.hears((m) => m.id === 20);
	tool(23, 'returns');
	await r.hears((m) => m.id === 23);
	await r.hears((m) => m.method === 'notifications/message' && m.params.data.id === 99);
	assert.ok(!r.out.includes('\r'), 'nor a question past it to the client');

	tool(14, 'log', { count: 500 });
	await r.hears((m) => m.id === 14);
	await until(() => /server s: log line 0 \\x1b/.test(agent.logText()), 'its log in ours');
	assert.doesNotMatch(agent.logText(), /AKIAQYLPMN5HHHFPZAM2/);
	assert.ok(agent.logText().match(/server s: log line/g).length < 100, 'at a bounded rate');

	r.child.stdin.end();
	const end = await within(r.ended, 'the end');
	assert.equal(end.code, 0);
	assert.equal(end.err, '');
	const odd = await agent.record((x) => x.kind === 'server.refuse' && x.server === 's');
	assert.match(odd.message, /15 lines that were no message, 1 messages not passed on/);
	await agent.record((x) => x.kind === 'call.intent' && x.tool === 'held_write');
});

test('a server that floods or stalls is bounded, and others do not notice', needs(), async (t) => {
	const agent = await stdioAgent(t, { s: (a) => fixture(a), other: (a) => fixture(a) }, { workers: 1 });
	const bad = raw(agent, 's'), good = await connect(t, agent, 'other');
	bad.say({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } });
	await bad.hears((m) => m.id === 1);
	bad.say({ id: 2, method: 'tools/call', params: { name: 'garbage', arguments: { count: 2000 } } });
	const end = await within(bad.ended, 'the flooding session to end');
	assert.match(end.err, /no message/);
	assert.equal(text(await good.callTool({ name: 'echo', arguments: { text: 'fine' } })), 'fine');

	// a server that reads nothing: its client is held up, nothing grows
	const stalled = raw(agent, 's');
	stalled.say({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } });
	await stalled.hears((m) => m.id === 1);
	stalled.say({ id: 2, method: 'tools/call', params: { name: 'stall', arguments: {} } });
	for (let i = 0; i < 64; i++)
		stalled.child.stdin.write(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: i, message: 'x'.repeat(1 << 20) } }) + '\n');
	assert.equal(text(await good.callTool({ name: 'echo', arguments: { text: 'fine' } })), 'fine');
	await new Promise((done) => setTimeout(done, 500));
	assert.ok(stalled.child.stdin.writableLength > 32 << 20, 'most of it still waits with the client');
	const rss = agent.pids('gateway').map((pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));
	assert.ok(Math.max(...rss) < 100 << 10, `${rss} kB`);
	stalled.child.kill('SIGKILL');
});
