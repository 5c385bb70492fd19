// SPDX-License-Identifier: Apache-2.0
// approvals.test.mjs - a write to production waits for a person, and what it
// was approved for happens exactly once.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CLIENT_UID, needs, scene, until } from './agent.mjs';
import { plant } from './planted.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const pending = (message) => /approval (\S+)/i.exec(message.result.content[0].text);

test('approve: the waiting call goes on, once', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	const call = inside.tool('create_issue', { title: 'production' });
	const id = await agent.approval();
	assert.equal(server.executed.create_issue, undefined, 'nothing happens before the decision');

	const list = await agent.zg(['--json', 'approvals', 'list']);
	const row = list.rows.find((r) => r.approval === id);
	assert.equal(row.server, 'github');
	assert.equal(row.tool, 'create_issue');
	assert.match(row.rules, /require-approval-production-write/);
	const show = await agent.zg(['approvals', 'show', id]);
	assert.match(show.stdout, /production/, 'the approver sees the arguments');

	const approved = await agent.zg(['approvals', 'approve', id]);
	assert.equal(approved.code, 0, approved.stderr);
	assert.equal((await call).content[0].text, 'created #1');
	assert.equal(server.executed.create_issue, 1);
	const record = await agent.record((r) => r.kind === 'approval.approve' && r.approval === id);
	assert.equal(record.approver_uid, 0);
	assert.ok(await agent.record((r) => r.kind === 'approval.consume' && r.approval === id));
	// The same call again is a new question.
	inside.do('tool', { name: 'create_issue', args: { title: 'production' } });
	await agent.record((r) => r.kind === 'approval.request' && r.approval !== id);
	assert.equal(server.executed.create_issue, 1);
	const again = await agent.zg(['approvals', 'approve', id]);
	assert.equal(again.code, 1, 'a consumed approval cannot be approved again');
});

test('deny: the model reads the person\'s reason, nothing is executed', needs(), async (t) => {
	const server = await startServer({ json: true });
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: server.url() });
	const call = inside.tool('create_issue', { title: 'x' });
	const denied = await agent.zg(['approvals', 'deny', await agent.approval(), '--reason', 'freeze until Monday']);
	assert.equal(denied.code, 0, denied.stderr);
	const result = await call;
	assert.equal(result.isError, true);
	assert.match(result.content[0].text, /freeze until Monday/);
	assert.equal(server.executed.create_issue, undefined);
});

test('no decision in time: the result names the approval; the retry runs exactly once, in any worker', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1, workers: 2 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const args = { title: 'later', body: 'b' };
	const first = await raw.call('create_issue', args);
	assert.equal(first.status, 200);
	assert.equal(first.message.result.isError, true);
	const id = pending(first.message)?.[1].replace(/[.,;:]$/, '');
	assert.equal(id, await agent.approval());
	assert.match(first.message.result.content[0].text, /retry|again/i);
	assert.equal(server.executed.create_issue, undefined);
	assert.equal((await agent.zg(['approvals', 'approve', id])).code, 0);

	// Another argument is another call; key order and spacing are not.
	const other = raw.call('create_issue', { ...args, title: 'other' });
	await agent.record((r) => r.kind === 'approval.request' && r.approval !== id);
	const body = `{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{ "arguments":{"body":"b",  "title":"later"},"name":"create_issue"}}`;
	// New connections spread over both workers; one of them gets the grant.
	const retries = await Promise.all(Array.from({ length: 8 }, () => raw.post(body)));
	const ran = retries.filter((r) => /created #1/.test(r.body));
	assert.equal(ran.length, 1, retries.map((r) => r.body).join('\n'));
	assert.equal(server.executed.create_issue, 1);
	assert.equal((await other).message.result.isError, true);
	assert.equal(server.executed.create_issue, 1);
});

test('neither the requester nor a governed process nor a stranger may approve', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	const call = inside.tool('create_issue', { title: 'mine' });
	const id = await agent.approval();
	const refused = async (what, options, prefix = []) => {
		const answer = await agent.zg([...prefix, 'approvals', 'approve', id], options);
		assert.equal(answer.code, 1, `${what}: ${answer.stdout}${answer.stderr}`);
		assert.equal(server.executed.create_issue, undefined, what);
	};
	await refused('a stranger', { uid: 65531 });
	await refused('the requester, though an approver', { uid: CLIENT_UID, groups: 'adm' });
	const governed = await agent.zg(['run', '--', `${agent.bin}/zerogate`, '--socket', agent.socket, 'approvals', 'approve', id]);
	assert.notEqual(governed.code, 0, `root below zerogate run: ${governed.stdout}${governed.stderr}`);
	assert.equal(server.executed.create_issue, undefined);
	assert.ok(await agent.record((r) => r.kind === 'approval.refuse'));
	const approver = await agent.zg(['approvals', 'approve', id], { uid: 65531, groups: 'adm' });
	assert.equal(approver.code, 0, approver.stderr);
	assert.equal((await call).content[0].text, 'created #1');
	assert.equal((await agent.record((r) => r.kind === 'approval.approve')).approver_uid, 65531);
});

