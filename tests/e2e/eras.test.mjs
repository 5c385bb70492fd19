// SPDX-License-Identifier: Apache-2.0
// eras.test.mjs - every version of the protocol on one URL: each message is
// refused in the words of its own version, and what is right goes through as it
// was written.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, startAgent, until } from './agent.mjs';
import { startConformanceServer } from './conformance_server.mjs';
import { RawClient, messages } from './raw.mjs';
import { Base, startServer } from './servers.mjs';

const META = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
const HEADERS = (method, name) => ({ 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...(name ? { 'mcp-name': name } : {}) });

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
`;

// A modern server by hand: it keeps what it was sent and answers with `answer`.
async function startModern() {
	const server = new Base();
	server.requests = [];
	return server.open((req, res) => {
		const chunks = [];
		req.on('data', (chunk) => chunks.push(chunk));
		res.on('close', () => server.emit('closed', { finished: res.writableFinished }));
		req.on('end', () => {
			const body = Buffer.concat(chunks).toString();
			server.requests.push({ method: req.method, headers: req.headers, body });
			if (server.answer)
				return server.answer(res, JSON.parse(body));
			res.writeHead(200, { 'content-type': 'application/json' })
				.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body).id, result: { resultType: 'complete', content: [] } }));
		});
	}, http);
}

describe('versions of the protocol', needs(), () => {
	let agent, modern, legacy, official, inside;

	before(async () => {
		modern = await startModern();
		legacy = await startServer();
		official = await startConformanceServer();
		agent = await startAgent({ policy: POLICY, servers: [
			{ id: 'modern', url: modern.url(), tools: TOOLS, extensions: { 'vendor/*': { action: 'read' } } },
			{ id: 'legacy', url: legacy.url(), tools: TOOLS },
			{ id: 'official', url: official.url(), tools: { '*': { action: 'read' } } }] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await modern?.close();
		await legacy?.close();
		await official?.close();
	});

	const post = (body, headers, more = {}) => inside.do('fetch', { url: agent.url('modern'), body, headers, ...more });
	const CALL = (name, more = {}) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {}, _meta: META, ...more } });

	test('a modern request goes through, bytes and headers', async () => {
		const body = ` ${JSON.stringify(CALL('read_x'), null, 1)}\n`;
		const reply = await post(body, { ...HEADERS('tools/call', 'read_x'), 'mcp-param-region': 'eu', 'mcp-session-id': undefined });
		assert.equal(reply.status, 200);
		const seen = modern.requests.at(-1);
		assert.equal(seen.body, body);
		assert.equal(seen.headers['mcp-name'], 'read_x');
		assert.equal(seen.headers['mcp-param-region'], 'eu');
		assert.equal(seen.headers['mcp-protocol-version'], '2026-07-28');
	});

	test('a name that is no plain ASCII is decoded before it is compared', async () => {
		const name = 'read_\u4e16';
		const coded = `=?base64?${Buffer.from(name).toString('base64')}?=`;
		assert.equal((await post(CALL(name), HEADERS('tools/call', coded))).status, 200);
		assert.equal(modern.requests.at(-1).headers['mcp-name'], coded);
	});

	const wrong = [
		['no Mcp-Method', CALL('read_x'), { 'mcp-protocol-version': '2026-07-28', 'mcp-name': 'read_x' }, 400, -32020],
		['no Mcp-Name', CALL('read_x'), HEADERS('tools/call'), 400, -32020],
		['another name in the header', CALL('create_issue'), HEADERS('tools/call', 'read_x'), 400, -32020],
		['another name, coded', CALL('create_issue'), HEADERS('tools/call', `=?base64?${Buffer.from('read_x').toString('base64')}?=`), 400, -32020],
		['another version in the header', CALL('read_x'), { ...HEADERS('tools/call', 'read_x'), 'mcp-protocol-version': '2025-11-25' }, 400, -32020],
		['no version in _meta', { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }, HEADERS('tools/list'), 400, -32602],
		['an unknown version', { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: { ...META, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } } },
			{ ...HEADERS('tools/list'), 'mcp-protocol-version': '2099-01-01' }, 400, -32022],
		['ping, which is gone', { jsonrpc: '2.0', id: 1, method: 'ping', params: { _meta: META } }, HEADERS('ping'), 404, -32601],
		['a method that never was', { jsonrpc: '2.0', id: 1, method: 'no/such', params: { _meta: META } }, HEADERS('no/such'), 404, -32601],
		['a response', { jsonrpc: '2.0', id: 1, result: {} }, { 'mcp-protocol-version': '2026-07-28' }, 400, -32600],
		['a batch', [CALL('read_x')], HEADERS('tools/call', 'read_x'), 400, -32600],
	];
	for (const [what, body, headers, status, code] of wrong)
		test(`refused: ${what}`, async () => {
			const seen = modern.requests.length;
			const reply = await post(body, headers);
			assert.equal(reply.status, status, reply.body);
			assert.equal(messages(reply)[0].error.code, code);
			assert.equal(modern.requests.length, seen);
			if (code === -32022)
				assert.deepEqual(messages(reply)[0].error.data.requested, '2099-01-01');
		});

	// Which argument a header repeats stands in the tool's schema: who has that compares them.
	test('Mcp-Param-* reach the server of the SDK, which compares them; its refusal comes back as it is', async () => {
		const send = (args, region) => inside.do('fetch', { url: agent.url('official'), body: CALL('test_header_params', { arguments: args }),
			headers: { ...HEADERS('tools/call', 'test_header_params'), ...region } });
		const right = [[{ region: 'eu' }, { 'mcp-param-region': 'eu' }], [{ region: 'eu', size: 42 }, { 'MCP-PARAM-REGION': 'eu', 'mcp-param-size': '42' }],
			[{ region: 'süd' }, { 'mcp-param-region': `=?base64?${Buffer.from('süd').toString('base64')}?=` }],
			[{ region: 'eu' }, { 'mcp-param-region': 'eu', 'mcp-param-nobody': 'knows' }]];
		for (const [args, headers] of right) {
			const reply = await send(args, headers);
			assert.equal(reply.status, 200, reply.body);
			assert.ok(messages(reply).at(-1).result.content, reply.body);
			for (const [name, value] of Object.entries(headers))
				assert.equal(official.requests.at(-1).headers[name.toLowerCase()], value);
		}
		const wrong = [{}, { 'mcp-param-region': 'us' }, { 'mcp-param-region': 'EU' }, { 'mcp-param-region': '=?base64?!?=' }];
		for (const headers of wrong) {
			const reply = await send({ region: 'eu' }, headers);
			assert.equal(reply.status, 400, reply.body);
			assert.equal(messages(reply)[0].error.code, -32020);
			assert.match(messages(reply)[0].error.message, /Region|header/i);
		}
	});

	test('GET and DELETE are 405 there', async () => {
		for (const method of ['GET', 'DELETE']) {
			const reply = await post(undefined, { 'mcp-protocol-version': '2026-07-28' }, { method });
			assert.equal(reply.status, 405);
			assert.equal(reply.headers.allow, 'POST');
		}
	});

	test('what the registry calls an extension is a method, of that server', async () => {
		const body = { jsonrpc: '2.0', id: 1, method: 'vendor/peek', params: { _meta: META } };
		assert.equal((await post(body, HEADERS('vendor/peek'))).status, 200);
		const other = await inside.do('fetch', { url: agent.url('legacy'), body, headers: HEADERS('vendor/peek') });
		assert.equal(other.status, 404);
	});

	test('a denial has the form of the version', async () => {
		const reply = await post(CALL('create_secret_thing'), HEADERS('tools/call', 'create_secret_thing'));
		const [message] = messages(reply);
		assert.equal(message.result.resultType, 'complete');
		assert.equal(message.result.isError, true);
	});

	test('closing the stream cancels the call', async () => {
		modern.answer = (res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).write(': wait\n\n');
		const closed = new Promise((done) => modern.once('closed', done));
		const seen = modern.requests.length;
		const gone = post(CALL('read_x'), HEADERS('tools/call', 'read_x'), { cancel: 'gone' });
		await until(() => modern.requests.length > seen, 'the call');
		await inside.must('cancel', { name: 'gone' });
		await gone.catch(() => {});
		await closed;
		modern.answer = undefined;
		assert.ok(await agent.record((r) => r.kind === 'call.outcome' && r.outcome === 'cancelled'));
	});

	for (const version of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])
		test(`a session of ${version}`, async () => {
			const client = await new RawClient(inside, agent.url('legacy')).open(version);
			assert.equal(client.initialized.message.result.protocolVersion, version);
			const reply = await client.call('read_issue', { number: 4 });
			assert.match(reply.message.result.content[0].text, /issue 4/);
		});

	test('what a modern client asks of a legacy server, that server answers', async () => {
		const body = { jsonrpc: '2.0', id: 1, method: 'server/discover', params: { _meta: META } };
		const seen = legacy.requests.length;
		const reply = await inside.do('fetch', { url: agent.url('legacy'), body, headers: HEADERS('server/discover') });
		assert.equal(legacy.requests.length, seen + 1);
		assert.equal(reply.status, 400);
	});
});
