// SPDX-License-Identifier: Apache-2.0
// audit.test.mjs - the evidence: complete, chained, free of what it must not
// hold; and reloads, whose result is evidence too.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { EXAMPLE, TOOLS, needs, scene, startAgent } from './agent.mjs';
import { plant } from './planted.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

function everyFile(dir) {
	return fs.readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
		const p = path.join(dir, e.name);
		return e.isDirectory() ? everyFile(p) : e.isFile() ? [p] : [];
	});
}

test('intent stands before execution, outcome after; verify is good, and bad after one byte', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	server.once('execute', () => {
		const written = agent.records().some((r) => r.kind === 'call.intent' && r.tool === 'read_issue');
		server.emit('checked', written);
	});
	const checked = new Promise((done) => server.once('checked', done));
	for (let n = 0; n < 20; n++)
		await raw.call('read_issue', { number: n });
	assert.equal(await checked, true, 'the intent was on file when the server began');
	await inside.do('dial', { host: '127.0.0.1', port: 1 });
	await agent.record((r) => r.kind === 'kernel.deny');
	await agent.halt();

	const verify = (dir) => agent.zg(['audit', 'verify', dir]);
	const audit = path.dirname(everyFile(path.join(agent.dir, 'state')).find((f) => f.endsWith('.jsonl')));
	const good = await verify(audit);
	assert.equal(good.code, 0, good.stdout + good.stderr);
	const copy = path.join(agent.dir, 'copy');
	fs.cpSync(audit, copy, { recursive: true });
	assert.equal((await verify(copy)).code, 0, 'a faithful copy is good');
	const segment = everyFile(copy).find((f) => f.endsWith('.jsonl'));
	const bytes = fs.readFileSync(segment);
	const lines = bytes.toString('latin1').split('\n');
	for (const [what, at] of [['at the start', 2], ['in the middle', Math.floor(bytes.length / 2)], ['in the last line', bytes.length - 20]]) {
		const bad = Buffer.from(bytes);
		bad[at] ^= 1;
		fs.writeFileSync(segment, bad);
		const answer = await verify(copy);
		assert.equal(answer.code, 1, `one byte changed ${what}: ${answer.stdout}${answer.stderr}`);
	}
	fs.writeFileSync(segment, lines.filter((_, i) => i !== 5).join('\n'), 'latin1');
	assert.equal((await verify(copy)).code, 1, 'a line removed');
});

test('no argument, result or secret is in any file, log or message of the agent', needs(), async (t) => {
	const secrets = plant();
	const server = await startServer({ secrets });
	const agent = await scene(t, { server, hold: 1 });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const marks = ['zgplanted-argument-7261', 'zgplanted-title-8822', 'zgplanted-header-1155', 'zgplanted-body-5577'];
	await raw.call('read_issue', { number: 1, note: marks[0] });
	await raw.call('leak', { where: 'text' });
	await raw.call('create_issue', { title: `${marks[1]} ${secrets['github-token']}` });
	await raw.post('{"jsonrpc":"2.0","id":1,"id":2,"' + marks[3] + '":1}', { authorization: `Bearer ${marks[2]}` });
	await agent.record((r) => r.kind === 'call.reject');
	const files = everyFile(path.join(agent.dir, 'state')).concat(agent.log);
	for (const file of files) {
		const text = fs.readFileSync(file, 'latin1');
		for (const [kind, value] of Object.entries(secrets))
			assert.ok(!text.includes(value), `${kind} in ${file}`);
		for (const mark of marks)
			// The approval queue holds the arguments that a person must see, and nothing else does.
			if (mark !== marks[1] || file.endsWith('.jsonl') || file === agent.log)
				assert.ok(!text.includes(mark), `${mark} in ${file}`);
	}
	const intent = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'read_issue');
	assert.match(intent.args_sha256, /^[0-9a-f]{64}$/);
	assert.ok(intent.args_bytes > 0);
});

test('audit tail shows the records as they come', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server });
	const inside = await agent.inside();
	await (await new RawClient(inside, agent.url('github')).open()).call('read_issue', { number: 1 });
	await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'read_issue');
	const { code, rows } = await agent.zg(['--json', 'audit', 'tail', '-n', '100']);
	assert.equal(code, 0);
	const kinds = rows.map((r) => r.kind);
	assert.ok(kinds.includes('agent.start') && kinds.includes('policy.load') && kinds.includes('run.start'), kinds.join());
	assert.ok(kinds.indexOf('call.intent') < kinds.indexOf('call.outcome'));
});