test('the queue survives kill -9 of everything', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const [waiting, decided] = [{ title: 'waiting' }, { title: 'decided' }];
	await raw.call('create_issue', decided);
	const id = await agent.approval();
	assert.equal((await agent.zg(['approvals', 'approve', id])).code, 0);
	await raw.call('create_issue', waiting);
	const before = (await agent.zg(['--json', 'approvals', 'list'])).rows.map((r) => [r.approval, r.state]).sort();
	assert.equal(before.length, 2);

	await agent.kill();
	await agent.exited;
	await agent.start();
	const after = (await agent.zg(['--json', 'approvals', 'list'])).rows.map((r) => [r.approval, r.state]).sort();
	assert.deepEqual(after, before);
	const result = await raw.call('create_issue', decided);
	assert.equal(result.message.result.content[0].text, 'created #1', 'what was approved before the crash runs after it');
	const again = await raw.call('create_issue', decided);
	assert.equal(again.message.result.isError, true, 'and runs once');
	assert.equal(server.executed.create_issue, 1);
});

// The ledger dies at any moment of asking, deciding and using; it is started again each
// time. What a person was told holds, and each call happens once.
test('the ledger is killed over and over while people decide: nothing is lost, nothing happens twice', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const told = new Set(); // approvals whose "yes" was acknowledged
	let kills = 0;
	const killSoon = async (ms) => {
		await delay(ms);
		await until(async () => { // the last one's successor may still be on its way
			const killed = agent.pids('ledger').length ? (await agent.kill('ledger')).length : 0;
			kills += killed;
			return killed > 0;
		}, 'a ledger to kill');
	};
	const decide = async (id) => {
		const { code, stderr } = await agent.zg(['approvals', 'approve', id]);
		if (code === 0)
			told.add(id);
		return code === 0 || /already_decided|consumed/.test(stderr);
	};
	const ask = async (title) => (await raw.call('create_issue', { title })).message?.result?.content?.[0]?.text ?? '';
	for (let i = 0; i < 20; i++) {
		const title = `issue ${i}`;
		let text = '', killer;
		await until(async () => {
			// once a call: while it asks, while a person decides, or while it is used
			const strike = (phase) => { if (!killer && i % 3 === phase) killer = killSoon((i * 7) % 40); };
			strike(0);
			text = await ask(title);
			const id = /approval (ap-\w+)/.exec(text)?.[1];
			if (!id)
				return /^created/.test(text);
			strike(1);
			if (await decide(id))
				strike(2);
			return false;
		}, `call ${i} to be executed`, 60000);
		await killer;
		assert.equal(server.executed.create_issue, i + 1, `each call happens once: ${text}`);
	}
	assert.ok(kills >= 20, `${kills} kills`);
	await until(async () => (await agent.zg(['approvals', 'list'])).code === 0, 'the ledger to be back');
	const { rows } = await agent.zg(['--json', 'approvals', 'list', '--all']);
	const state = new Map(rows.map((r) => [r.approval, r.state]));
	for (const id of told)
		assert.equal(state.get(id), 'consumed', `the yes to ${id} holds, and was used`);
	const intents = agent.records().filter((r) => r.kind === 'call.intent' && r.tool === 'create_issue');
	assert.equal(intents.length, 20, 'nothing is dispatched twice');
	// the evidence of a use is written before the use holds: where a kill came between them, the
	// next start says that the record is void, so that the log tells exactly what was used
	const steps = new Map();
	for (const r of agent.records().filter((x) => /^approval\./.test(x.kind)))
		if (r.kind === 'approval.refuse' && /^storage: the step before/.test(r.reason))
			steps.get(r.approval)?.pop();
		else
			steps.set(r.approval, [...steps.get(r.approval) ?? [], r.kind]);
	const uses = [...steps.values()].map((kinds) => kinds.filter((k) => k === 'approval.consume').length);
	assert.ok(uses.every((n) => n <= 1), `uses: ${uses}`);
	assert.equal(uses.reduce((a, n) => a + n, 0), rows.filter((r) => r.state === 'consumed').length);
	const verified = await agent.zg(['audit', 'verify', `${agent.dir}/state/audit`]);
	assert.equal(verified.code, 0, verified.stderr);
});

