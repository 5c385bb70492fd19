// SPDX-License-Identifier: Apache-2.0
// waiting.test.mjs - how a client is kept waiting for a person, with the official
// SDKs' clients at their default options: for each way a real approver decides
// once the call is seen waiting, the way is told from the wire, and the tool is
// executed exactly once at the server, whatever dies meanwhile.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs, scene, startAgent, until } from './agent.mjs';
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
    reason: Issues are seen by customers.
    remediation: Ask the release manager first.
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

// 2026-07-28 by hand, for what the SDKs would not do.
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
function modern(inside, url, capabilities = {}) {
	let id = 0;
	const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', [CAPABILITIES]: capabilities };
	return async (method, params, more) => {
		const reply = await inside.do('fetch', { url, ...more, headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, 'mcp-name': params.taskId ?? params.name },
			body: { jsonrpc: '2.0', id: ++id, method, params: { ...params, _meta: meta } } });
		return reply.error ? { lost: reply.error } : messages(reply).at(-1);
	};
}
const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
const back = (agent) => until(async () => (await agent.zg(['--json', 'approvals', 'list'])).code === 0, 'the ledger to be back');

test('a result that says to retry: in another session, after a restart, once', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, policy: POLICY, hold: 1, tools: {} });
	const inside = await agent.inside();
	for (const sdk of [1, 2]) {
		const params = { ...CALL, arguments: { title: `by SDK ${sdk}` } };
		const ask = () => inside.must('wait', { spec: { url: agent.url('github'), sdk, params } });
		const first = await ask();
		assert.equal(first.result.isError, true);
		const [, id] = /pending approval (ap-\w+)/.exec(said(first));
		assert.equal(first.wire.length, 1);
		assert.match(first.wire[0].type, /json/);
		assert.ok(first.ms < 30000); // the SDK waits for 60 s
		assert.equal((await agent.zg(['approvals', 'approve', id])).code, 0);
		const other = await inside.must('wait', { spec: { url: agent.url('github'), sdk, params: { ...CALL, arguments: { title: `not ${sdk}` } } } });
		assert.match(said(other), new RegExp(`as ${id} does not hold: args_changed`), 'another call hears why this does not do for it');
		await agent.kill();
		await agent.exited;
		await agent.start();
		assert.equal(said(await ask()), `created #${sdk}`, 'approved before the restart, executed after it');
		assert.equal((await ask()).result.isError, true, 'and once');
		assert.equal(server.executed.create_issue, sdk);
	}
});

test('a worker is killed while a call waits: its client goes on, nothing is done twice', needs(), async (t) => {
	const server = await startWaiting();
	const agent = await scene(t, { server, policy: POLICY, hold: 1, tools: {} });
	const inside = await agent.inside();
	const url = agent.url('github');
	const post = modern(inside, url), withTasks = modern(inside, url, TASKS);
	const killed = async () => {
		await agent.kill('gateway');
		await until(() => agent.pids('gateway').length > 0, 'gateways to be back');
		await back(agent);
	};
	const steady = async (ask) => { // while workers start, connections are refused
		let answer;
		await until(async () => !(answer = await ask()).lost, 'a worker to answer');
		return answer;
	};

	const round = (await post('tools/call', CALL)).result;
	assert.equal(round.resultType, 'input_required');
	await killed();
	const first = await approve(agent);
	const again = { ...CALL, requestState: round.requestState };
	assert.equal(said(await steady(() => post('tools/call', again))), 'created #1');
	const used = await post('tools/call', again);
	assert.match(said(used), /consumed/, 'and the same state a second time says why not');
	assert.equal(used.result.isError, true);

	const other = { name: 'create_issue', arguments: { title: 'as a task' } };
	const { taskId, status } = (await withTasks('tools/call', other)).result;
	assert.equal(status, 'working');
	await killed();
	assert.equal((await steady(() => withTasks('tasks/get', { taskId }))).result.status, 'working');
	await approve(agent, (r) => r.approval !== first);
	const done = (await withTasks('tasks/get', { taskId })).result;
	assert.equal(done.status, 'completed');
	assert.equal(done.result.content[0].text, 'created #2');
	const late = (await withTasks('tasks/get', { taskId })).result;
	assert.match(late.result.content[0].text, /consumed/);
	assert.equal(server.executed.create_issue, 2);
	// the stream of progress breaks with its worker: a legacy client calls again
	const legacy = await startServer();
	t.after(() => legacy.close());
	agent.register({ id: 'old', url: legacy.url(), risk_tags: ['prod'], tools: {} });
	assert.equal((await agent.zg(['reload'])).code, 0);
	const raw = await new RawClient(inside, agent.url('old')).open();
	const params = { ...CALL, arguments: { title: 'with progress' }, _meta: { progressToken: 'p' } };
	const broken = raw.request('tools/call', params).catch((e) => e);
	const id = await agent.approval((r) => r.server === 'old');
	await killed();
	await broken;
	assert.equal((await agent.zg(['approvals', 'approve', id])).code, 0);
	const retried = await steady(() => raw.request('tools/call', params).catch((e) => ({ lost: e })));
	assert.equal(retried.message.result.content[0].text, 'created #1');
	assert.equal(legacy.executed.create_issue, 1);
});

