// SPDX-License-Identifier: Apache-2.0
// crash.test.mjs - kill -9 of each process at each stage of a call. The client
// gets an error or its answer, a write happens at most once, the retry works,
// the chain of records stays whole, and the agent is back at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOOLS, needs, quick, scene, until, within } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const TOOLS_HERE = { ...TOOLS, create_draft: { action: 'read' } }; // a write in all but its class: no approval

async function verify(agent) {
	const { code, stdout, stderr } = await agent.zg(['audit', 'verify', `${agent.dir}/state/audit`]);
	assert.equal(code, 0, `audit verify: ${stdout}${stderr}`);
}

const back = (agent) => until(async () => (await agent.zg(['--json', 'approvals', 'list'])).code === 0, 'the ledger to be back');

// Whatever came of it, the client was told within a bounded time.
const settle = (promise) => within(promise.then((reply) => ({ reply }), (error) => ({ error })), 'the client to be told');

for (const role of ['gateway', 'ledger', 'parent'])
	for (const stage of ['held', 'dispatched', 'replying'])
		test(`kill -9 of the ${role} while a call is ${stage}`, needs(), async (t) => {
			const server = await startServer({ json: true });
			const agent = await scene(t, { server, tools: TOOLS_HERE, hold: 20, workers: 2 });
			const inside = await agent.inside();
			let raw = await new RawClient(inside, agent.url('github')).open();
			const [tool, args] = stage === 'held' ? ['create_issue', { title: 't' }] : ['create_draft', { title: 't' }];
			let release;
			const gone = new Promise((done) => { release = done; });
			const executing = new Promise((done) => server.once('execute', done));
			if (stage === 'dispatched')
				server.pause = () => gone;
			const call = settle(raw.call(tool, args));
			if (stage === 'held')
				await agent.approval();
			else
				await within(executing, 'the call to arrive');

			await agent.kill(role);
			if (role === 'parent') {
				await until(() => agent.pids().length === 0, 'the children to follow the parent');
				await agent.exited;
				await agent.start();
			}
			release();
			if (stage === 'held') {
				// After the crash the queue holds this call once, for a person to decide.
				const [row, ...more] = await until(async () => {
					const { code, rows } = await agent.zg(['--json', 'approvals', 'list']);
					return code === 0 && rows.length > 0 ? rows : undefined;
				}, 'the queue to be back');
				assert.equal(more.length, 0);
				assert.equal((await agent.zg(['approvals', 'approve', row.approval])).code, 0);
			}
			const { reply } = await call;
			const executed = () => server.executed[tool] ?? 0;
			assert.ok(executed() <= 1, 'at most once');
			if (reply?.message?.result && !reply.message.result.isError)
				assert.equal(executed(), 1, 'an answer means it happened');

			delete server.pause;
			if (role === 'ledger') // until then calls are refused, and say why
				await back(agent);
			const next = await raw.call('read_issue', { number: 1 });
			if (next.status === 404) // the session may have gone with what held it
				raw = await new RawClient(inside, agent.url('github')).open();
			else
				assert.equal(next.message.result.content[0].text, 'issue 1: the build is slow', next.body);
			if (stage === 'held') {
				if (!/created #1/.test(reply?.body ?? '')) // nobody was there to answer: the retry is
					assert.match((await raw.call(tool, args)).body, /created #1/, reply?.body);
				assert.equal(executed(), 1, 'approved, so it happened: once');
			}
			await verify(agent);
			if (role !== 'parent')
				assert.ok(await agent.record((r) => r.kind === 'agent.child_exit' && r.role === role && r.signal === 9));
		});

test('a killed gateway worker is back within a second', needs(), async (t) => {
	const server = await startServer({ json: true });
	const agent = await scene(t, { server, workers: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	await quick(1000, 'the next worker', async () => {
		const [pid] = await until(() => agent.pids('gateway').length === 1 && agent.pids('gateway'), 'the worker');
		const before = performance.now();
		await agent.kill('gateway');
		// The listener outlives the worker: this waits in its queue until the next one takes it.
		const { message } = await raw.call('read_issue', { number: 3 });
		const ms = performance.now() - before;
		assert.equal(message.result.content[0].text, 'issue 3: the build is slow');
		assert.notEqual(agent.pids('gateway')[0], pid);
		return ms;
	});
});

for (const role of ['gateway', 'ledger'])
	test(`calls are served again soon after kill -9 of the ${role}`, needs(), async (t) => {
		const server = await startServer({ json: true });
		const agent = await scene(t, { server, workers: 2 });
		const inside = await agent.inside();
		const raw = await new RawClient(inside, agent.url('github')).open();
		await quick(3000, 'service', async () => {
			await until(() => agent.pids(role).length > 0, role);
			const before = performance.now();
			await agent.kill(role);
			await until(async () => {
				const reply = await raw.call('read_issue', { number: 1 }).catch(() => undefined);
				return reply?.message?.result && !reply.message.result.isError;
			}, 'an answer');
			return performance.now() - before;
		});
	});

test('without a ledger no call executes; with it back, calls go on', needs(), async (t) => {
	const server = await startServer({ json: true });
	const agent = await scene(t, { server });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	for (let round = 0; round < 5; round++) {
		const executed = server.executed.read_issue ?? 0;
		await agent.kill('ledger');
		const { reply } = await settle(raw.call('read_issue', { number: round }));
		const ran = (server.executed.read_issue ?? 0) - executed;
		assert.equal(ran, reply?.message?.result && !reply.message.result.isError ? 1 : 0);
		await back(agent);
		assert.ok(!(await raw.call('read_issue', { number: 100 + round })).message.result.isError);
	}
	const intents = agent.records().filter((r) => r.kind === 'call.intent' && r.tool === 'read_issue').length;
	assert.ok(intents >= server.executed.read_issue, `${server.executed.read_issue} executions, ${intents} intents`);
	await verify(agent);
});