test('an approval belongs to the workload that asked', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1 });
	const [mine, theirs] = [await agent.inside(), await agent.inside()];
	const first = await new RawClient(mine, agent.url('github')).open();
	const second = await new RawClient(theirs, agent.url('github')).open();
	await first.call('create_issue', { title: 'x' });
	assert.equal((await agent.zg(['approvals', 'approve', await agent.approval()])).code, 0);
	assert.equal((await second.call('create_issue', { title: 'x' })).message.result.isError, true);
	assert.equal(server.executed.create_issue, undefined);
	assert.equal((await first.call('create_issue', { title: 'x' })).message.result.content[0].text, 'created #1');
});

test('two people must agree, each seen by the other; breaking the glass trips a gate that security lifts', needs(), async (t) => {
	const server = await startServer();
	const policy = `version: v1
rules:
  - id: allow-reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
  - id: two-for-production
    match: {risk_tags: [prod], labels: {mcp.action: write}}
    decision: REQUIRE_APPROVAL
    approvers: 2
`;
	const agent = await scene(t, { server, hold: 1, policy });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const args = { title: 'two', body: '\u001b[31mred\u202e' };
	await raw.call('create_issue', args);
	const id = await agent.approval();
	const first = await agent.zg(['approvals', 'approve', id, '--reason', 'seen'], { uid: 65531, groups: 'adm' });
	assert.equal(first.code, 0, first.stderr);
	assert.match(first.stdout, /1 of 2/);
	const again = await agent.zg(['approvals', 'approve', id], { uid: 65531, groups: 'adm' });
	assert.equal(again.code, 1);
	assert.match(again.stderr, /already_decided/);
	const shown = await agent.zg(['approvals', 'show', id]);
	assert.match(shown.stdout, /1 of 2 people agreed/);
	assert.match(shown.stdout, /uid 65531 agreed.*seen/);
	assert.match(shown.stdout, /two-for-production/);
	assert.doesNotMatch(shown.stdout, /[\u001b\u202e]/, 'nothing of the arguments reaches the terminal raw');
	assert.equal(server.executed.create_issue, undefined);
	assert.equal((await agent.zg(['approvals', 'approve', id], { uid: 65530, groups: 'adm' })).code, 0);
	const ran = await raw.call('create_issue', args);
	assert.equal(ran.message.result.isError ?? false, false, ran.body);
	assert.equal(server.executed.create_issue, 1);

	await raw.call('create_issue', { title: 'alone' });
	const other = await agent.approval((r) => r.approval !== id);
	assert.equal((await agent.zg(['gates'])).code, 0);
	assert.equal((await agent.zg(['approvals', 'approve', other, '--break-glass'])).code, 2, 'a reason is needed');
	const glass = await agent.zg(['approvals', 'approve', other, '--break-glass', '--reason', 'it burns']);
	assert.equal(glass.code, 0, glass.stderr);
	assert.ok(await agent.record((r) => r.kind === 'approval.break_glass' && r.approval === other));
	assert.ok(await agent.record((r) => r.kind === 'gate.trip' && r.gate === 'governance'));
	assert.match((await agent.zg(['status'])).stdout, /gates +governance/);
	assert.equal((await agent.zg(['gates'])).code, 1);
	const stranger = await agent.zg(['gates', 'lift', 'governance', '--reason', 'x'], { uid: 65531, groups: 'adm' });
	assert.match(stranger.stderr, /not_authorised/);
	assert.equal((await agent.zg(['gates', 'lift', 'governance', '--reason', 'reviewed'])).code, 0);
	assert.equal((await agent.zg(['gates'])).code, 0);
});

