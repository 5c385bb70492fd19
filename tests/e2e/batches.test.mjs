// SPDX-License-Identifier: Apache-2.0
// batches.test.mjs - several messages in one POST (2025-03-26): the server gets
// them one by one, each judged and recorded by itself.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, scene, startAgent } from './agent.mjs';
import { RawClient, messages } from './raw.mjs';
import { startServer } from './servers.mjs';

const CALL = (id, name, args = {}) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } });

for (const json of [true, false])
	describe(`batches, the server answers as ${json ? 'JSON' : 'streams'}`, needs(), () => {
		let agent, server, client;

		before(async () => {
			server = await startServer({ json });
			agent = await startAgent({ hold: 1, servers: [{ id: 'github', url: server.url(), risk_tags: ['prod'], tools: TOOLS }] });
			client = await new RawClient(await agent.inside(), agent.url('github')).open('2025-03-26');
		});
		after(async () => {
			await agent?.stop();
			await server?.close();
		});

		test('each is answered, in one array or one stream', async () => {
			const seen = server.requests.length;
			const reply = await client.post([CALL(1, 'read_issue', { number: 1 }), CALL('two', 'read_issue', { number: 2 }),
				{ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } }]);
			assert.equal(reply.status, 200, reply.body);
			const all = messages(reply).flat();
			assert.match(all.find((m) => m.id === 1).result.content[0].text, /issue 1/);
			assert.match(all.find((m) => m.id === 'two').result.content[0].text, /issue 2/);
			assert.equal(all.length, 2);
			assert.equal(server.requests.length, seen + 3);
			for (const { body } of server.requests.slice(seen))
				assert.ok(!body.startsWith('['));
			assert.equal(agent.records().filter((r) => r.kind === 'call.intent' && r.tool === 'read_issue').length, 2);
		});

		test('one that is held or denied does not touch the others', async () => {
			const reply = await client.post([CALL(11, 'create_issue', { title: 't' }), CALL(12, 'read_issue', { number: 3 }),
				{ jsonrpc: '2.0', id: 13, method: 'no/such' }]);
			const all = messages(reply).flat();
			assert.match(all.find((m) => m.id === 11).result.content[0].text, /pending approval/);
			assert.match(all.find((m) => m.id === 12).result.content[0].text, /issue 3/);
			assert.equal(all.find((m) => m.id === 13).error.code, -31001);
			assert.equal(server.executed.create_issue, undefined);
		});

		test('notifications alone are accepted', async () => {
			const reply = await client.post([{ jsonrpc: '2.0', method: 'notifications/initialized' }]);
			assert.equal(reply.status, 202);
			assert.equal(reply.body, '');
		});

		test('no batch: nothing in it, the same id twice, initialize in it, another version', async () => {
			const seen = server.requests.length;
			for (const [body, headers] of [[[]], [[CALL(1, 'read_issue'), CALL(1, 'read_issue')]],
				[[{ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }]],
				[[CALL(1, 'read_issue')], { 'mcp-protocol-version': '2025-06-18' }]]) {
				const reply = await client.post(body, headers);
				assert.equal(reply.status, 400);
				assert.equal(messages(reply)[0].error.code, -32600);
			}
			assert.equal(server.requests.length, seen);
		});
	});

test('members of a batch that wait are decided one by one, each once', needs(), async (t) => {
	const server = await startServer({ json: true });
	const agent = await scene(t, { server, hold: 30 });
	const client = await new RawClient(await agent.inside(), agent.url('github')).open('2025-03-26');
	const reply = client.post([CALL(1, 'create_issue', { title: 'yes' }), CALL(2, 'create_issue', { title: 'no' }), CALL(3, 'read_issue', { number: 3 })]);
	const first = await agent.approval();
	const second = await agent.approval((r) => r.approval !== first);
	const shown = JSON.parse((await agent.zg(['--json', 'approvals', 'show', first])).stdout);
	const [yes, no] = /"yes"/.test(shown.arguments) ? [first, second] : [second, first];
	assert.equal((await agent.zg(['approvals', 'deny', no])).code, 0);
	assert.equal((await agent.zg(['approvals', 'approve', yes])).code, 0);
	const all = messages(await reply).flat();
	assert.match(all.find((m) => m.id === 1).result.content[0].text, /created #1/);
	assert.match(all.find((m) => m.id === 2).result.content[0].text, /was denied/);
	assert.match(all.find((m) => m.id === 3).result.content[0].text, /issue 3/);
	assert.equal(server.executed.create_issue, 1);
});
