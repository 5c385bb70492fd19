// SPDX-License-Identifier: Apache-2.0
// limits.test.mjs - constraints that count, with the official SDKs' clients and
// several workers: rates, calls at once, retries, the size and the content of
// what a server says.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, startAgent, until } from './agent.mjs';
import { plant } from './planted.mjs';
import { RawClient, messages } from './raw.mjs';
import { startServer, startSse } from './servers.mjs';

const rule = (id, match, constraints, decision = 'ALLOW_WITH_CONSTRAINTS') =>
	`  - ${JSON.stringify({ id, match, decision, constraints })}\n`;
const POLICY = `version: v1
rules:
  - {id: all, match: {}, decision: ALLOW}
${rule('paced', { labels: { 'mcp.tool': 'read_issue', 'mcp.server': 'github' } }, { rate: { calls: 6, per: 'hour', by: ['principal', 'server'] } })
+ rule('daily', { labels: { 'mcp.tool': 'create_issue' } }, { rate: [{ calls: 1, per: 'day' }, { calls: 100, per: 'second' }] }, 'REQUIRE_APPROVAL')
+ rule('pair', { labels: { 'mcp.server': 'old', 'mcp.tool': 'create_draft' } }, { max_concurrent: 1 })
+ rule('batched', { labels: { 'mcp.server': 'jira', 'mcp.tool': 'create_draft' } }, { rate: { calls: 3, per: 'day', by: ['tool', 'cgroup'] } })
+ rule('few', { labels: { 'mcp.tool': 'slow_read' } }, { max_concurrent: 2, max_runtime_sec: 1800 })
+ rule('tries', { labels: { 'mcp.tool': 'fail' } }, { max_retries: 1 })
+ rule('small', { labels: { 'mcp.tool': ['big', 'count_to'] } }, { max_output_bytes: 4000 })
+ rule('strict', { labels: { 'mcp.tool': 'leak', 'mcp.server': 'github' } }, { redact: 'strict' })
+ rule('clean', { labels: { 'mcp.tool': 'leak', 'mcp.server': 'jira' } }, { redact: 'withhold' })}`;

const textOf = (result) => result.content[0].text;

