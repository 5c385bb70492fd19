// SPDX-License-Identifier: Apache-2.0
// rollout.test.mjs - how a policy gets from a person to the agent: files that
// change on disk are loaded while calls go on, a bad one changes nothing and says
// where it is wrong.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { EXAMPLE, build, needs, scene, until } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const example = fs.readFileSync(EXAMPLE, 'utf8');
const DENIES = example.replace('decision: ALLOW\n', 'decision: DENY\n');

const status = async (agent) => JSON.parse((await agent.zg(['--json', 'status'])).stdout);

// Until another configuration is in force than the one with this id.
const changed = (agent, from) => until(async () => {
	const now = await status(agent);
	return now.snapshot !== from && now;
}, 'another snapshot in force');

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
	await until(() => calls > 20, 'calls');
	over = true;
	await load;
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
	await until(async () => (await status(agent)).last_reload_error === '', 'the error to go');
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
	const seconds = (performance.now() - begin) / 1000, made = loads() - before;
	assert.ok(made <= 3 + seconds, `${made} loads in ${seconds} s`);
	assert.ok(n > 10 * made, `${made} loads of ${n} changes`);

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

test('a policy on trial changes nothing; what it would change is recorded and counted', needs(), async (t) => {
	const { agent, raw, read } = await worked(t, { more: 'shadow_policies: candidate\n', before: (agent) => {
		fs.mkdirSync(path.join(agent.dir, 'etc/candidate'));
		fs.writeFileSync(path.join(agent.dir, 'etc/candidate/policy.yaml'), DENIES);
	} });
	const first = await status(agent);
	assert.match(first.shadow, /^on trial: 4 rules/);
	assert.equal((await read()).isError ?? false, false);
	const intent = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'read_issue');
	assert.equal(intent.decision, 'ALLOW');
	assert.equal(intent.shadow_decision, 'DENY');
	assert.equal(intent.shadow_rules, 'allow-read-approved-servers');
	await raw.call('create_draft', { title: 'x' }); // both say the same
	const same = await agent.record((r) => /^call\.(intent|deny)$/.test(r.kind) && r.tool === 'create_draft');
	assert.equal(same.shadow_decision, undefined);
	const counted = await status(agent);
	assert.ok(counted.shadow_stricter >= 1 && counted.shadow_calls > counted.shadow_stricter);
	assert.equal(counted.shadow_looser, 0);
	assert.match((await agent.zg(['status'])).stdout, /shadow +on trial: 4 rules; of \d+ calls \d+ stricter, 0 looser/);

	// A broken candidate is said to be, and the live policy is loaded all the same.
	fs.writeFileSync(path.join(agent.dir, 'etc/candidate/policy.yaml'), 'version: v1\nrules:\n  - id: x\n    decsion: DENY\n');
	fs.writeFileSync(path.join(agent.dir, 'etc/policies/policy.yaml'), DENIES);
	const second = await changed(agent, first.snapshot);
	assert.match(second.shadow, /^broken: .*candidate\/policy\.yaml:4:5/);
	assert.equal(second.last_reload_error, '');
	const told = await agent.record((r) => r.kind === 'policy.shadow' && r.line === 4);
	assert.match(told.file, /candidate\/policy\.yaml$/);
	assert.equal((await read()).isError, true);
	const check = await agent.zg(['policy', 'check', '--config', agent.config]);
	assert.equal(check.code, 0, check.stderr);
	assert.match(check.stderr, /notice: .*candidate\/policy\.yaml:4:5.*shadow policy/);
	fs.rmSync(path.join(agent.dir, 'etc/candidate'), { recursive: true });
	assert.equal((await agent.zg(['reload'])).code, 0);
	assert.match((await status(agent)).shadow, /^broken: .*candidate/);
});

