// SPDX-License-Identifier: Apache-2.0
// methods.test.mjs - no message passes that no rule allows, whatever it is: each
// method of either era, requests and notifications, streams and their end. A
// server on the official SDK counts what arrives.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { startConformanceServer } from './conformance_server.mjs';
import { RawClient, messages } from './raw.mjs';

const POLICY = `version: v1
rules:
  - id: greeting
    match: {labels: {mcp.method: [initialize, notifications/initialized]}}
    decision: ALLOW
`;
const MODERN = '2026-07-28';
const _meta = { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} };
const URI = 'test://static-text', TASK = { taskId: 'one' };
const BOTH = {
	'tools/list': {}, 'tools/call': { name: 'test_simple_text', arguments: {} },
	'resources/list': {}, 'resources/templates/list': {}, 'resources/read': { uri: URI },
	'prompts/list': {}, 'prompts/get': { name: 'test_simple_prompt' },
	'completion/complete': { ref: { type: 'ref/prompt', name: 'test_simple_prompt' }, argument: { name: 'a', value: 'b' } },
	'tasks/get': TASK, 'tasks/cancel': TASK,
};
const LEGACY = { ...BOTH, ping: {}, 'resources/subscribe': { uri: URI }, 'resources/unsubscribe': { uri: URI }, 'logging/setLevel': { level: 'debug' },
	'tasks/list': {}, 'tasks/result': TASK };
const STATELESS = { ...BOTH, 'server/discover': {}, 'subscriptions/listen': { notifications: { toolsListChanged: true } },
	'tasks/update': { ...TASK, inputResponses: {} } };
const NOTES = { 'notifications/cancelled': { requestId: 9 }, 'notifications/progress': { progressToken: 1, progress: 1 },
	'notifications/roots/list_changed': {}, 'notifications/tasks/status': { ...TASK, status: 'working' }, 'notifications/of/nobody': {} };

describe('a policy that allows no more than a greeting', needs(), () => {
	let agent, server, client, inside;

	before(async () => {
		server = await startConformanceServer();
		agent = await startAgent({ policy: POLICY, servers: [
			{ id: 'shut', url: server.url(), tools: { '*': { action: 'read' } } }] });
		inside = await agent.inside();
		client = await new RawClient(inside, agent.url('shut')).open('2025-11-25');
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	// Is it denied, recorded as that, and does nothing arrive?
	async function denied(method, send) {
		const arrived = server.requests.length;
		const told = () => agent.records().filter((r) => r.kind === 'call.deny' && r.method === method && r.decision === 'DENY').length, before = told();
		const reply = await send();
		assert.equal(server.requests.length, arrived, `${method} arrived`);
		await until(() => told() > before, `a record of ${method} denied`);
		return reply;
	}
	const isDenial = ([message]) => message.result?.isError === true || message.error?.code === -31001;

	for (const [method, params] of Object.entries(LEGACY))
		test(`2025-11-25, ${method}`, async () => {
			const reply = await denied(method, () => client.request(method, params));
			assert.ok(isDenial(messages(reply)), reply.body);
		});

	for (const [method, params] of Object.entries(STATELESS))
		test(`${MODERN}, ${method}`, async () => {
			const name = params.name ?? params.uri ?? params.taskId;
			const reply = await denied(method, () => inside.do('fetch', { url: agent.url('shut'),
				headers: { 'mcp-protocol-version': MODERN, 'mcp-method': method, ...(name ? { 'mcp-name': name } : {}) },
				body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } } }));
			assert.ok(isDenial(messages(reply)), reply.body);
		});

	for (const [method, params] of Object.entries(NOTES))
		test(`notification ${method}`, () => denied(method, () => client.post({ jsonrpc: '2.0', method, params })));

	test('an answer to what the server might have asked', () => denied('response', () => client.post({ jsonrpc: '2.0', id: 'x', result: { roots: [] } })));
	test('a stream that only listens', () => denied('stream/open', () => client.post(undefined, { accept: 'text/event-stream' }, { method: 'GET' })));
	test('the end of a session', () => denied('session/delete', () => client.post(undefined, {}, { method: 'DELETE' })));
});