test('reload: a good policy is in force at once, a bad one leaves the last good one', needs(), async (t) => {
	const server = await startServer();
	const agent = await scene(t, { server });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const read = async () => (await raw.call('read_issue', { number: 1 })).message.result;
	assert.ok(!(await read()).isError);
	const snapshot = async () => JSON.parse((await agent.zg(['--json', 'status'])).stdout).snapshot;
	const first = await snapshot();
	assert.match(first, /^[0-9a-f]{64}$/);

	const example = fs.readFileSync(EXAMPLE, 'utf8');
	agent.policy(example + '\n# a comment changes nothing\n');
	assert.equal((await agent.zg(['reload'])).code, 0);
	assert.equal(await snapshot(), first);

	agent.policy(example.replace('decision: ALLOW\n', 'decision: DENY\n'));
	const good = await agent.zg(['reload']);
	assert.equal(good.code, 0, good.stderr);
	const second = await snapshot();
	assert.notEqual(second, first);
	assert.equal((await read()).isError, true);
	assert.equal((await agent.record((r) => r.kind === 'call.deny')).snapshot, second);

	agent.policy('version: v1\nrules:\n  - id: x\n    decsion: ALLOW\n');
	const bad = await agent.zg(['reload']);
	assert.notEqual(bad.code, 0);
	assert.match(bad.stdout + bad.stderr, /policy\.yaml:4:5/);
	assert.equal(await snapshot(), second);
	assert.equal((await read()).isError, true, 'the last good policy stays');
	const record = await agent.record((r) => r.kind === 'policy.reject');
	assert.equal(record.line, 4);

	agent.policy(example);
	assert.equal((await agent.zg(['reload'])).code, 0);
	assert.ok(!(await read()).isError);
	assert.equal(await snapshot(), first);
});

test('reload: a server that is withdrawn cannot be reached any more', needs(), async (t) => {
	const [server, other] = await Promise.all([startServer(), startServer()]);
	t.after(() => other.close());
	const agent = await scene(t, { server, servers: [{ id: 'jira', url: other.url(), tools: TOOLS }] });
	const inside = await agent.inside();
	await new RawClient(inside, other.url()).open();
	fs.unlinkSync(path.join(agent.dir, 'etc/servers/jira.json'));
	assert.equal((await agent.zg(['reload'])).code, 0);
	const connections = other.connections;
	assert.equal((await inside.do('dial', { host: '127.0.0.1', port: other.port })).error?.code, 'EPERM');
	const reply = await new RawClient(inside, agent.url('jira')).post({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
	assert.match(reply.body, /registered/);
	assert.equal(other.connections, connections);
	agent.register({ id: 'jira', url: other.url(), tools: TOOLS });
	assert.equal((await agent.zg(['reload'])).code, 0);
	assert.equal((await new RawClient(inside, other.url()).open()).initialized.status, 200);
});

test('a bad configuration does not start, and says where', needs(), async () => {
	await assert.rejects(startAgent({ policy: 'version: v1\nrules: 7\n' }), /policy\.yaml:2/);
	await assert.rejects(startAgent({ more: 'user2: x\n' }), /zerogate\.yaml:\d+:\d+/);
});

test('two agents run side by side and nothing is left of them', needs(), async (t) => {
	const [one, two] = await Promise.all([startServer(), startServer()]);
	const first = await scene(t, { server: one });
	const second = await startAgent({ servers: [{ id: 'github', url: two.url(), tools: TOOLS }] });
	for (const [agent, server] of [[first, one], [second, two]]) {
		const inside = await agent.inside();
		await new RawClient(inside, server.url()).open();
		assert.ok((await inside.do('dial', { host: '127.0.0.1', port: (server === one ? two : one).port })).error);
	}
	const { code } = await second.stop();
	assert.equal(code, 0, second.logText?.());
	assert.ok(!fs.existsSync(second.cgroup) && !fs.existsSync(second.dir));
	await two.close();
});
