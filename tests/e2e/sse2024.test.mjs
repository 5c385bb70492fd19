// SPDX-License-Identifier: Apache-2.0
// sse2024.test.mjs - the HTTP+SSE transport of 2024-11-05 with the official
// SDK's client and server: calls, the four decisions, cuts, redaction, and
// messages that arrive at another worker than the one that holds the stream.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, startAgent, until, within } from './agent.mjs';
import { plant } from './planted.mjs';
import { startSse } from './servers.mjs';

const POLICY = `version: v1
rules:
  - {id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}
  - {id: asks, match: {labels: {mcp.action: write}, risk_tags: [prod]}, decision: REQUIRE_APPROVAL}
  - id: bounded
    match: {labels: {mcp.action: write}, risk_tags: [non_prod]}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 1}
`;

// Its stream names an endpoint on another port of the same host.
async function startAway() {
	const listener = http.createServer((req, res) => {
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.write('event: endpoint\ndata: http://127.0.0.1:1/messages\n\n');
	}).listen(0, '127.0.0.1');
	await once(listener, 'listening');
	return { url: () => `http://127.0.0.1:${listener.address().port}/sse`, close() {
		listener.closeAllConnections();
		listener.close();
	} };
}

describe('HTTP+SSE of 2024-11-05', needs(), () => {
	let agent, server, away, inside;

	before(async () => {
		[server, away] = await Promise.all([startSse(), startAway()]);
		agent = await startAgent({ workers: 3, hold: 2, policy: POLICY, servers: [
			{ id: 'old', type: 'sse', url: server.url(), risk_tags: ['prod'],
				tools: { ...TOOLS, 'slow_write': { action: 'write', risk_tags: ['non_prod'] } } },
			{ id: 'away', type: 'sse', url: away.url(), risk_tags: ['prod'], tools: TOOLS },
		] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([server?.close(), away?.close()]);
	});

	const doors = () => ({ explicit: `http://127.0.0.1:${agent.port}/old/sse`,
		'explicit, as any server': agent.url('old'), transparent: server.url() });

	test('the SDK client through every door', async () => {
		for (const [door, url] of Object.entries(doors())) {
			await inside.must('connect', { url, sdk: 'sse' });
			assert.ok((await inside.must('tools')).tools.length > 5, door);
			for (let i = 0; i < 20; i++) // whichever worker takes the POST
				assert.equal((await inside.tool('read_issue', { number: i })).content[0].text, `issue ${i}: the build is slow`, door);
			assert.equal((await inside.must('resource', { uri: 'file:///page/4' })).contents[0].text, 'page 4');
			await inside.must('close');
		}
		await until(() => server.streams === 0, 'the streams to end');
	});

	test('a denial and a held call reach the client on its stream', async () => {
		for (let i = 0; i < 6; i++) { // until a POST has met another worker, and more
			await inside.must('connect', { url: doors().explicit, sdk: 'sse' });
			const held = await inside.tool('create_issue', { title: `t${i}` });
			assert.equal(held.isError, true);
			assert.match(held.content[0].text, /pending approval/);
			const unknown = await inside.do('fetch', { url: agent.url('old'), body: { jsonrpc: '2.0', id: 1, method: 'ping' } });
			assert.equal(unknown.status, 405);
			await inside.must('close');
		}
		assert.equal(server.executed.create_issue ?? 0, 0);
	});

	test('an approved call is executed once', async () => {
		await inside.must('connect', { url: doors().transparent, sdk: 'sse' });
		const pending = async () => (await agent.zg(['--json', 'approvals', 'list'])).rows;
		const before = (await pending()).length;
		const call = inside.tool('create_issue', { title: 'yes' });
		const rows = await until(async () => {
			const now = await pending();
			return now.length > before && now;
		}, 'the call to be held');
		assert.equal((await agent.zg(['approvals', 'approve', rows.at(-1).approval])).code, 0);
		assert.match((await call).content[0].text, /created #1/);
		assert.equal(server.executed.create_issue, 1);
		await inside.must('close');
	});

	test('a call that takes too long is cut and cancelled', async () => {
		await inside.must('connect', { url: doors().explicit, sdk: 'sse' });
		const cancelled = new Promise((done) => server.once('cancelled', done));
		const result = await inside.tool('slow_write', { label: 'x' });
		assert.equal(result.isError, true);
		assert.match(result.content[0].text, /cut after 1 seconds .*bounded/);
		await within(cancelled, 'the server to be told');
		await agent.record((r) => r.kind === 'call.outcome' && r.outcome === 'timeout', 'the outcome');
		await inside.must('close');
	});

	test('what a server says on its stream is scanned', async () => {
		server.secrets.key = plant()['github-token'];
		await inside.must('connect', { url: doors().explicit, sdk: 'sse' });
		const leaked = JSON.stringify(await inside.tool('leak', { where: 'text' }));
		assert.ok(!leaked.includes(server.secrets.key));
		assert.match(leaked, /\[zerogate:/);
		await inside.must('close');
	});

	test('an endpoint on another origin is refused', async () => {
		const answer = await inside.do('fetch', { url: `http://127.0.0.1:${agent.port}/away/sse`, method: 'GET' });
		assert.ok(!answer.body.includes('messages'), answer.body);
		await agent.record((r) => r.kind === 'call.outcome' && r.server === 'away' && /registered host and port/.test(r.message), 'why');
	});

	test('the endpoint of one run is of no use to another', async () => {
		const thief = await agent.inside();
		await inside.must('open', { name: 'stream', host: '127.0.0.1', port: agent.port });
		await inside.must('send', { name: 'stream', text: `GET /old/sse HTTP/1.1\r\nHost: 127.0.0.1:${agent.port}\r\nAccept: text/event-stream\r\n\r\n` });
		const [, path] = await until(async () => /data: (\/old\/messages\?token=[\w-]+)\s/.exec((await inside.must('received', { name: 'stream' })).text), 'the endpoint');
		const post = { url: `http://127.0.0.1:${agent.port}${path}`, body: { jsonrpc: '2.0', id: 1, method: 'ping' } };
		assert.equal((await thief.do('fetch', post)).status, 404);
		await agent.record((r) => r.kind === 'call.reject' && /belongs to another/.test(r.reason), 'the theft');
		assert.notEqual((await inside.do('fetch', post)).body.includes('not known here'), true);
	});
});
