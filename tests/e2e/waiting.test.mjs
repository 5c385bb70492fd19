// SPDX-License-Identifier: Apache-2.0
// waiting.test.mjs - how a client is kept waiting for a person, with the official
// SDKs' clients at their default options: for each way a real approver decides
// once the call is seen waiting, the way is told from the wire, and the tool is
// executed exactly once at the server, whatever dies meanwhile.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs, scene, until } from './agent.mjs';
import { RawClient, messages } from './raw.mjs';
import { startServer, startSse } from './servers.mjs';
import { startWaiting } from './waiting_server.mjs';

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
    unless: {labels: {mcp.method: [resources/read, prompts/get]}}
  - id: people-decide
    match: {labels: {mcp.action: write, mcp.method: tools/call}}
    decision: REQUIRE_APPROVAL
  - id: people-decide-what-is-read
    match: {labels: {mcp.method: [resources/read, prompts/get]}}
    decision: REQUIRE_APPROVAL
`;
const CALL = { name: 'create_issue', arguments: { title: 'production' } };
const said = (answer) => answer.result?.content?.[0]?.text;

async function approve(agent, match) {
	const id = await agent.approval(match);
	const { code, stderr } = await agent.zg(['approvals', 'approve', id]);
	assert.equal(code, 0, stderr);
	return id;
}

// What each way looks like to the client, from its first answer to its last.
const ways = {
	rounds: { modern: true, sdk: 2, call: 'plain', hold: 2, server: startWaiting, async seen(agent, inside, call) {
		await agent.record((r) => /another round/.test(r.message ?? ''));
	}, wire(w, id) {
		assert.ok(w.length >= 2, 'the client came back');
		const [first, last] = [w[0].messages[0].result, w.at(-1)];
		assert.equal(first.resultType, 'input_required');
		assert.equal(first.inputRequests, undefined);
		assert.equal(last.params.requestState, w.at(-2).messages[0].result.requestState);
		assert.ok(!first.requestState.includes(id), 'what it holds is not for the client');
	} },
	'progress, SDK 1': { sdk: 1, call: 'progress', hold: 1, server: startServer, wire(w, id, notes) {
		assert.equal(w.length, 1);
		assert.match(w[0].type, /event-stream/);
		const heard = w[0].messages.filter((m) => m.method === 'notifications/progress');
		assert.equal(heard[0].params.message, `waiting for approval ${id}`);
		assert.equal(w[0].messages.at(-1).result.content[0].text, 'created #1');
		assert.ok(notes.length >= 1, 'the application hears it, too');
	} },
	'progress, SDK 2, answered as JSON': { sdk: 2, call: 'progress', hold: 1, server: () => startServer({ json: true }), wire(w, id, notes) {
		assert.equal(w.length, 1);
		assert.match(w[0].type, /event-stream/);
		assert.equal(notes[0].message, `waiting for approval ${id}`);
	} },
	'task of 2025-11-25': { sdk: 1, call: 'tasks1', hold: 2, server: startServer, wire(w, id, notes) {
		assert.equal(w[0].messages[0].result.task.status, 'working');
		assert.match(w[0].messages[0].result.task.statusMessage, new RegExp(id));
		assert.deepEqual([...new Set(notes.filter(Boolean))], ['working', 'input_required']);
		assert.equal(w.at(-1).method, 'tasks/result');
		const { _meta } = w.at(-1).messages.at(-1).result;
		assert.equal(_meta['io.modelcontextprotocol/related-task'].taskId, w[0].messages[0].result.task.taskId);
	} },
	'task of 2026-07-28': { modern: true, sdk: 2, call: 'tasks2', hold: 2, server: startWaiting, wire(w, id) {
		assert.equal(w[0].messages[0].result.resultType, 'task');
		const polls = w.filter((x) => x.method === 'tasks/get').map((x) => x.messages.at(-1).result);
		assert.equal(w[0].messages[0].result.status, 'working');
		assert.equal(polls.at(-1).status, 'completed');
		assert.equal(polls.at(-1).result.content[0].text, 'created #1');
	} },
};

for (const [name, way] of Object.entries(ways))
	test(`${name}: approved while it waits, executed once`, needs(), async (t) => {
		const server = await way.server();
		const agent = await scene(t, { server, policy: POLICY, hold: way.hold, tools: {} });
		const inside = await agent.inside();
		const call = inside.must('wait', { spec: { url: agent.url('github'), sdk: way.sdk, modern: way.modern, call: way.call, params: CALL } });
		const id = await agent.approval();
		await way.seen?.(agent, inside, call);
		assert.equal(server.executed.create_issue, undefined, 'nothing happens before the decision');
		await approve(agent);
		const answer = await call;
		assert.equal(said(answer), 'created #1', JSON.stringify(answer));
		assert.equal(server.executed.create_issue, 1);
		way.wire(answer.wire, id, answer.notes);
		assert.equal(agent.records().filter((r) => r.kind === 'approval.consume').length, 1);
		assert.equal(agent.records().filter((r) => r.kind === 'call.intent' && r.tool === 'create_issue').length, 1);
	});
