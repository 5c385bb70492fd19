// SPDX-License-Identifier: Apache-2.0
// upstream.test.mjs - servers that hang, flood, lie or speak garbage: a clear
// error in bounded time and memory, and other calls go on. And max_runtime_sec.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, quick, startAgent, until, within } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startHostile, startServer } from './servers.mjs';

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
  - id: short
    match: {labels: {mcp.action: write}, risk_tags: ["non_prod"]}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 2}
  - id: short-reads
    match: {labels: {mcp.tool: ["hang", "endless_sse", "flood", "slow_read"]}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 2}
`;

describe('servers that misbehave', needs(), () => {
	let agent, hostile, good, json, inside;

	before(async () => {
		[hostile, good, json] = await Promise.all([startHostile(), startServer(), startServer({ json: true })]);
		agent = await startAgent({ policy: POLICY, workers: 2, servers: [
			{ id: 'hostile', url: hostile.url(), tools: { '*': { action: 'read' } } },
			{ id: 'good', url: good.url(), tools: TOOLS },
			{ id: 'json', url: json.url(), tools: TOOLS },
		] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([hostile, good, json].map((s) => s?.close()));
	});

	const stillWorks = async () => {
		const raw = await new RawClient(inside, agent.url('good')).open();
		assert.equal((await raw.call('read_issue', { number: 2 })).message.result.content[0].text, 'issue 2: the build is slow');
	};

	for (const trick of ['garbage', 'invalid_json', 'duplicate_keys', 'gzip', 'html', 'redirect', 'half', 'wrong_id'])
		test(`${trick}: an error that says so, nothing of it reaches the client`, async () => {
			const raw = await new RawClient(inside, agent.url('hostile')).open();
			const reply = await raw.call(trick);
			assert.ok(reply.message, `an answer to this request: ${reply.status} ${reply.body}`);
			assert.ok(reply.message.error || reply.message.result.isError, reply.body);
			assert.doesNotMatch(reply.body, /compressed secret|two|hello|somebody else|this is not HTTP/);
			const record = await agent.record((r) => r.kind === 'call.outcome' && r.tool === trick);
			assert.notEqual(record.outcome, 'ok');
			await stillWorks();
		});

	for (const trick of ['hang', 'endless_sse'])
		test(`${trick}: cut at max_runtime_sec, the connection to the server ends`, async () => {
			const raw = await new RawClient(inside, agent.url('hostile')).open();
			await quick(3500, 'the cut', async () => {
				const closed = once(hostile, 'closed');
				const arrived = within(new Promise((done) => {
					hostile.on('request', ({ rpc }) => rpc.params?.name === trick && done());
				}), 'the call to arrive');
				const other = arrived.then(stillWorks);
				const began = performance.now();
				const reply = await raw.call(trick);
				const took = performance.now() - began;
				assert.ok(took > 1900, `cut after ${took} ms`);
				assert.ok(reply.message.error || reply.message.result.isError, reply.body);
				assert.match(reply.body, /max_runtime_sec|2 s/);
				await within(closed, 'the server to see the end');
				await other;
				return took;
			});
			assert.equal((await agent.record((r) => r.kind === 'call.outcome' && r.tool === trick)).outcome, 'timeout');
		});

	test('flood: memory stays bounded', async () => {
		const raw = await new RawClient(inside, agent.url('hostile')).open();
		const reply = await raw.call('flood');
		assert.ok(reply.message.error || reply.message.result.isError, reply.body.slice(0, 200));
		for (const pid of agent.pids('gateway')) {
			const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
			assert.ok(peak < 128 * 1024, `a worker grew to ${peak} kB`);
		}
		await stillWorks();
	});

	test('a server that is not there: a clear error', async () => {
		const port = hostile.port;
		await hostile.close();
		const raw = new RawClient(inside, agent.url('hostile'));
		const { message } = await raw.call('anything');
		assert.match(JSON.stringify(message.error ?? message.result), /reach|connect|refused/i);
		assert.ok(port);
		await stillWorks();
	});

	for (const id of ['good', 'json'])
		test(`max_runtime_sec cuts a real call (${id}), the server sees the cancel, the record says timeout`, async () => {
			const server = id === 'good' ? good : json;
			await inside.must('connect', { url: agent.url(id), client: id });
			const outcomes = () => agent.records().filter((r) => r.kind === 'call.outcome' && r.tool === 'slow_write' && r.server === id);
			await quick(3500, 'the cut', async () => {
				const earlier = outcomes().length;
				const cancelled = once(server, 'cancelled');
				const began = performance.now();
				const result = await inside.tool('slow_write', { label: id }, { client: id });
				assert.equal(result.isError, true);
				assert.match(result.content[0].text, /max_runtime_sec|2 s/);
				const [{ at }] = await within(cancelled, 'the server to see the cancel');
				assert.ok(at - began > 1900, `cut after ${at - began} ms`);
				const record = await until(() => outcomes()[earlier], 'the record of it');
				assert.equal(record.outcome, 'timeout');
				assert.equal(record.max_runtime_sec, 2);
				assert.ok(record.duration_us > 1.9e6);
				return Math.max(at - began, record.duration_us / 1000);
			});
			await inside.must('close', { client: id });
		});

	test('a client\'s own cancel reaches the server', async () => {
		await inside.must('connect', { url: agent.url('good'), client: 'impatient' });
		await quick(1500, 'the cancel, not the cut', async () => {
			const cancelled = once(good, 'cancelled'), executes = once(good, 'execute');
			const answer = inside.do('tool', { client: 'impatient', name: 'slow_read', args: {}, cancel: 'impatience' });
			await within(executes, 'the call to arrive');
			const left = performance.now();
			await inside.must('cancel', { name: 'impatience' });
			assert.ok((await answer).error);
			const [{ at }] = await within(cancelled, 'the server to see the cancel');
			return at - left;
		});
	});
});