test('show: all that a person should know before deciding, and nothing of it raw', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	await raw.request('tools/list', {});
	await raw.call('create_issue', { title: 'past' });
	const past = await agent.approval();
	assert.equal((await agent.zg(['approvals', 'deny', past, '--reason', 'not \u001b[7mtoday\u202e'])).code, 0);
	const secret = plant()['github-token'];
	await raw.call('create_issue', { title: `use ${secret}`, body: '\u001b[2J\u202e\u200b\u{e0041}hidden' });
	const id = await agent.approval((r) => r.approval !== past);
	const { stdout } = await agent.zg(['approvals', 'show', id]);
	for (const what of [/^server +github$/m, /^method +tools\/call$/m, /^tool +create_issue$/m, /^action +write$/m, /^risk tags +prod$/m,
		/^rules +.*require-approval-production-write/m, /^asked by +uid 65533, pid \d+, profile agent$/m, /^cgroup +\S+$/m, /^expires in +\d+m$/m,
		/^description +"Create an issue"$/m, /^pin +[0-9a-f]{64}$/m, /^policy +[0-9a-f]{64}$/m, /^args sha256 +[0-9a-f]{64}$/m,
		new RegExp(`^history +${past} +denied by uid 0, .*: not .*today`, 'm'), /^arguments +\d+ bytes, secrets masked:$/m,
		/^ +"title": "use \[zerogate:/m, /^ +"body": ".*hidden",$/m])
		assert.match(stdout, what);
	assert.ok(!stdout.includes(secret), 'no secret');
	assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202e]|\u{e0041}/u, 'nothing that a terminal acts on, or hides');
	const { rows } = await agent.zg(['--json', 'approvals', 'show', id]);
	assert.equal(rows[0].history[0].approval, past);
	assert.equal(rows[0].pinned_sha256, rows[0].definition_sha256);
	assert.ok(!JSON.stringify(rows).includes(secret));
	// what is too long to be shown whole says so
	await raw.call('create_issue', { title: 'huge', body: 'x'.repeat(60000) });
	const huge = await agent.approval((r) => ![past, id].includes(r.approval));
	const long = (await agent.zg(['approvals', 'show', huge])).stdout;
	assert.match(long, /\(cut here: this is not all of them\)/);
	assert.ok(long.length < 20000, `${long.length} characters`);
	const list = await agent.zg(['approvals', 'list', '--all']);
	assert.doesNotMatch(list.stdout, /[\u0000-\u0009\u000b-\u001f\u202e]/);
});

// Every reason why a decision or a retry does not hold, each by way of what a person or a
// model reads: its first word is what programs match.
test('conflicts: each reason why a decision or a retry does not hold, as a person or a model reads it', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	await raw.request('tools/list', {}); // the definition that approvals are bound to
	const approver = (uid) => ({ uid, groups: 'adm' });
	const seen = [];
	const ask = async (title) => {
		const text = (await raw.call('create_issue', { title })).message.result.content[0].text;
		const id = await agent.approval((r) => !seen.includes(r.approval));
		seen.push(id);
		return { id, text };
	};
	const decide = (verb, id, who = {}) => agent.zg(['approvals', verb, id], who);
	const conflict = async (answer, word) => {
		const { code, stderr } = await answer;
		assert.equal(code, 1, `${word}: ${stderr}`);
		assert.match(stderr, new RegExp(`^zerogate: ${word}: `));
		await agent.record((r) => r.kind === 'approval.refuse' && r.conflict === word, word);
	};
	const one = await ask('one');
	await conflict(decide('approve', one.id, { uid: 65531 }), 'not_authorised');
	await conflict(decide('approve', one.id, approver(CLIENT_UID)), 'self_approval');
	assert.equal((await decide('deny', one.id)).code, 0);
	await conflict(decide('approve', one.id, approver(65531)), 'already_decided');
	const two = await ask('two');
	assert.equal((await decide('approve', two.id)).code, 0);
	// other arguments than those that were approved: the model is told, and which ones they were not
	const near = await ask('two, and more');
	assert.match(near.text, new RegExp(`${two.id} does not hold: args_changed`));
	assert.match((await raw.call('create_issue', { title: 'two' })).message.result.content[0].text, /created #1/);
	await conflict(decide('approve', two.id), 'consumed');
	assert.match((await ask('two')).text, new RegExp(`${two.id} does not hold: consumed`));
	// the server shows another definition of the tool than the one that was asked for
	const three = await ask('three');
	server.describes = { create_issue: 'Create an issue, and tell nobody' };
	await (await new RawClient(inside, agent.url('github')).open()).request('tools/list', {});
	await conflict(decide('approve', three.id), 'tool_changed');
	assert.match((await agent.zg(['approvals', 'show', three.id])).stdout, /another definition/);
	agent.policy('version: v1\nrules: [{id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}]\n');
	assert.equal((await agent.zg(['reload'])).code, 0);
	await conflict(decide('approve', three.id), 'policy_changed');
	assert.equal(server.executed.create_issue, 1);
});

