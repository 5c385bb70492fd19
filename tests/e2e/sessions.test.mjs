// SPDX-License-Identifier: Apache-2.0
// sessions.test.mjs - what clients keep for the gateway: sessions, request
// states, places in a stream. They outlive workers, the agent and a reload, and
// are worth nothing to anybody else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { TOOLS, needs, scene, until, within } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const read = (raw, number = 1) => raw.call('read_issue', { number });
const fine = (reply) => assert.match(reply.body, /the build is slow/, `${reply.status} ${reply.body}`);
const rejected = (agent, why) => agent.record((r) => r.kind === 'call.reject' && why.test(r.reason), String(why));

test('a session belongs to the run that opened it', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, workers: 2 });
	const [mine, thief] = await Promise.all([agent.inside(), agent.inside()]);
	for (const url of [agent.url('github'), server.url()]) {
		const raw = await new RawClient(mine, url).open();
		const given = raw.headers['mcp-session-id'];
		assert.ok(!server.sessions.has(given), 'the client never sees the id of the server');
		fine(await read(raw));
		assert.ok(server.sessions.has(server.requests.at(-1).headers['mcp-session-id']), 'the server sees its own');

		const stolen = new RawClient(thief, url);
		stolen.headers = { ...raw.headers };
		const before = server.requests.length;
		const refused = await read(stolen);
		assert.equal(refused.status, 404);
		await rejected(agent, /belongs to another/);
		stolen.headers['mcp-session-id'] = server.requests.at(-1).headers['mcp-session-id'];
		assert.deepEqual((await read(stolen)).message.error, refused.message.error, 'no more is told');
		await rejected(agent, /no token/);
		raw.headers['mcp-session-id'] = given.slice(0, 60) + (given[60] === 'A' ? 'B' : 'A') + given.slice(61);
		assert.deepEqual((await read(raw)).message.error, refused.message.error);
		await rejected(agent, /tampered/);
		assert.equal(server.requests.length, before, 'nothing of it arrived');
	}
});

test('a session outlives the workers, the agent and a reload, not its registration', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, workers: 3 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	fine(await read(raw));
	await agent.kill('gateway');
	fine(await until(async () => {
		const reply = await read(raw).catch(() => null);
		return reply?.status === 200 && reply;
	}, 'the gateway to be back'));
	assert.equal((await agent.zg(['reload'])).code, 0);
	fine(await read(raw));
	await agent.halt();
	await agent.start();
	fine(await read(raw));
	assert.equal(server.sessions.size, 1, 'it has been one session all the time');
	fs.rmSync(path.join(agent.dir, 'etc/servers/github.json'));
	assert.equal((await agent.zg(['reload'])).code, 0);
	assert.match((await read(raw)).body, /not registered/);
});

test('clients go on while workers are killed', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, workers: 3, tools: TOOLS });
	const inside = await agent.inside();
	const clients = Array.from({ length: 8 }, (_, i) => `c${i}`);
	for (const [i, client] of clients.entries())
		await inside.must('connect', { url: i % 2 ? server.url() : agent.url('github'), client, sdk: 1 + (i >> 1) % 2 });
	const sessions = server.sessions.size;
	let killing = true, lost = 0, done = 0;
	const work = clients.map(async (client) => {
		for (let n = 0; killing; n++) {
			const answer = await inside.do('tool', { client, name: 'read_issue', args: { number: n }, options: { timeout: 30000 } });
			if (answer.error)
				lost++; // the worker that had it: the next one must be taken
			else {
				done++;
				assert.equal(answer.result.content[0].text, `issue ${n}: the build is slow`, client);
			}
		}
	});
	for (let round = 0; round < 6; round++) {
		const pids = await until(() => {
			const now = agent.pids('gateway');
			return now.length === 3 && now;
		}, 'all workers to be back');
		const target = done + 100;
		process.kill(pids[Math.floor(Math.random() * pids.length)], 'SIGKILL');
		await until(() => done > target, 'calls to go on', 180000);
	}
	killing = false;
	await within(Promise.all(work), 'the clients to end', 180000);
	assert.ok(lost <= 6 * clients.length, `${lost} calls were lost, ${done} done`);
	assert.equal(server.sessions.size, sessions, 'nobody had to begin anew');
	for (const client of clients)
		assert.equal((await inside.tool('read_issue', { number: 1 }, { client })).content[0].text, 'issue 1: the build is slow');
});

test('a server ends a stream and is asked again for the answer', needs(), async (t) => {
	const server = await startServer({ resumable: true });
	const agent = await scene(t, { server, workers: 2 });
	const inside = await agent.inside();
	for (const sdk of [1, 2]) {
		let release;
		server.later = new Promise((done) => { release = done; });
		await inside.must('connect', { url: agent.url('github'), sdk, client: `c${sdk}` });
		const call = inside.tool('read_later', {}, { client: `c${sdk}` });
		const asked = new Promise((done) => server.on('request', (r) => r.headers['last-event-id'] && done(r)));
		const { headers } = await within(asked, 'the client to ask from where it was');
		assert.match(headers['last-event-id'], /#\d+$/, 'with the id of the server');
		release();
		assert.equal((await call).content[0].text, 'here it is');
	}
	await agent.record((r) => r.kind === 'call.outcome' && r.outcome === 'deferred', 'deferred');
});

// 2026-07-28: asks once, and answers the retry that brings its state back.
async function startRounds() {
	const seen = [];
	const listener = http.createServer(async (req, res) => {
		let text = '';
		for await (const chunk of req)
			text += chunk;
		const { id, params } = JSON.parse(text);
		seen.push(params.requestState);
		const result = params.requestState === 'the "state" of é'
			? { resultType: 'complete', content: [{ type: 'text', text: 'both rounds' }] }
			: { resultType: 'input_required', requestState: 'the "state" of é' };
		res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, result }));
	}).listen(0, '127.0.0.1');
	await once(listener, 'listening');
	return { seen, url: () => `http://127.0.0.1:${listener.address().port}/mcp`, close: () => listener.close() };
}

test('a request state is good for one retry, of the same call, on any worker', needs(), async (t) => {
	const server = await startRounds();
	const agent = await scene(t, { server, workers: 3 });
	const [mine, thief] = await Promise.all([agent.inside(), agent.inside()]);
	let id = 0;
	const call = (who, more, args = {}) => who.do('fetch', { url: agent.url('github'),
		headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'read_it' },
		body: { jsonrpc: '2.0', id: ++id, method: 'tools/call', params: { name: 'read_it', arguments: args, ...more,
			_meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } } });
	const first = async () => JSON.parse((await call(mine, {})).body).result.requestState;

	const state = await first();
	assert.match(state, /^[\w-]+$/);
	assert.equal((await call(thief, { requestState: state })).status, 400);
	await rejected(agent, /belongs to another/);
	assert.equal((await call(mine, { requestState: state }, { other: 1 })).status, 400);
	assert.equal((await call(mine, { requestState: 'the "state" of é' })).status, 400);
	assert.match((await call(mine, { requestState: state, inputResponses: {} })).body, /both rounds/);
	assert.deepEqual(server.seen, [undefined, 'the "state" of é']);
	for (let i = 0; i < 10; i++) // whichever worker takes it
		assert.match((await call(mine, { requestState: state })).body, /used before/);

	// The ledger remembers across its own death.
	const second = await first();
	assert.match((await call(mine, { requestState: second })).body, /both rounds/);
	await agent.kill('ledger');
	await until(async () => (await agent.zg(['--json', 'approvals', 'list'])).code === 0, 'the ledger to be back');
	assert.match((await call(mine, { requestState: second })).body, /used before/);
});
