// SPDX-License-Identifier: Apache-2.0
// network_allowlist on local servers: while a call runs that policy holds to a list,
// the kernel holds the server to it, too, with its children and the connections
// that it has; other calls wait, and find it as it was before.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { TYPE, startDns } from './dns.mjs';
import { CLIENT_UID, needs, startAgent, until, within } from './agent.mjs';
import { freePort } from './servers.mjs';

process.env.TMPDIR = '/run'; // servers have a /tmp of their own

const A = '127.0.7.1', B = '127.0.7.2', C = '127.0.7.3', ALL = [A, B, C];
const rule = (id, tool, list, seconds = 600) => `  - id: ${id}
    match: {labels: {mcp.tool: ${JSON.stringify(tool)}}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: ${seconds}, network_allowlist: ${JSON.stringify(list)}}
`;
const POLICY = `version: v1
rules:
  - id: all
    match: {labels: {mcp.server: "*"}}
    decision: ALLOW
${rule('a', ['a_*', 'ab_*'], [A])}${rule('b', ['b_*', 'ab_*'], [B, '127.0.9.9'])}${rule('short', 'b_hang', [B], 1)}`;

async function world(t, { network, ...options } = {}) {
	const agent = await startAgent({ policy: POLICY, ...options });
	t.after(() => agent.stop());
	const port = await freePort();
	const servers = ALL.map((host) => net.createServer((c) => { c.on('error', () => {}); c.pipe(c); }).listen(port, host));
	t.after(() => servers.forEach((s) => s.close()));
	await Promise.all(servers.map((s) => once(s, 'listening')));
	fs.writeFileSync(path.join(agent.dir, 'etc/servers/two.json'), JSON.stringify({
		name: 'dev.zerogate.test/two', description: 'two', version: '1.0.0',
		_meta: { 'dev.zerogate/registry': { id: 'two', command: agent.node, args: [path.join(agent.src, 'tests/e2e/narrow_fixture.mjs')],
			network: network?.(port) ?? [{ cidr: `${A}/32`, port }, { cidr: '127.0.7.2/31', port }] } },
	}));
	const done = await agent.zg(['reload']);
	assert.equal(done.code, 0, done.stderr + agent.logText());
	return { agent, port };
}

async function connect(t, agent) {
	const zg = [path.join(agent.bin, 'zerogate'), '--socket', agent.socket];
	const transport = new StdioClientTransport({ command: 'setpriv', args: ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups',
		...zg, 'run', '--', ...zg, 'stdio', 'two'], env: { PATH: process.env.PATH }, stderr: 'pipe', cwd: '/' });
	const client = new Client({ name: 'test', version: '1' });
	t.after(() => client.close());
	await within(client.connect(transport), 'connecting');
	client.tool = async (name, args = {}, options) => {
		const r = await client.callTool({ name, arguments: args }, undefined, { timeout: 300000, ...options });
		return r.isError ? r.content[0].text : JSON.parse(r.content[0].text);
	};
	return client;
}

const only = (result, ...hosts) => {
	for (const h of ALL)
		assert[hosts.includes(h) ? 'equal' : 'notEqual'](result[h], 'connected', `${h}: ${JSON.stringify(result)}`);
};

test('a call under a list, and the server is held to it', needs(), async (t) => {
	const { agent, port } = await world(t);
	const client = await connect(t, agent);
	const args = { hosts: ALL, port };

	only((await client.tool('free_dial', args)).first, ...ALL);
	const a = await client.tool('a_dial', args);
	only(a.first, A);
	only(a.last, A);
	const b = await client.tool('b_dial', args); // of the block, the one that the list names
	only(b.first, B);
	only((await client.tool('ab_dial', args)).first); // both lists at once: nothing is in both
	only((await client.tool('free_dial', args)).last, ...ALL);

	const intent = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'a_dial');
	assert.match(intent.narrowed, /^server:two\/[0-9a-f]{12}$/);
	const denied = await agent.record((r) => r.kind === 'kernel.deny' && r.address === B && r.profile === intent.narrowed);
	assert.equal(denied.port, port);
	const free = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'free_dial');
	assert.equal(free.narrowed, undefined);
});