describe('limits', needs(), () => {
	const secrets = plant();
	let agent, sse, json, old, inside;

	before(async () => {
		[sse, json, old] = await Promise.all([startServer({ secrets }), startServer({ secrets, json: true }), startSse()]);
		agent = await startAgent({ workers: 3, policy: POLICY, servers: [
			{ id: 'github', url: sse.url(), tools: { ...TOOLS, fail: { action: 'read' } } },
			{ id: 'jira', url: json.url(), tools: TOOLS },
			{ id: 'old', url: old.url(), type: 'sse', tools: TOOLS },
		] });
		inside = await agent.inside();
		for (const sdk of [1, 2])
			for (const id of ['github', 'jira'])
				await inside.must('connect', { url: agent.url(id), client: `${id}${sdk}`, sdk });
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([sse?.close(), json?.close(), old?.close()]);
	});

	const workersOf = (match) => new Set(agent.records().filter(match).map((r) => r.worker));
	const slow = (client, cancel) => inside.do('tool', { client, name: 'slow_read', options: { timeout: 1800000 }, cancel });
	const running = (n) => until(() => (sse.executed.slow_read ?? 0) === n, `${n} calls to run`);

	test('a rate holds over all workers and clients', async () => {
		const raw = await new RawClient(inside, agent.url('github')).open();
		const calls = await Promise.all([
			...Array.from({ length: 24 }, (_, number) => raw.call('read_issue', { number }).then((r) => r.message.result)),
			...[1, 2].map((sdk) => inside.tool('read_issue', { number: sdk }, { client: `github${sdk}` })),
		]);
		const denied = calls.filter((r) => r.isError);
		assert.equal(sse.executed.read_issue, 6);
		assert.equal(denied.length, 20);
		for (const result of denied)
			assert.match(textOf(result), /rule paced: 6 calls per hour by principal, server; retry in (3[56]\d\d) s\. Nothing was executed/);
		let number = 0;
		await until(async () => { // who takes a connection is a matter of luck
			if (workersOf((r) => r.tool === 'read_issue').size > 1)
				return true;
			assert.ok((await raw.call('read_issue', { number: ++number })).message.result.isError);
		}, 'several workers to take part');
		assert.equal(sse.executed.read_issue, 6);
		const record = await agent.record((r) => r.kind === 'call.deny' && r.tool === 'read_issue');
		assert.equal(record.limit, 'paced: 6 calls per hour by principal, server');
		// counted by server: another has room; and so has what no limit is for
		assert.equal(textOf(await inside.tool('read_issue', { number: 1 }, { client: 'jira1' })), 'issue 1: the build is slow');
		// another run of the same user is no new principal
		const other = await agent.inside();
		await other.must('connect', { url: agent.url('github') });
		assert.ok((await other.tool('read_issue', { number: 1 })).isError);
		await other.end();
	});

	test('no person is asked for a call that has no room', async () => {
		const raw = await new RawClient(inside, agent.url('github')).open();
		const first = raw.call('create_issue', { title: 'one' });
		const approval = await agent.approval((r) => r.tool === 'create_issue');
		assert.equal((await agent.zg(['approvals', 'approve', approval])).code, 0);
		assert.equal(textOf((await first).message.result), 'created #1');
		const second = (await raw.call('create_issue', { title: 'two' })).message.result;
		assert.match(textOf(second), /rule daily: 1 call per day; retry in 8\d{4} s/);
		assert.equal(agent.records().filter((r) => r.kind === 'approval.request').length, 1);
	});

	test('calls at once: counted over workers, given back by cancellation, kept by a new ledger', async () => {
		const calls = [slow('github1', 'given up'), slow('github2')];
		await running(1 + 1);
		const third = await inside.tool('slow_read', {}, { client: 'github1' });
		assert.ok(third.isError);
		assert.match(textOf(third), /rule few: 2 calls at once; retry when another call is over/);
		await agent.kill('ledger');
		await until(async () => (await agent.zg(['--json', 'approvals', 'list'])).code === 0, 'the ledger to be back');
		assert.ok((await inside.tool('slow_read', {}, { client: 'jira2' })).isError, 'both still run');
		await inside.must('cancel', { name: 'given up' });
		assert.ok((await calls[0]).error, 'the client gave up');
		const before = sse.executed.slow_read;
		await until(async () => {
			slow('github1');
			return until(() => sse.executed.slow_read > before, 'it to run', 500).catch(() => false);
		}, 'room for another');
		assert.ok((await inside.tool('slow_read', {}, { client: 'jira1' })).isError, 'and for no more');
	});

	test('a worker that dies gives back what its calls held', async () => {
		const open = () => until(() => new RawClient(inside, agent.url('github')).open().catch(() => undefined), 'the workers to be back');
		let cut = 0;
		// true: it runs, and is counted if its worker dies; false: there was no room
		const begin = async (raw) => {
			const runs = new Promise((done) => sse.once('execute', () => done(true)));
			const call = raw.call('slow_read').then(({ message }) => {
				assert.match(textOf(message.result), /2 calls at once/);
				return false;
			});
			const granted = await Promise.race([runs, call.catch(() => 'cut')]);
			if (granted === true)
				call.catch(() => cut++);
			return granted;
		};
		const fill = async (n) => {
			for (let i = 0; i < n; i++) {
				const raw = await open();
				await until(async () => (await begin(raw)) === true, 'room for another');
			}
			assert.equal(await begin(await open()), false, 'and for no more');
		};
		await agent.kill('gateway');
		await fill(2);
		for (const one of agent.pids('gateway')) {
			process.kill(one, 'SIGKILL');
			await until(() => !agent.pids('gateway').includes(one), 'the worker to be gone');
			for (let i = 0; i < 3; i++) // by then the client has heard what happened before
				await inside.must('whoami');
			if (cut)
				break;
		}
		assert.ok(cut === 1 || cut === 2);
		await fill(cut);
	});

	test('a failed call is issued again as often as it may, by any worker', async () => {
		const raw = await until(() => new RawClient(inside, agent.url('github')).open().catch(() => undefined), 'the workers to be back');
		const workers = () => workersOf((r) => r.tool === 'fail' && r.kind === 'call.outcome');
		let n = 0;
		for (; n < 8 || (n < 100 && workers().size < 2); n++) {
			for (let i = 0; i < 2; i++) {
				const { result } = (await raw.call('fail', { n })).message;
				assert.match(textOf(result), /the disk is on fire/, `try ${i}`);
			}
			for (let i = 0; i < 2; i++) {
				const { result } = (await raw.call('fail', { n })).message;
				assert.match(textOf(result), /it failed before and max_retries is 1; retry in (5\d\d|600) s \[rules: .*tries/);
			}
		}
		assert.ok(workers().size > 1, 'several workers took part');
		assert.equal(sse.executed.fail, 2 * n, 'nor did the gateway issue one again by itself');
		assert.equal((await agent.record((r) => r.tool === 'fail' && r.kind === 'call.deny')).limit, 'max_retries: 1');
	});

	test('the members of a batch are counted one by one', async () => {
		const raw = await until(() => new RawClient(inside, agent.url('jira')).open('2025-03-26').catch(() => undefined), 'the workers to be back');
		const batch = Array.from({ length: 5 }, (_, id) => ({ jsonrpc: '2.0', id: id + 100, method: 'tools/call',
			params: { name: 'create_draft', arguments: { title: `t${id}` } } }));
		const answers = messages(await raw.post(batch)).flat();
		assert.equal(answers.length, 5);
		assert.equal(answers.filter((m) => m.result.isError).length, 2);
		assert.equal(json.executed.create_draft, 3);
	});

	test('a call of HTTP+SSE is under way until its answer comes on the stream', async () => {
		await until(async () => !(await inside.do('connect', { url: agent.url('old').replace(/mcp$/, 'sse'), client: 'old', sdk: 'sse' })).error, 'a connection');
		let release;
		old.pause = () => new Promise((done) => { release = done; });
		const arrived = new Promise((done) => old.once('execute', done));
		const first = inside.tool('create_draft', { title: 'one' }, { client: 'old' });
		await arrived;
		for (let i = 0; i < 4; i++)
			assert.match(textOf(await inside.tool('create_draft', { title: 'two' }, { client: 'old' })), /rule pair: 1 call at once/);
		old.pause = undefined;
		release();
		assert.equal(textOf(await first), 'created #1');
		assert.equal(textOf(await inside.tool('create_draft', { title: 'three' }, { client: 'old' })), 'created #2');
		// what the shared stream cannot be held to is not begun
		assert.match(textOf(await inside.tool('big', { bytes: 10 }, { client: 'old' })), /max_output_bytes cannot be enforced over HTTP\+SSE/);
	});

	for (const sdk of [1, 2])
		for (const id of ['github', 'jira'])
			test(`the SDK ${sdk}.x client is told that ${id}'s output is too large`, async () => {
				const client = `out${sdk}${id}`;
				await until(async () => !(await inside.do('connect', { url: agent.url(id), client, sdk })).error, 'a connection');
				assert.equal(textOf(await inside.tool('big', { bytes: 3000 }, { client })).length, 3000);
				const result = await inside.tool('big', { bytes: 5000 }, { client });
				assert.ok(result.isError);
				assert.match(textOf(result), /withheld: it has more than 4000 bytes \(max_output_bytes\) \[rules: all,small\]/);
				await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'big' && r.server === id && r.outcome === 'too_large');
			});

	test('a stream is counted as a whole', async () => {
		await inside.must('connect', { url: agent.url('github'), client: 'stream' });
		const { result, notes } = await inside.must('tool', { client: 'stream', name: 'count_to', args: { n: 10 }, progress: true });
		assert.equal(textOf(result), 'counted to 10');
		assert.equal(notes.length, 10);
		const cut = await inside.must('tool', { client: 'stream', name: 'count_to', args: { n: 200 }, progress: true });
		assert.ok(cut.result.isError);
		assert.match(textOf(cut.result), /more than 4000 bytes/);
		assert.ok(cut.notes.length < 40, `${cut.notes.length} were shown`);
	});

	test('levels of redaction', async () => {
		for (const id of ['github', 'jira'])
			await inside.must('connect', { url: agent.url(id), client: `leak-${id}` });
		const strict = await inside.tool('leak', { where: 'text' }, { client: 'leak-github' });
		assert.match(textOf(strict), /\[zerogate:/);
		const clean = await inside.tool('leak', { where: 'text' }, { client: 'leak-jira' });
		assert.ok(clean.isError);
		assert.match(textOf(clean), /withheld: it holds what is not to get out \(redact: withhold\) \[rules: all,clean\]/);
		for (const value of Object.values(secrets))
			for (const result of [strict, clean])
				assert.ok(!textOf(result).includes(value));
		await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'leak' && r.outcome === 'quarantined');
	});
});
