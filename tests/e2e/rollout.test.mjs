// SPDX-License-Identifier: Apache-2.0
// rollout.test.mjs - how a policy gets from a person to the agent: files that
// change on disk are loaded while calls go on, a bad one changes nothing and says
// where it is wrong.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { EXAMPLE, needs, scene, until } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const example = fs.readFileSync(EXAMPLE, 'utf8');
const DENIES = example.replace('decision: ALLOW\n', 'decision: DENY\n');

const status = async (agent) => JSON.parse((await agent.zg(['--json', 'status'])).stdout);

// Until another configuration is in force than the one with this id.
const changed = (agent, from) => until(async () => {
	const now = await status(agent);
	return now.snapshot !== from && now;
}, 'another snapshot in force', 20000);

async function worked(t, options = {}) {
	const server = await startServer();
	const agent = await scene(t, { server, onChange: true, ...options });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	const read = async () => (await raw.call('read_issue', { number: 1 })).message.result;
	return { agent, inside, raw, read, file: path.join(agent.dir, 'etc/policies/policy.yaml') };
}

test('a file that is renamed over is in force without a word, and no call is refused meanwhile', needs(), async (t) => {
	const { agent, read, file } = await worked(t);
	const first = await status(agent);
	let calls = 0, refused = 0, over = false;
	const load = Promise.all(Array.from({ length: 4 }, async () => {
		while (!over) {
			calls++;
			refused += (await read()).isError ? 1 : 0;
		}
	}));
	let last = first;
	for (let n = 0; n < 3; n++) {
		fs.writeFileSync(`${file}.tmp`, `${example}  - id: more-${n}\n    match: {labels: {mcp.tool: no_such_tool}}\n    decision: DENY\n`);
		fs.renameSync(`${file}.tmp`, file);
		last = await changed(agent, last.snapshot);
	}
	over = true;
	await load;
	assert.ok(calls > 20, `${calls} calls`);
	assert.equal(refused, 0, `of ${calls} calls`);
	assert.ok(last.generation > first.generation);

	fs.writeFileSync(file, DENIES); // in place
	await changed(agent, last.snapshot);
	assert.equal((await read()).isError, true);
});

test('a bad file keeps the last good one and says where it is wrong; what changes nothing is no new generation', needs(), async (t) => {
	const { agent, read, file } = await worked(t);
	const first = await status(agent);

	fs.writeFileSync(file, 'version: v1\nrules:\n  - id: x\n    decsion: ALLOW\n');
	const rejected = await agent.record((r) => r.kind === 'policy.reject');
	assert.equal(rejected.line, 4);
	assert.equal(rejected.column, 5);
	assert.match(rejected.file, /policy\.yaml$/);
	assert.equal(rejected.snapshot, first.snapshot, 'of what stays in force');
	assert.match((await status(agent)).last_reload_error, /policy\.yaml:4:5/);
	assert.match(agent.logText(), /policy\.yaml:4:5/);
	assert.equal((await read()).isError ?? false, false);
	assert.equal((await status(agent)).generation, first.generation);

	// back to what is in force: the error goes, the generation stays
	fs.writeFileSync(file, example);
	await until(async () => (await status(agent)).last_reload_error === '', 'the error to go', 20000);
	assert.equal((await status(agent)).generation, first.generation);
	const loads = () => agent.records().filter((r) => r.kind === 'policy.load').length;
	const before = loads();
	assert.equal((await agent.zg(['reload'])).code, 0);
	await until(() => loads() > before, 'a record of who asked');
	assert.equal((await status(agent)).generation, first.generation);
});

test('a storm of changes is a few loads, and a file is not read while it is being written', needs(), async (t) => {
	const { agent, file } = await worked(t);
	const first = await status(agent);
	const loads = () => agent.records().filter((r) => r.kind === 'policy.load' || r.kind === 'policy.reject').length;
	const before = loads();

	const begin = performance.now();
	let n = 0;
	while (performance.now() - begin < 4000) {
		fs.writeFileSync(file, n++ % 2 ? example : DENIES);
		await new Promise((done) => setImmediate(done));
	}
	fs.writeFileSync(file, DENIES);
	const denies = await changed(agent, first.snapshot);
	assert.ok(n > 200, `${n} changes`);
	assert.ok(loads() - before <= 7, `${loads() - before} loads of ${n} changes`);

	// The first half alone would be a policy without its last rule.
	const fd = fs.openSync(file, 'w');
	fs.writeSync(fd, example.slice(0, example.indexOf('  - id: deny-unregistered-server')));
	await new Promise((done) => setTimeout(done, 3000)); // longer than any change waits otherwise
	assert.equal((await status(agent)).snapshot, denies.snapshot, 'half a file was loaded');
	fs.writeSync(fd, example.slice(example.indexOf('  - id: deny-unregistered-server')));
	fs.closeSync(fd);
	assert.equal((await changed(agent, denies.snapshot)).snapshot, first.snapshot);
});

test('folders that are replaced as a whole, by a link or by a rename, are one change', needs(), async (t) => {
	const { agent, read } = await worked(t);
	const etc = path.join(agent.dir, 'etc');
	const first = await status(agent);
	const version = (name, text) => {
		fs.mkdirSync(path.join(etc, name));
		fs.writeFileSync(path.join(etc, name, 'policy.yaml'), text);
	};
	version('v1', DENIES);
	fs.renameSync(path.join(etc, 'policies'), path.join(etc, 'v0'));
	fs.symlinkSync('v1', path.join(etc, 'policies'));
	const second = await changed(agent, first.snapshot);
	assert.equal((await read()).isError, true);
	fs.symlinkSync('v0', path.join(etc, 'policies.new'));
	fs.renameSync(path.join(etc, 'policies.new'), path.join(etc, 'policies'));
	assert.equal((await changed(agent, second.snapshot)).snapshot, first.snapshot);
	// and what is written behind the link is seen too
	fs.writeFileSync(path.join(etc, 'v0/policy.yaml'), DENIES);
	assert.equal((await changed(agent, first.snapshot)).snapshot, second.snapshot);
});

test('reload: {on_change: false} waits to be told; every record names a snapshot', needs(), async (t) => {
	const { agent, inside, read, file } = await worked(t, { onChange: false });
	const first = await status(agent);
	fs.writeFileSync(file, DENIES);
	await new Promise((done) => setTimeout(done, 1500));
	assert.equal((await status(agent)).snapshot, first.snapshot);
	agent.process.kill('SIGHUP');
	await changed(agent, first.snapshot);
	assert.equal((await read()).isError, true);
	await inside.do('dial', { host: '127.0.0.1', port: 1 });
	await agent.record((r) => r.kind === 'kernel.deny');
	await agent.kill('gateway');
	await agent.record((r) => r.kind === 'agent.child_exit');
	await agent.halt();
	const without = agent.records().filter((r) => !/^[0-9a-f]{64}$/.test(r.snapshot ?? ''));
	assert.deepEqual([...new Set(without.map((r) => r.kind))], []);
});