test('denied: the model reads why, in every way', needs(), async (t) => {
	const server = await startWaiting();
	const agent = await scene(t, { server, policy: POLICY, hold: 1, tools: {} });
	const inside = await agent.inside();
	const seen = [];
	for (const call of ['plain', 'tasks2']) {
		const waits = inside.must('wait', { spec: { url: agent.url('github'), sdk: 2, modern: true, call, params: { ...CALL, arguments: { title: call } } } });
		seen.push(await agent.approval((r) => !seen.includes(r.approval)));
		const { stdout } = await agent.zg(['--json', 'approvals', 'show', seen.at(-1)]);
		assert.equal(JSON.parse(stdout).why, 'people-decide: Issues are seen by customers.', 'the person reads why the rule asks');
		await agent.zg(['approvals', 'deny', seen.at(-1), '--reason', 'freeze until Monday']);
		const answer = await waits;
		assert.equal(answer.result?.isError, true, JSON.stringify(answer));
		assert.match(said(answer), /was denied: freeze until Monday \[rules: people-decide\]\. What can be done: Ask the release manager first\./);
	}
	assert.equal(server.executed.create_issue, undefined);
});

test('a retry that does not match any more hears why', needs(), async (t) => {
	const server = await startWaiting();
	const agent = await scene(t, { server, policy: POLICY, hold: 1, tools: {} });
	const inside = await agent.inside();
	const post = modern(inside, agent.url('github'));
	const { requestState } = (await post('tools/call', CALL)).result;
	await approve(agent);
	const changed = await post('tools/call', { ...CALL, arguments: { title: 'something else' }, requestState });
	assert.match(said(changed), /args_changed/);
	agent.policy(`${POLICY}  - {id: another, match: {labels: {mcp.server: other}}, decision: DENY}\n`);
	assert.equal((await agent.zg(['reload'])).code, 0);
	const policy = await post('tools/call', { ...CALL, requestState });
	assert.match(said(policy), /policy_changed/);
	assert.equal((await post('tools/call', { ...CALL, requestState: requestState.replace(/.$/, (c) => c === 'A' ? 'B' : 'A') })).error.code, -31010, 'nor does a forged one open');
	assert.equal(server.executed.create_issue, undefined);
});

test('taken back by its client: the approval is void, or nobody waits; nothing is executed', needs(), async (t) => {
	const server = await startWaiting(), legacy = await startServer();
	t.after(() => legacy.close());
	const agent = await scene(t, { server, policy: POLICY, hold: 30, tools: {}, servers: [{ id: 'old', url: legacy.url(), risk_tags: ['prod'], tools: {} }] });
	const inside = await agent.inside();
	const post = modern(inside, agent.url('github'), TASKS);
	const { taskId } = (await post('tools/call', CALL)).result;
	const id = await agent.approval();
	assert.equal((await post('tasks/cancel', { taskId })).result.resultType, 'complete');
	assert.equal((await agent.zg(['approvals', 'approve', id])).code, 1, 'there is nothing left to approve');
	assert.equal((await post('tasks/get', { taskId })).result.status, 'cancelled');
	assert.equal((await agent.record((r) => r.kind === 'approval.expire' && r.approval === id)).reason, 'cancelled');

	const gone = modern(inside, agent.url('github'))('tools/call', { ...CALL, arguments: { title: 'gone' } }, { cancel: 'gone' });
	await agent.approval((r) => r.approval !== id);
	await inside.must('cancel', { name: 'gone' });
	assert.equal((await gone).lost.code, 'CANCELLED');
	const left = await agent.record((r) => r.kind === 'call.deny' && /the client left/.test(r.message));
	await approve(agent, (r) => r.approval !== id);
	assert.ok(left);

	const raw = await new RawClient(inside, agent.url('old')).open();
	const held = raw.request('tools/call', { ...CALL, _meta: { progressToken: 7 } });
	const third = await agent.approval((r) => r.server === 'old');
	await raw.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: raw.id } });
	const { all } = await held;
	assert.match(JSON.stringify(all.at(-1)), /cancelled before it was dispatched/);
	assert.equal((await agent.zg(['approvals', 'approve', third])).code, 0);
	assert.equal(server.executed.create_issue, undefined);
	assert.equal(legacy.executed.create_issue, undefined);
});