test('require_signed: what nobody listed has signed is not loaded, tampered or not', needs(), async (t) => {
	let key;
	const { agent, read, file } = await worked(t, { onChange: false,
		more: 'policy_signers: [alice.pub]\nrequire_signed: true\n', before: (agent) => {
			key = path.join(agent.dir, 'etc/alice');
			const zg = (...args) => spawnSync(path.join(agent.bin, 'zerogate'), ['policy', ...args], { encoding: 'utf8' });
			assert.equal(zg('keygen', '--key', key).status, 0);
			assert.equal(fs.statSync(key).mode & 0o777, 0o600);
			assert.notEqual(zg('keygen', '--key', key).status, 0, 'a key is never overwritten');
			const sign = zg('sign', '--key', key, '--config', agent.config);
			assert.equal(sign.status, 0, sign.stderr);
		} });
	const sig = path.join(agent.dir, 'etc/policies/policy.sig');
	const config = ['--config', agent.config];
	const first = await status(agent);
	const verified = await agent.zg(['policy', 'verify', ...config]);
	assert.equal(verified.code, 0, verified.stdout + verified.stderr);
	assert.match(verified.stdout, new RegExp(`signed: snapshot ${first.snapshot}`));

	const refused = async (what) => {
		const reload = await agent.zg(['reload']);
		assert.equal(reload.code, 1);
		assert.match(reload.stdout + reload.stderr, what);
		const now = await status(agent);
		assert.equal(now.snapshot, first.snapshot, 'the last good one stays');
		assert.equal(now.generation, first.generation);
		assert.equal((await read()).isError ?? false, false);
	};
	fs.writeFileSync(file, DENIES); // nobody signed this
	await refused(/is signed by 0 of the 1 signers/);
	assert.match((await agent.record((r) => r.kind === 'policy.reject')).reason, /signed by 0 of the 1/);
	assert.equal((await agent.zg(['policy', 'check', ...config])).code, 1);
	assert.equal((await agent.zg(['policy', 'verify', ...config])).code, 1);

	// by a key that is not listed
	const mallory = path.join(agent.dir, 'mallory');
	await agent.zg(['policy', 'keygen', '--key', mallory]);
	assert.equal((await agent.zg(['policy', 'sign', '--key', mallory, ...config])).code, 0);
	await refused(/is signed by 0 of the 1 signers/);
	// with the listed key's name on another's signature
	const forged = JSON.parse(fs.readFileSync(sig, 'utf8'));
	const id = /key id +([0-9a-f]{16})/.exec((await agent.zg(['policy', 'keygen', '--key', path.join(agent.dir, 'other')])).stdout)[1];
	assert.match(id, /^[0-9a-f]{16}$/);
	forged.signatures[0].key = JSON.parse((await agent.zg(['policy', 'sign', '--key', key, '--out', path.join(agent.dir, 'sig'), ...config])).code === 0
		? fs.readFileSync(path.join(agent.dir, 'sig'), 'utf8') : '{}').signatures[0].key;
	fs.writeFileSync(sig, JSON.stringify(forged));
	await refused(/is signed by 0 of the 1 signers/);
	fs.rmSync(sig);
	await refused(/there is no policy\.sig/);
	// nor can the files say that no signature is needed any more
	const yaml = fs.readFileSync(agent.config, 'utf8');
	fs.writeFileSync(agent.config, yaml.replace('require_signed: true', 'require_signed: false'));
	await refused(/require_signed have changed/);
	fs.writeFileSync(agent.config, yaml);
	// a private key that others can read is not used
	fs.chmodSync(key, 0o640);
	const loose = await agent.zg(['policy', 'sign', '--key', key, ...config]);
	assert.equal(loose.code, 2);
	assert.match(loose.stderr, /chmod 600/);
	fs.chmodSync(key, 0o600);
	// signed, it is in force
	assert.equal((await agent.zg(['policy', 'sign', '--key', key, ...config])).code, 0);
	const good = await agent.zg(['reload']);
	assert.equal(good.code, 0, good.stderr);
	const signed = await status(agent);
	assert.notEqual(signed.snapshot, first.snapshot);
	assert.equal((await read()).isError, true);

	// what the registry decides needs no new signature, and is in force at once
	const rejects = () => agent.records().filter((r) => r.kind === 'policy.reject').length;
	const before = rejects();
	const revoke = await agent.zg(['servers', 'revoke', 'github', '--reason', 'it leaks']);
	assert.equal(revoke.code, 0, revoke.stderr);
	const revoked = await changed(agent, signed.snapshot);
	assert.equal(revoked.last_reload_error, '');
	assert.ok(revoked.generation > signed.generation);
	assert.equal(rejects(), before);
	assert.equal((await agent.zg(['reload'])).code, 0, 'the files are those that were signed');
});

test('diff: what one configuration decides otherwise, field by field; order and comments do not count', (t) => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-diff-'));
	t.after(() => fs.rmSync(dir, { recursive: true }));
	const config = (name, policy) => {
		for (const folder of ['', 'policies', 'servers'])
			fs.mkdirSync(path.join(dir, name, folder), { recursive: true, mode: 0o755 });
		fs.writeFileSync(path.join(dir, name, 'policies/p.yaml'), policy, { mode: 0o644 });
		fs.writeFileSync(path.join(dir, name, 'zerogate.yaml'), 'version: v1\nprofiles:\n  agent:\n    cgroups: ["zerogate.slice"]\n    servers: ["*"]\n', { mode: 0o644 });
		return ['--config', path.join(dir, name, 'zerogate.yaml')];
	};
	const diff = (...args) => spawnSync(path.join(build, 'zerogate'), ['policy', 'diff', ...args], { encoding: 'utf8' });
	const rules = example.slice(example.indexOf('  - id:')).split(/(?=^  - id:)/m);
	const a = config('a', example);
	const same = diff(...a, ...config('same', `version: v1 # no change\nrules:\n${rules.reverse().map((r) => r.trimEnd()).join('\n')}\n`));
	assert.equal(same.status, 0, same.stdout + same.stderr);
	const b = config('b', `${example.replace('decision: ALLOW\n', 'decision: DENY\n').replace('max_runtime_sec: 60', 'max_runtime_sec: 90')
		.replace('max_retries: 1', 'max_retries: 0')}  - id: added\n    match: {labels: {mcp.tool: x}}\n    decision: DENY\n`);
	const changed = diff('--json', ...a, ...b);
	assert.equal(changed.status, 1);
	assert.deepEqual(JSON.parse(changed.stdout).map((c) => [c.change, c.id, c.field, c.effect]).sort(), [
		['added', 'added', '', ''],
		['changed', 'allow-read-approved-servers', 'decision', 'tightened'],
		['changed', 'require-approval-production-write', 'constraints.max_retries', 'tightened'],
		['changed', 'require-approval-production-write', 'constraints.max_runtime_sec', 'loosened'],
	]);
	assert.match(diff(...a, ...b).stdout, /rule changed allow-read-approved-servers: decision "ALLOW" -> "DENY" \(tightened\)/);
	assert.match(diff(...b, ...a).stdout, /rule removed added/);
	assert.equal(diff(...a).status, 2);
});
