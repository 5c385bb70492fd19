// SPDX-License-Identifier: Apache-2.0
// calls.test.mjs - real clients and servers on either side of the gateway:
// every protocol version, both doors, both reply modes, the four decisions.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EXAMPLE, TOOLS, needs, startAgent } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';


describe('calls', needs(), () => {
	let agent, sse, json, inside;

	before(async () => {
		[sse, json] = await Promise.all([startServer(), startServer({ json: true })]);
		agent = await startAgent({ servers: [
			{ id: 'github', url: sse.url(), risk_tags: ['prod'], tools: TOOLS },
			{ id: 'jira', url: json.url('[::1]'), risk_tags: ['prod'], tools: TOOLS },
			{ id: 'other', url: sse.url('[::1]'), risk_tags: ['prod'], tools: TOOLS },
		] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([sse?.close(), json?.close()]);
	});

	const doors = () => ({
		'explicit, SSE': agent.url('github'), 'explicit over IPv6, JSON': agent.url('jira', '[::1]'),
		'transparent, SSE': sse.url(), 'transparent over IPv6, JSON': json.url('[::1]'),
	});

	for (const version of ['2025-03-26', '2025-06-18', '2025-11-25'])
		test(`protocol ${version} by hand through every door`, async () => {
			for (const [door, url] of Object.entries(doors())) {
				const raw = await new RawClient(inside, url).open(version);
				assert.equal(raw.initialized.status, 200, door);
				assert.equal(raw.initialized.message.result.protocolVersion, version, door);
				assert.match(raw.headers['mcp-session-id'], /^[!-~]+$/, door);
				assert.equal(raw.noted.status, 202, door);
				const { status, message } = await raw.call('read_issue', { number: 7 });
				assert.equal(status, 200, door);
				assert.deepEqual(message.result.content, [{ type: 'text', text: 'issue 7: the build is slow' }], door);
				assert.equal((await inside.do('fetch', { url, method: 'DELETE', headers: raw.headers })).status, 200, door);
				assert.equal((await raw.call('read_issue', { number: 7 })).status, 404, `${door}: the session is over`);
			}
		});

	for (const sdk of [1, 2])
		test(`the SDK ${sdk}.x client through every door`, async () => {
			for (const [door, url] of Object.entries(doors())) {
				const { server, instructions } = await inside.must('connect', { url, sdk });
				assert.equal(server.name, 'fixture', door);
				assert.equal(instructions, 'A fixture.', door);
				const { tools } = await inside.must('tools');
				assert.ok(tools.some((t) => t.name === 'create_issue'), door);
				assert.equal((await inside.tool('read_issue', { number: 1 })).content[0].text, 'issue 1: the build is slow');
				assert.equal((await inside.must('resource', { uri: 'file:///page/4' })).contents[0].text, 'page 4');
				assert.equal((await inside.must('prompt', { name: 'greet', args: { who: 'you' } })).messages[0].content.text, 'hello you');
				const failed = await inside.tool('fail');
				assert.equal(failed.isError, true);
				assert.match(failed.content[0].text, /the disk is on fire/);
				await inside.must('close');
			}
		});

	test('progress reaches the client that asked for it, before the result', async () => {
		await inside.must('connect', { url: agent.url('github'), client: 'progress' });
		const { result, notes } = await inside.must('tool', { client: 'progress', name: 'count_to', args: { n: 5 }, progress: true });
		assert.equal(result.content[0].text, 'counted to 5');
		assert.deepEqual(notes.map((n) => n.message), [1, 2, 3, 4, 5].map((i) => `step ${i}`));
	});

	test('a megabyte of result arrives whole', async () => {
		for (const [door, url] of Object.entries(doors())) {
			const raw = await new RawClient(inside, url).open();
			const { message } = await raw.call('big', { bytes: 1 << 20 });
			assert.equal(message.result.content[0].text.length, 1 << 20, door);
		}
	});

	test('ALLOW: a read, with the rule and the kernel\'s word for who asked in the record', async () => {
		const raw = await new RawClient(inside, agent.url('github')).open();
		const executed = sse.executed.read_issue ?? 0;
		await raw.call('read_issue', { number: 99 });
		assert.equal(sse.executed.read_issue, executed + 1);
		const { pid, uid, cgroup } = await inside.must('whoami');
		const intent = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'read_issue' && r.pid === pid, 'intent of the read');
		assert.equal(intent.decision, 'ALLOW');
		assert.match(intent.rules, /allow-read-approved-servers/);
		assert.equal(intent.uid, uid);
		assert.ok(cgroup.trim().endsWith(intent.cgroup.replace(/^\/?/, '/')), `${intent.cgroup} in ${cgroup}`);
		assert.match(intent.snapshot, /^[0-9a-f]{64}$/);
		const outcome = await agent.record((r) => r.kind === 'call.outcome' && r.call === intent.call && r.worker === intent.worker, 'its outcome');
		assert.equal(outcome.outcome, 'ok');
	});

	test('DENY: a server that no rule lists; the model can read why, the server sees nothing', async () => {
		const seen = sse.requests.length;
		const raw = await new RawClient(inside, agent.url('other'));
		const { status, message } = await raw.call('read_issue', { number: 1 });
		assert.equal(status, 200);
		assert.equal(message.result.isError, true);
		assert.match(message.result.content[0].text, /deny-unregistered-server/);
		assert.equal(sse.requests.length, seen);
		const record = await agent.record((r) => r.kind === 'call.deny' && r.server === 'other' && r.method === 'tools/call');
		assert.equal(record.decision, 'DENY');
	});

	test('DENY: a server that is not in the registry', async () => {
		const raw = new RawClient(inside, agent.url('nowhere'));
		const reply = await raw.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x', arguments: {} } });
		assert.match(reply.body, /not registered|unregistered/i);
		assert.ok(await agent.record((r) => ['call.deny', 'call.reject'].includes(r.kind) && r.server === 'nowhere'));
	});

	test('DENY: a method that nobody classified', async () => {
		const seen = sse.requests.length;
		const raw = new RawClient(inside, agent.url('github'));
		const { message } = await raw.request('admin/drop_everything', {});
		assert.ok(message.error, JSON.stringify(message));
		assert.equal(sse.requests.length, seen);
	});

	test('ALLOW_WITH_CONSTRAINTS: a non-prod write; the allowlist must contain the host', async () => {
		// The example allows api.github.com and api.slack.com alone: 127.0.0.1 is neither.
		const executed = sse.executed.create_draft ?? 0;
		const raw = await new RawClient(inside, agent.url('github')).open();
		const { message } = await raw.call('create_draft', { title: 'a' });
		assert.equal(message.result.isError, true);
		assert.match(message.result.content[0].text, /allowlist|127\.0\.0\.1/);
		assert.equal(sse.executed.create_draft ?? 0, executed);
	});

	test('two sessions in two workloads do not mix', async () => {
		const second = await agent.inside();
		const mine = await new RawClient(inside, agent.url('github')).open();
		const theirs = await new RawClient(second, agent.url('github')).open();
		assert.notEqual(mine.headers['mcp-session-id'], theirs.headers['mcp-session-id']);
		const answers = await Promise.all([1, 2, 3, 4].flatMap((n) => [mine.call('read_issue', { number: n }), theirs.call('read_issue', { number: -n })]));
		assert.deepEqual(answers.map((a) => a.message.result.content[0].text),
			[1, 2, 3, 4].flatMap((n) => [`issue ${n}: the build is slow`, `issue ${-n}: the build is slow`]));
		await second.end();
	});

	test('who is not governed is refused and told how', async () => {
		const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
		const reply = await fetch(agent.url('github'), { method: 'POST', body, headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' } });
		assert.equal(reply.status, 403);
		assert.match((await reply.json()).error.message, /zerogate run/);
	});

	test('the policy is the example of the documentation, unmodified', async () => {
		const { code, stdout } = await agent.zg(['policy', 'explain', '--json', '--config', agent.config, '-'],
			{ input: JSON.stringify({ server: 'github', tool: 'read_issue', method: 'tools/call', arguments: {} }) });
		assert.equal(code, 0);
		assert.equal(JSON.parse(stdout).decision, 'ALLOW', `by ${EXAMPLE}`);
	});
});