test('what is read waits, too: resources and prompts', needs(), async (t) => {
	const server = await startWaiting(), legacy = await startServer();
	t.after(() => legacy.close());
	const agent = await scene(t, { server, policy: POLICY, hold: 1, tools: {}, servers: [{ id: 'old', url: legacy.url(), risk_tags: ['prod'], tools: {} }] });
	const inside = await agent.inside();
	const seen = [];
	for (const [call, params, text] of [['resource', { uri: 'file:///prod.md' }, (r) => r.contents[0].text], ['prompt', { name: 'release' }, (r) => r.messages[0].content.text]]) {
		const waits = inside.must('wait', { spec: { url: agent.url('github'), sdk: 2, modern: true, call, params } });
		seen.push(await agent.approval((r) => !seen.includes(r.approval)));
		assert.equal((await agent.zg(['approvals', 'approve', seen.at(-1)])).code, 0);
		const answer = await waits;
		assert.match(text(answer.result), /1$/, JSON.stringify(answer));
		assert.equal(server.executed[call], 1);
	}
	const pending = await inside.do('wait', { spec: { url: agent.url('old'), sdk: 1, call: 'resource', params: { uri: 'file:///readme.md' } } });
	assert.equal(pending.error.code, -31002);
	assert.match(pending.error.data.approval, /^ap-/);
});

test('a server\'s own rounds and ours: each round is approved, and its answers are not lost', needs(), async (t) => {
	const server = await startWaiting();
	const agent = await scene(t, { server, policy: POLICY + `  - {id: it-may-ask, match: {labels: {mcp.direction: server}}, decision: ALLOW}\n`, hold: 1, tools: {} });
	const inside = await agent.inside();
	const waits = inside.must('wait', { spec: { url: agent.url('github'), sdk: 2, modern: true, answers: { name: 'Ada' }, params: { name: 'confirm_issue', arguments: { title: 'x' } } } });
	const first = await agent.approval();
	await agent.record((r) => /another round/.test(r.message ?? ''));
	await approve(agent);
	const second = await agent.approval((r) => r.approval !== first);
	await agent.record((r) => /another round/.test(r.message ?? '') && r.approval === second);
	await approve(agent, (r) => r.approval === second);
	const answer = await waits;
	assert.equal(said(answer), 'created #1 for Ada', JSON.stringify(answer));
	assert.equal(server.executed.confirm_issue, 1);
});

test('progress on the streams of HTTP+SSE', needs(), async (t) => {
	const server = await startSse();
	t.after(() => server.close());
	const agent = await startAgent({ policy: POLICY, hold: 1, workers: 3, servers: [{ id: 'sse', type: 'sse', url: server.url(), risk_tags: ['prod'], tools: {} }] });
	t.after(() => agent.stop());
	const inside = await agent.inside();
	const waits = inside.must('wait', { spec: { url: `http://127.0.0.1:${agent.port}/sse/sse`, kind: 'sse', call: 'progress', params: CALL } });
	const id = await approve(agent);
	const answer = await waits;
	assert.equal(said(answer), 'created #1', JSON.stringify(answer));
	assert.equal(answer.notes[0].message, `waiting for approval ${id}`);
	assert.equal(server.executed.create_issue, 1);
});

test('a task id is its caller\'s alone: forged, cut, and foreign ones are refused', needs(), async (t) => {
	const server = await startWaiting();
	const agent = await scene(t, { server, policy: POLICY, hold: 1, tools: {} });
	const [mine, theirs] = [await agent.inside(), await agent.inside()];
	const url = agent.url('github');
	const [owner, thief] = [modern(mine, url, TASKS), modern(theirs, url, TASKS)];
	const { taskId } = (await owner('tools/call', CALL)).result;
	await approve(agent);
	const middle = taskId.length >> 1;
	const forged = taskId.slice(0, middle) + (taskId[middle] === 'A' ? 'B' : 'A') + taskId.slice(middle + 1);
	for (const [who, id] of [[thief, taskId], [owner, forged], [owner, taskId.slice(0, -4)], [owner, ''], [owner, 'x'.repeat(10000)]])
		for (const method of ['tasks/get', 'tasks/cancel']) {
			const answer = await who(method, { taskId: id });
			assert.ok(answer.error && !answer.result, `${method} ${id.slice(0, 20)}: ${JSON.stringify(answer).slice(0, 300)}`);
		}
	assert.equal(server.executed.create_issue, undefined, 'what was approved is not used by who may not');
	const done = (await owner('tasks/get', { taskId })).result;
	assert.equal(done.status, 'completed');
	assert.equal(done.result.content[0].text, 'created #1');
	assert.equal(server.executed.create_issue, 1);
});

test('a worker is killed while a task of 2025-11-25 waits: its client asks again, once', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, policy: POLICY, hold: 2, tools: {} });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const created = await raw.request('tools/call', { ...CALL, task: { ttl: 60000 } });
	const { taskId } = created.message.result.task;
	await agent.kill('gateway');
	await until(() => agent.pids('gateway').length > 0, 'gateways to be back');
	await back(agent);
	await approve(agent);
	let answer;
	await until(async () => {
		answer = await raw.request('tasks/result', { taskId }).catch(() => undefined);
		return answer?.message;
	}, 'a worker to answer');
	assert.equal(answer.message.result?.content?.[0]?.text, 'created #1', JSON.stringify(answer.message));
	assert.equal(server.executed.create_issue, 1);
});