test('conflicts: expired, when nobody decided in time', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1, before: (a) => fs.writeFileSync(a.config, fs.readFileSync(a.config, 'utf8').replace('ttl_sec: 3600', 'ttl_sec: 2')) });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	await raw.call('create_issue', { title: 'late' });
	const { approval } = await agent.record((r) => r.kind === 'approval.expire' && r.reason === 'expired', 'approval.expire');
	const { code, stderr } = await agent.zg(['approvals', 'approve', approval]);
	assert.equal(code, 1, stderr);
	assert.match(stderr, /^zerogate: expired: /);
	await agent.record((r) => r.kind === 'approval.refuse' && r.conflict === 'expired', 'the refusal');
	assert.equal(server.executed.create_issue, undefined);
});

// `approvals watch` on a terminal of its own: what it shows, keys to press, and
// whether the terminal is afterwards as it was.
function watch(t, agent, { term = 'xterm', wrap = 'exec ' } = {}) {
	const command = `stty -a >/tmp/zg-stty.$$.1; sh -c '${wrap}${agent.bin}/zerogate --socket ${agent.socket} approvals watch'; stty -a >/tmp/zg-stty.$$.2; cmp /tmp/zg-stty.$$.1 /tmp/zg-stty.$$.2 && echo put-back; rm -f /tmp/zg-stty.$$.[12]`;
	const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TERM: term } });
	t.after(() => terminal.kill('SIGKILL'));
	let screen = '';
	const waiting = new Set();
	terminal.stdout.on('data', (d) => { screen += d; waiting.forEach((f) => f()); });
	return {
		press: (keys) => terminal.stdin.write(keys),
		clear: () => { screen = ''; },
		screen: () => screen,
		shows: (what) => new Promise((done) => {
			const look = () => {
				const found = what.exec(screen.slice(-65536)); // a queue that is walked through draws megabytes
				if (found) { waiting.delete(look); done(found); }
			};
			waiting.add(look);
			look();
		}),
	};
}

test('watch: one key decides, on a real terminal that is put back afterwards', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	const w = watch(t, agent);
	await w.shows(/nothing waits for approval/);
	const call = inside.tool('create_issue', { title: 'watched' });
	await w.shows(/ap-\w{10}.*create_issue/);
	w.press('a');
	assert.equal((await call).content[0].text, 'created #1');
	await w.shows(/: approved/);
	w.press('q');
	await w.shows(/put-back/);
});

test('watch: j and k move, s shows, d denies the one that is marked', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	const w = watch(t, agent);
	await w.shows(/nothing waits for approval/);
	const calls = [], ids = [];
	for (const title of ['first', 'second']) {
		calls.push(inside.tool('create_issue', { title }));
		ids.push(await agent.approval((r) => !ids.includes(r.approval)));
		await w.shows(new RegExp(ids.at(-1)));
	}
	const marked = (id) => new RegExp(`7m> ${id}`);
	await w.shows(marked(ids[0]));
	w.press('j');
	await w.shows(marked(ids[1]));
	w.clear();
	w.press('j'); // there is nothing below
	await w.shows(marked(ids[1]));
	w.press('s');
	await w.shows(/second[^]*\(return\)/);
	assert.ok(!/first/.test(w.screen()), 'the other one is not shown');
	w.press('\r');
	w.clear();
	w.press('d');
	assert.match((await calls[1]).content[0].text, /was denied/);
	await w.shows(new RegExp(`${ids[1]}: denied`));
	w.press('kd'); // the first stands at the top now
	assert.match((await calls[0]).content[0].text, /was denied/);
	await w.shows(new RegExp(`${ids[0]}: denied`));
	w.press('q');
	await w.shows(/put-back/);
	assert.equal(server.executed.create_issue, undefined);
});