test('its children are held to it, too, those that it had before included', needs(), async (t) => {
	const { agent, port } = await world(t);
	const client = await connect(t, agent);

	const under = await client.tool('a_child', { hosts: ALL, port });
	only(under.made, A);
	only(under.old, A);
	const free = await client.tool('free_child', { hosts: ALL, port });
	only(free.made, ...ALL);
	only(free.old, ...ALL);
});

test('a connection that it kept serves no call under another list', needs(), async (t) => {
	const { agent, port } = await world(t);
	const client = await connect(t, agent);
	const args = { hosts: [A, B], port };

	assert.deepEqual(await client.tool('free_keep', args), { [A]: 'connected', [B]: 'connected' });
	assert.deepEqual(await client.tool('free_use', args), { [A]: 'echo', [B]: 'echo' });
	const under = await client.tool('a_use', args);
	assert.equal(under[A], 'echo');
	assert.notEqual(under[B], 'echo');
	await agent.record((r) => r.kind === 'socket.destroy' && r.address === B && /^server:two\//.test(r.profile));
	assert.deepEqual(await client.tool('free_keep', args), { [A]: 'connected', [B]: 'connected' });
	assert.deepEqual(await client.tool('free_use', args), { [A]: 'echo', [B]: 'echo' });
});

test('calls under different lists at once reach exactly what is theirs', needs(), async (t) => {
	const { agent, port } = await world(t);
	const client = await connect(t, agent);
	const args = { hosts: ALL, port, wait: 300 };
	const names = ['a_dial', 'b_dial', 'a_dial', 'free_dial', 'free_dial', 'b_dial', 'ab_dial', 'a_dial'];
	const theirs = { a_dial: [A], b_dial: [B], ab_dial: [], free_dial: ALL };
	const results = await Promise.all(names.map((n) => client.tool(n, args)));

	results.forEach((r, i) => {
		only(r.first, ...theirs[names[i]]);
		only(r.last, ...theirs[names[i]]);
	});
	results.forEach((r, i) => results.forEach((q, k) => {
		if (names[i] !== names[k])
			assert.ok(r.ended <= q.began || q.ended <= r.began, `${names[i]} ${i} and ${names[k]} ${k} side by side`);
	}));
	// a busy machine may begin one so late that the other is over: not each time
	const together = async (what, ...calls) => {
		let got;
		await until(async () => {
			got = await Promise.all(calls.map((call) => call()));
			return got[0].began < got[1].ended && got[1].began < got[0].ended;
		}, what);
		return got;
	};
	await together('calls under one list to run together', () => client.tool('b_dial', args), () => client.tool('b_dial', args));
	// other sessions have servers of their own
	const other = await connect(t, agent);
	const [mine, its] = await together('sessions not to wait for each other', () => client.tool('a_dial', args), () => other.tool('b_dial', args));
	only(mine.last, A);
	only(its.last, B);
});

test('whatever ends a call, the next one finds the server as it was', needs(), async (t) => {
	const { agent, port } = await world(t, { workers: 1 });
	const client = await connect(t, agent);
	const args = { hosts: ALL, port };

	assert.match(String(await client.tool('b_hang').catch((e) => e)), /max_runtime|time/i);
	only((await client.tool('free_dial', args)).first, ...ALL);

	const stop = new AbortController();
	const hanging = client.tool('a_hang', {}, { signal: stop.signal }).catch((e) => e);
	await agent.record((r) => r.kind === 'call.intent' && r.tool === 'a_hang');
	const waiting = client.tool('free_dial', args);
	stop.abort();
	await hanging;
	only((await waiting).first, ...ALL);

	// the gateway dies in the middle of one: its sessions end, and new ones begin afresh
	client.tool('a_hang').catch(() => {});
	await until(() => agent.records().filter((r) => r.kind === 'call.intent' && r.tool === 'a_hang').length === 2, 'the call');
	const gone = new Promise((done) => { client.onclose = done; });
	await agent.kill('gateway');
	await within(gone, 'the end of the session');
	const again = await until(() => connect(t, agent).catch(() => null), 'a gateway again');
	only((await again.tool('free_dial', args)).first, ...ALL);
	only((await again.tool('a_dial', args)).first, A);
});

test('a list that a reload takes away in the middle of a call widens nothing', needs(), async (t) => {
	const { agent, port } = await world(t);
	const client = await connect(t, agent);
	const args = { hosts: ALL, port, wait: 3000 };
	const gone = new Promise((done) => { client.onclose = done; });
	const under = client.tool('a_dial', args).catch(() => 'ended');

	await agent.record((r) => r.kind === 'call.intent' && r.tool === 'a_dial');
	agent.policy(POLICY.replace(`["${A}"]`, `["${A}","${B}"]`));
	assert.equal((await agent.zg(['reload'])).code, 0);
	const result = await under; // the server ended, or was never wider
	if (result === 'ended' || typeof result === 'string')
		await within(gone, 'the end of the session');
	else
		only(result.last, A);
	const other = await connect(t, agent);
	only((await other.tool('a_dial', { hosts: ALL, port })).first, A, B);
});

test('names: what was looked up before the call counts in it, as far as the list goes', needs(), async (t) => {
	const zone = { 'a.test.example': A, 'b.test.example': B };
	const dns = await startDns((q) => (q.type === TYPE.A && zone[q.name] ? { answer: [[q.name, 'A', zone[q.name], 60]] } : { authority: [['example', 'SOA', 'ns.example', 30]] }));
	t.after(() => dns.close());
	const { agent, port } = await world(t, {
		policy: POLICY.replace(`["${A}"]`, '["a.test.example"]').replace(`["${B}","127.0.9.9"]`, '["*.test.example"]'),
		more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n`,
		network: (p) => [{ host: 'a.test.example', port: p, local: true }, { host: 'b.test.example', port: p, local: true }],
	});
	const client = await connect(t, agent);
	const names = { hosts: Object.keys(zone), port }, addresses = { hosts: [A, B], port };
	const both = (r) => assert.deepEqual(Object.values(r), ['connected', 'connected']);

	let under = (await client.tool('a_dial', addresses)).first; // nobody asked yet
	assert.deepEqual([under[A], under[B]], ['EPERM', 'EPERM']);
	both((await client.tool('free_dial', names)).first);
	under = (await client.tool('a_dial', addresses)).first;
	assert.equal(under[A], 'connected');
	assert.equal(under[B], 'EPERM');
	under = (await client.tool('a_dial', names)).first;
	assert.equal(under['a.test.example'], 'connected');
	assert.match(under['b.test.example'], /^E/);
	both((await client.tool('b_dial', names)).first); // *.test.example
	both((await client.tool('free_dial', addresses)).first);
});

test('a contained server stays so under whatever list', needs(), async (t) => {
	const { agent, port } = await world(t);
	const client = await connect(t, agent);
	let args;

	for (let wait = 1500; ; wait *= 4) { // contained while it waits between its two times, however long that takes
		args = { hosts: ALL, port, wait };
		const intents = () => agent.records().filter((r) => r.kind === 'call.intent' && r.tool === 'a_dial').length, before = intents();
		const under = client.tool('a_dial', args);
		await until(() => intents() > before, 'the call');
		assert.equal((await agent.zg(['contain', 'server:two', '--reason', 'test'])).code, 0);
		const contained = Date.now(), { last, again } = await under;
		if (again > contained) {
			only(last);
			break;
		}
		assert.ok(wait < 100000, 'it takes too long');
		assert.equal((await agent.zg(['resume', 'server:two', '--reason', 'test'])).code, 0);
	}
	args.wait = 0;
	only((await client.tool('a_dial', args)).first);
	only((await client.tool('free_dial', args)).first);
	assert.equal((await agent.zg(['resume', 'server:two', '--reason', 'test'])).code, 0);
	only((await client.tool('a_dial', args)).first, A);
	only((await client.tool('free_dial', args)).first, ...ALL);
});
