// SPDX-License-Identifier: Apache-2.0
// server_requests.test.mjs - what servers ask of clients: on streams, and as
// input requests inside results. Decided by policy, recorded, answered in the
// client's place where it is denied.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { RawClient, messages } from './raw.mjs';
import { Base } from './servers.mjs';

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
  - id: ask-people
    match: {labels: {mcp.direction: server, mcp.method: elicitation/create}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {network_allowlist: [login.example]}
`;

// tools/call asks what its arguments say, on its stream, and answers with what
// it was told; or, of a modern client, asks inside the result.
async function startAsking() {
	const server = new Base();
	server.waiting = new Map();
	server.posted = [];
	return server.open((req, res) => {
		const chunks = [];
		req.on('data', (chunk) => chunks.push(chunk));
		req.on('end', () => {
			const rpc = JSON.parse(Buffer.concat(chunks).toString() || '{}');
			const reply = (result) => res.writeHead(200, { 'content-type': 'application/json' })
				.end(JSON.stringify({ jsonrpc: '2.0', id: rpc.id, result }));
			server.posted.push(rpc);
			if (!rpc.method && rpc.id !== undefined) {
				res.writeHead(202).end();
				return server.waiting.get(rpc.id)?.(rpc);
			}
			if (rpc.id === undefined)
				return res.writeHead(202).end();
			if (rpc.method === 'initialize')
				return reply({ protocolVersion: rpc.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'asking', version: '1' } });
			const { method, params } = rpc.params.arguments;
			if (rpc.params._meta)
				return reply({ resultType: 'input_required', inputRequests: { k: { method, params } } });
			res.writeHead(200, { 'content-type': 'text/event-stream' });
			res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: 'ask', method, params })}\n\n`);
			server.waiting.set('ask', (answer) => res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id: rpc.id,
				result: { content: [{ type: 'text', text: JSON.stringify(answer.error ?? answer.result) }] } })}\n\n`));
		});
	}, http);
}

describe('requests of servers', needs(), () => {
	let agent, server, inside, client;

	before(async () => {
		server = await startAsking();
		agent = await startAgent({ policy: POLICY, servers: [{ id: 'asking', url: server.url(), tools: { ask: { action: 'read' } } }] });
		inside = await agent.inside();
		client = await new RawClient(inside, agent.url('asking')).open();
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	const URL_PARAMS = (host) => ({ mode: 'url', elicitationId: 'e', url: `https://${host}/`, message: 'm' });
	const recorded = (kind, method) => agent.record((r) => r.kind === kind && r.method === method && r.direction === 'server');

	test('what policy allows reaches the client, and its answer the server', async () => {
		const call = client.call('ask', { method: 'roots/list', params: {} });
		await recorded('server.request', 'roots/list');
		assert.equal((await client.post({ jsonrpc: '2.0', id: 'ask', result: { roots: [] } })).status, 202);
		const { all } = await call;
		assert.deepEqual(all.map((m) => m.method ?? 'result'), ['roots/list', 'result']);
		assert.equal(all[1].result.content[0].text, '{"roots":[]}');
	});

	for (const [what, method, params, why] of [
		['sampling, which no rule opens', 'sampling/createMessage', { messages: [], maxTokens: 1 }, /DENY/],
		['a URL that the allowlist does not hold', 'elicitation/create', URL_PARAMS('evil.example'), /network_allowlist/],
		['a method that is none', 'tools/list', {}, /unknown/]])
		test(`denied: ${what}; the server is told, the client sees nothing`, async () => {
			const { all } = await client.call('ask', { method, params });
			assert.equal(all.length, 1);
			const error = JSON.parse(all[0].result.content[0].text);
			assert.equal(error.code, -31001);
			assert.match(error.message, why);
			await recorded('call.deny', method);
		});

	const modern = (method, params) => inside.do('fetch', { url: agent.url('asking'),
		headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'ask' },
		body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'ask', arguments: { method, params }, _meta: {
			'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } } } } });

	test('input requests inside a result are decided the same way', async () => {
		const [fine] = messages(await modern('elicitation/create', URL_PARAMS('login.example')));
		assert.equal(fine.result.resultType, 'input_required');
		assert.equal(fine.result.inputRequests.k.params.url, 'https://login.example/');
		for (const [method, params] of [['sampling/createMessage', {}], ['elicitation/create', URL_PARAMS('evil.example')]]) {
			const [message] = messages(await modern(method, params));
			assert.equal(message.result.isError, true);
			assert.match(message.result.content[0].text, new RegExp(method));
			assert.equal(message.result.inputRequests, undefined);
		}
		assert.ok(await agent.record((r) => r.kind === 'call.outcome' && r.outcome === 'ask_denied'));
	});

	test('nothing that was denied arrived anywhere else', async () => {
		await until(() => server.posted.filter((m) => m.error).length === 3, 'the errors');
		assert.equal(server.posted.filter((m) => m.result).length, 1);
	});
});