test('watch: no key decides on a call that took the place of the marked one', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	const w = watch(t, agent);
	await w.shows(/nothing waits for approval/);
	const calls = [], ids = [];
	for (const title of ['first', 'second', 'third']) {
		calls.push(inside.tool('create_issue', { title }));
		ids.push(await agent.approval((r) => !ids.includes(r.approval)));
		await w.shows(new RegExp(ids.at(-1)));
	}
	const marked = (id) => new RegExp(`7m> ${id}`);
	w.press('j');
	await w.shows(marked(ids[1]));
	// somebody else decides on the one above: the mark stays where it was
	w.clear();
	assert.equal((await agent.zg(['approvals', 'deny', ids[0]])).code, 0);
	await w.shows(marked(ids[1]));
	// and on the marked one: the third has moved to its line, and nobody has looked at it
	w.clear();
	assert.equal((await agent.zg(['approvals', 'deny', ids[1]])).code, 0);
	await until(() => {
		const frame = w.screen().split('\x1b[H').at(-1);
		return /ap-[^]*q quit/.test(frame) && !/7m>/.test(frame);
	}, 'a drawing without a mark');
	for (const key of 'adDbs') {
		w.clear();
		w.press(key);
		await w.shows(/none is marked[^]*q quit/);
	}
	assert.doesNotMatch(w.screen(), /7m>/);
	w.press('j');
	await w.shows(marked(ids[2]));
	w.press('d');
	const texts = (await Promise.all(calls)).map((r) => r.content[0].text);
	assert.ok(texts.every((x) => /was denied/.test(x)), texts.join('\n'));
	w.press('q');
	await w.shows(/put-back/);
	assert.equal(server.executed.create_issue, undefined);
});

// As many as if each had been asked for: copies of one that was, with what makes them differ.
function fillQueue(agent, total) {
	const db = new DatabaseSync(`${agent.dir}/state/approvals.db`);
	const columns = db.prepare('SELECT name FROM pragma_table_info(?)').all('approval').map((c) => c.name);
	const value = { id: `printf('ap-%010d', n)`, binding: 'randomblob(32)', change: 'n + 1000', args_sha256: 'randomblob(32)' };
	db.exec(`INSERT INTO approval (${columns}) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${total - 1})
		SELECT ${columns.map((c) => value[c] ?? c)} FROM approval, c`);
	db.close();
}

test('watch: of 5,000 that wait the last one can be reached', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	await raw.call('create_issue', { title: 'x'.repeat(300) });
	await agent.approval();
	await agent.kill();
	await agent.exited;
	fillQueue(agent, 5000);
	await agent.start();
	const w = watch(t, agent);
	await w.shows(/1 to \d+ of 5000 that wait/);
	w.press('j'.repeat(4999));
	await w.shows(/7m> ap-0000004999/);
	await w.shows(/\d+ to 5000 of 5000 that wait/);
	w.press('d');
	await w.shows(/ap-0000004999: denied/);
	await w.shows(/of 4999 that wait/);
	w.press('q');
	await w.shows(/put-back/);
	const { rows } = await agent.zg(['--json', 'approvals', 'list', '--all']);
	assert.deepEqual(rows.filter((r) => r.state !== 'pending').map((r) => [r.approval, r.state]), [['ap-0000004999', 'denied']]);
});

test('watch: a signal puts the terminal back, too', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	for (const signal of ['INT', 'TERM', 'HUP']) {
		const w = watch(t, agent, { wrap: 'echo pid=$$.; exec ' });
		const [, pid] = await w.shows(/pid=(\d+)\./);
		await w.shows(/nothing waits for approval/);
		process.kill(Number(pid), `SIG${signal}`);
		await w.shows(/put-back/);
		assert.ok(w.screen().includes('\x1b[?25h'), 'the cursor is back');
	}
});

test('watch: a dumb terminal gets lines, and --json a stream', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server, hold: 30 });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	const json = spawn(`${agent.bin}/zerogate`, ['--socket', agent.socket, '--json', 'approvals', 'watch'], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.after(() => json.kill('SIGKILL'));
	let text = '';
	json.stdout.on('data', (d) => { text += d; });
	const told = () => text.split('\n').slice(0, -1).map((l) => JSON.parse(l));
	const w = watch(t, agent, { term: 'dumb' });
	await w.shows(/nothing waits for approval/);
	await until(() => told().length === 1, 'the stream to say what waits');
	assert.deepEqual(told()[0], { waiting: 0 });
	const call = inside.tool('create_issue', { title: 'watched' });
	const id = await agent.approval();
	await w.shows(new RegExp(id));
	w.press('d');
	assert.match((await call).content[0].text, /was denied/);
	await w.shows(new RegExp(`${id}: denied`));
	await until(() => told().some((r) => r.state === 'denied'), 'the stream to say how it ended');
	assert.deepEqual([...new Set(told().slice(1).map((r) => `${r.approval} ${r.state}`))], [`${id} pending`, `${id} denied`]);
	w.press('q');
	await w.shows(/put-back/);
	assert.ok(!w.screen().includes('\x1b'), 'no escape sequence reaches it');
});
