// SPDX-License-Identifier: Apache-2.0
// registry.test.mjs - a server's life: submitted, approved by two people, live,
// suspended, revoked. Who may do what comes from groups of real processes; what is
// reachable is asked with the SDK's client, and dialled past the gateway too.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, quick, serverFile, startAgent, until, within } from './agent.mjs';
import { startServer } from './servers.mjs';

const POLICY = `version: v1
rules:
  - id: allow-reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
`;
// groups of every Debian: security is staff (50), the owners are games (60), approvers adm (4)
const MORE = `owners: {Tests: {group: games}}
`;
const submitter = { uid: 2001, groups: '4' };
const security = { uid: 2002, groups: '50' };
const owner = { uid: 2003, groups: '60' };
const nobody = { uid: 2004 };

// an approval names what was read: the entry as servers list has it now
async function steps(agent, who, verb, id, ...more) {
	const sha = verb === 'approve' && !more.includes('--sha256')
		? ['--sha256', (await agent.zg(['--json', 'servers', 'list'])).rows.find((r) => r.id === id)?.sha256 ?? '0'.repeat(16)] : [];
	return agent.zg(['servers', verb, id, ...sha, ...more], who);
}

const configure = (agent, from, to) => fs.writeFileSync(agent.config, fs.readFileSync(agent.config, 'utf8').replace(from, to));

async function open(options = {}) {
	const agent = await startAgent({ policy: POLICY, more: MORE, ...options });
	configure(agent, 'approvers: {group: adm}', 'approvers: {group: adm, security_group: staff}');
	const { code, stderr } = await agent.zg(['reload']);
	assert.equal(code, 0, stderr);
	return agent;
}

describe('the life of a server', needs(), () => {
	let agent, server, inside;
	const entry = (more = {}) => serverFile({ id: 'wiki', url: server.url(), tools: TOOLS, ...more });
	const servers = (who, ...args) => steps(agent, who, ...args);
	const row = async (id = 'wiki') => (await agent.zg(['--json', 'servers', 'list'])).rows.find((r) => r.id === id);
	const refused = async (answer, word, status = 1) => {
		const { code, stderr } = await answer;
		assert.equal(code, status, stderr);
		assert.match(stderr, new RegExp(`^zerogate: ${word}`));
	};
	const done = async (answer) => {
		const { code, stderr } = await answer;
		assert.equal(code, 0, stderr);
	};
	const reads = async (client) => JSON.stringify(await inside.do('tool', { client, name: 'read_issue', args: { number: 1 } }));
	const dial = (name) => inside.do('open', { name, host: '127.0.0.1', port: server.port });

	before(async () => {
		server = await startServer();
		agent = await open();
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	test('an entry that the agent would refuse is refused where it stands', async () => {
		const file = path.join(agent.dir, 'broken.json');
		fs.writeFileSync(file, entry({ nonsense: 1 }));
		const { code, stderr } = await servers(submitter, 'add', file, '--reason', 'x');
		assert.equal(code, 2);
		assert.match(stderr, /broken\.json:\d+:\d+: unknown member 'nonsense'/);
		fs.writeFileSync(file, entry({ owner: undefined }));
		assert.match((await servers(submitter, 'add', file, '--reason', 'x')).stderr, /owner/);
		assert.equal(await row(), undefined);
	});

	test('who has no part in it cannot submit, and it is told', async () => {
		await refused(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...nobody, input: entry() }), 'not_authorised');
		await agent.record((r) => r.kind === 'server.submit' && r.decision === 'DENY' && r.uid === nobody.uid, 'server.submit');
		const inner = await agent.inside({ uid: 0 });
		inner.kill();
		assert.equal(await row(), undefined);
	});

	test('every step has a reason, and an approval the digest of what was read', async () => {
		const mute = { ...submitter, input: entry() };
		await refused(agent.zg(['servers', 'add', '-'], mute), 'add needs --reason', 2);
		await refused(agent.zg(['servers', 'import', '-', '--owner', 'Tests'], mute), 'import needs --reason', 2);
		for (const verb of ['approve', 'suspend', 'resume', 'revoke'])
			for (const reason of [[], ['--reason', ' ']])
				await refused(agent.zg(['servers', verb, 'wiki', ...reason], security), `${verb} needs --reason`, 2);
		await refused(agent.zg(['servers', 'approve', 'wiki', '--reason', 'x'], security), 'approve needs --sha256', 2);
		await refused(agent.zg(['servers', 'approve', 'wiki', '--reason', 'x', '--sha256', '0123456789abcde'], security), 'approve needs --sha256', 2);
		assert.equal(await row(), undefined);
	});

	test('submitted: known, and out of reach', async () => {
		await done(agent.zg(['servers', 'add', '-', '--reason', 'we need the wiki'], { ...submitter, input: entry() }));
		const r = await row();
		assert.equal(r.state, 'submitted');
		assert.equal(r.owner, 'Tests');
		assert.equal(r.version, '1.0.0');
		assert.equal(r.transport, 'streamable-http');
		assert.equal(r.endpoint, server.url());
		assert.equal(r.in_force, false);
		assert.equal(r.waits, true);
		assert.match((await agent.zg(['servers', 'list'])).stdout, /waits for the approval of security and its owner/);
		const status = (await agent.zg(['--json', 'status'])).rows[0];
		assert.deepEqual(status.servers_by_state, { submitted: 1, approved: 0, live: 0, suspended: 0, revoked: 0 });
		assert.deepEqual(status.waiting, { servers: 1, connections: 0, calls: 0 });
		assert.equal((await dial('submitted')).error?.code, 'EPERM');
		assert.ok((await inside.do('connect', { client: 'early', url: agent.url('wiki') })).error);
		const record = await agent.record((x) => x.kind === 'server.submit' && x.decision === 'ALLOW', 'server.submit');
		assert.equal(record.uid, submitter.uid);
		assert.equal(record.reason, 'we need the wiki');
		assert.equal(record.owner, 'Tests');
	});

	test('the wrong people cannot approve, each told why', async () => {
		const approve = (who, ...more) => servers(who, 'approve', 'wiki', '--reason', 'looks fine', ...more);
		await refused(approve(submitter), 'not_authorised');
		await refused(approve(nobody), 'not_authorised');
		await refused(approve({ uid: submitter.uid, groups: '50' }), 'self_approval');
		await refused(approve(security, '--as', 'owner'), 'not_authorised');
		await refused(approve(owner, '--as', 'security'), 'not_authorised');
		await refused(approve(security, '--sha256', '0123456789abcdef'), 'entry_changed');
		assert.equal((await row()).security_uid, undefined);
		await agent.record((r) => r.kind === 'server.approve' && r.decision === 'DENY' && /self_approval/.test(r.reason), 'server.approve');
	});

	test('one approval is not enough, nor is the same person twice', async () => {
		await done(servers(security, 'approve', 'wiki', '--reason', 'checked its code'));
		assert.equal((await row()).security_uid, security.uid);
		assert.match((await agent.zg(['servers', 'list'])).stdout, /\+ waits for the approval of its owner/);
		assert.equal((await row()).in_force, false);
		assert.equal((await dial('half')).error?.code, 'EPERM');
		await refused(servers({ uid: security.uid, groups: '50,60' }, 'approve', 'wiki', '--reason', 'again'), 'self_approval');
		await refused(servers({ uid: 2010, groups: '50' }, 'approve', 'wiki', '--reason', 'me too'), 'already_decided');
	});

	test('the second makes it live: a call through it works', async () => {
		await done(servers(owner, 'approve', 'wiki', '--reason', 'ours'));
		const r = await row();
		assert.equal(r.state, 'live');
		assert.equal(r.in_force, true);
		assert.equal(r.waits, false);
		assert.match((await agent.zg(['status'])).stdout, /^servers +0 submitted, 0 approved, 1 live, 0 suspended, 0 revoked\nwaiting +0 servers,/m);
		await inside.must('connect', { client: 'wiki', url: agent.url('wiki') });
		assert.match(await reads('wiki'), /issue 1/);
		await agent.record((x) => x.kind === 'server.live' && x.decision === 'ALLOW', 'server.live');
		const approvals = agent.records().filter((x) => x.kind === 'server.approve' && x.decision === 'ALLOW');
		assert.deepEqual(approvals.map((x) => [x.uid, x.acted_as, x.reason]),
			[[security.uid, 'security', 'checked its code'], [owner.uid, 'owner', 'ours']]);
		await until(async () => (await row()).used_ms > 0, 'the last use');
		await until(async () => (await row()).pinned > 0, 'pinned definitions');
	});

	// what is approved in the ledger, and stands in no file of servers/
	test('offline, policy knows the same servers as the agent', async () => {
		const offline = async (config, ...args) => {
			const { code, stdout } = await agent.zg(['policy', args[0], '--json', '--config', config, ...args.slice(1)],
				{ input: JSON.stringify({ server: 'wiki', tool: 'read_issue' }) });
			return { code, rows: stdout.trim().split('\n').map((line) => JSON.parse(line)) };
		};
		const { snapshot } = JSON.parse((await agent.zg(['--json', 'status'])).stdout);
		const known = await offline(agent.config, 'explain', '-');
		assert.deepEqual([known.code, known.rows[0].decision, known.rows[0].snapshot], [0, 'ALLOW', snapshot]);
		assert.deepEqual((await offline(agent.config, 'simulate')).rows.filter((g) => g.server === 'wiki' && g.from === 'ALLOW'), []);
		// a candidate, of which the agent reads nothing
		const folder = path.join(agent.dir, 'etc/candidate'), candidate = `${agent.config}.candidate`;
		fs.mkdirSync(folder);
		fs.writeFileSync(path.join(folder, 'p.yaml'), 'version: v1\nrules:\n  - {id: known, match: {labels: {mcp.server: wiki}}, decision: DENY}\n'
			+ '  - {id: typo, match: {labels: {mcp.server: wikki}}, decision: DENY}\n');
		fs.writeFileSync(candidate, fs.readFileSync(agent.config, 'utf8').replace('policies: policies', 'policies: candidate'));
		const { findings } = (await offline(candidate, 'check')).rows[0];
		assert.deepEqual(findings.filter((f) => f.kind === 'unreachable').map((f) => f.rule), ['typo']);
		const { rows } = await offline(candidate, 'simulate');
		assert.deepEqual(rows.filter((g) => g.server === 'wiki' && g.from === 'ALLOW').map((g) => [g.to, g.to_rules])[0], ['DENY', 'known']);
	});

	test('suspended: refused at once, and live again with a reason', async () => {
		await refused(servers(nobody, 'suspend', 'wiki', '--reason', 'x'), 'not_authorised');
		await done(servers(submitter, 'suspend', 'wiki', '--reason', 'it misbehaves'));
		assert.equal((await row()).state, 'suspended');
		assert.match(await reads('wiki'), /not registered/);
		assert.equal((await dial('suspended')).error?.code, 'EPERM');
		await refused(servers(submitter, 'resume', 'wiki', '--reason', 'x'), 'not_authorised');
		await done(servers(owner, 'resume', 'wiki', '--reason', 'mended'));
		assert.equal((await row()).state, 'live');
		await inside.must('connect', { client: 'again', url: agent.url('wiki') });
		assert.match(await reads('again'), /issue 1/);
	});

	test('a changed entry: the approved one stays live until two people agree', async () => {
		await done(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...submitter, input: entry({ labels: { env: 'new' } }) }));
		await done(servers(security, 'approve', 'wiki', '--reason', 'ok'));
		// a third version takes the place of the second, and its approval
		await done(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...submitter, input: entry({ labels: { env: 'newer' } }) }));
		assert.equal((await row()).security_uid, undefined);
		assert.match(await reads('again'), /issue 1/);
		const command = /servers approve wiki --sha256 [0-9a-f]{16} /.exec((await agent.zg(['servers', 'show', 'wiki'])).stdout);
		assert.equal(command?.[0], `servers approve wiki --sha256 ${(await row()).sha256.slice(0, 16)} `);
		const shown = (await agent.zg(['--json', 'servers', 'show', 'wiki'])).rows[0];
		assert.deepEqual(shown.live._meta['dev.zerogate/registry'].labels, {});
		assert.deepEqual(shown.submitted._meta['dev.zerogate/registry'].labels, { env: 'newer' });
		await done(servers(owner, 'approve', 'wiki', '--reason', 'ok'));
		await done(servers(security, 'approve', 'wiki', '--reason', 'ok'));
		const now = (await agent.zg(['--json', 'servers', 'show', 'wiki'])).rows[0];
		assert.deepEqual(now.live._meta['dev.zerogate/registry'].labels, { env: 'newer' });
		assert.equal(now.submitted, undefined);
		assert.deepEqual(now.history.map((h) => h.what).filter((w) => w === 'server.live').length, 2);
		assert.ok(now.history.every((h) => h.as === 'agent' ? h.uid === undefined : h.uid > 2000));
		const text = (await agent.zg(['servers', 'show', 'wiki'])).stdout;
		assert.match(text, /uid 2002, as security: checked its code/);
		assert.match(text, /read_\*: read/);
	});

	test('an entry that cannot stand beside the others stands in nobody\'s way', async () => {
		await done(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...submitter, input: serverFile({ id: 'twin', url: server.url() }) }));
		await done(servers(security, 'approve', 'twin', '--reason', 'ok'));
		await refused(servers(owner, 'approve', 'twin', '--reason', 'ok'), '.*share an address and port');
		const r = await row('twin');
		assert.equal(r.in_force, false);
		assert.match(r.problem, /share an address and port/);
		await done(agent.zg(['reload']));
		assert.match(await reads('again'), /issue 1/);
		await agent.record((x) => x.kind === 'server.live' && x.decision === 'DENY' && x.server === 'twin', 'server.live');
		await done(servers(owner, 'revoke', 'twin', '--reason', 'a slip'));
	});

	test('revoked: live streams, the gateway\'s own end and new connects, within a second', async () => {
		let tries = 0;
		await quick(1000, 'the end of sockets and calls', async () => {
			if (tries++) { // once more
				await done(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...submitter, input: entry() }));
				for (const who of [owner, security])
					await done(servers(who, 'approve', 'wiki', '--reason', 'ok'));
				server.requests.length = 0;
			}
			await inside.must('connect', { client: 'stream', url: agent.url('wiki') });
			await inside.must('open', { name: 'idle', host: '127.0.0.1', port: server.port });
			await until(() => server.requests.some((r) => r.method === 'GET'), 'the event stream');
			const closed = [...server.sockets].map((s) => new Promise((gone) => s.once('close', gone)));
			assert.ok(closed.length >= 1);
			// a client that calls in a loop: how long after the command does one still succeed?
			let looping = true, last = 0, calls = 0;
			const loop = (async () => {
				while (looping) {
					const text = await reads('stream');
					if (/issue 1/.test(text))
						last = performance.now();
					calls++;
				}
			})();
			await until(() => calls > 3, 'calls');
			// a file that somebody broke meanwhile is in nobody's way
			fs.writeFileSync(path.join(agent.dir, 'etc/policies/broken.yaml'), 'not: a policy');
			const started = performance.now();
			await done(servers(security, 'revoke', 'wiki', '--reason', 'it leaks'));
			const told = performance.now();
			await within(Promise.all(closed), 'the connections to end');
			const ended = performance.now(), then = calls;
			await until(() => calls > then + 5, 'calls afterwards');
			looping = false;
			await loop;
			fs.rmSync(path.join(agent.dir, 'etc/policies/broken.yaml'));
			console.log(`# revoked: command ${Math.round(told - started)} ms, sockets ${Math.round(ended - started)} ms, last call ${Math.round(last - started)} ms`);
			return Math.max(ended, last) - started;
		});
		assert.equal((await dial('revoked')).error?.code, 'EPERM');
		assert.match(await reads('stream'), /not registered/);
		const record = await agent.record((x) => x.kind === 'server.revoke' && x.decision === 'ALLOW' && x.server === 'wiki', 'server.revoke');
		assert.equal(record.reason, 'it leaks');
		assert.equal(record.uid, security.uid);
	});

	test('a file in servers/ does not bring a revoked server back, two people do', async () => {
		agent.register({ id: 'wiki', url: server.url(), tools: TOOLS });
		await done(agent.zg(['reload']));
		assert.equal((await row()).state, 'revoked');
		assert.equal((await dial('by-file')).error?.code, 'EPERM');
		await refused(servers(owner, 'resume', 'wiki', '--reason', 'x'), 'already_decided');
		await done(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...submitter, input: entry() }));
		await done(servers(owner, 'approve', 'wiki', '--reason', 'ok'));
		assert.equal((await dial('by-one')).error?.code, 'EPERM');
		await done(servers(security, 'approve', 'wiki', '--reason', 'ok'));
		await inside.must('connect', { client: 'back', url: agent.url('wiki') });
		assert.match(await reads('back'), /issue 1/);
	});

	test('what was decided outlives the ledger and the agent', async () => {
		await done(servers(security, 'suspend', 'wiki', '--reason', 'night'));
		await agent.kill('ledger');
		await until(async () => (await agent.zg(['--json', 'servers', 'list'])).code === 0, 'the ledger');
		assert.equal((await row()).state, 'suspended');
		assert.equal((await dial('after')).error?.code, 'EPERM');
		await agent.halt();
		await agent.start();
		assert.equal((await row()).state, 'suspended');
		assert.equal((await row()).in_force, false);
		await done(servers(security, 'resume', 'wiki', '--reason', 'day'));
		assert.equal((await row()).in_force, true);
	});

	test('a server that its file registered can be suspended and revoked as well', async () => {
		const other = await startServer();
		try {
			agent.register({ id: 'filed', url: other.url(), tools: TOOLS });
			await done(agent.zg(['reload']));
			assert.equal((await row('filed')).origin, 'file');
			assert.equal((await row('filed')).state, 'live');
			await done(servers(submitter, 'suspend', 'filed', '--reason', 'ok'));
			assert.equal((await row('filed')).in_force, false);
			await done(servers(security, 'resume', 'filed', '--reason', 'ok'));
			assert.equal((await row('filed')).in_force, true);
			await done(servers(submitter, 'revoke', 'filed', '--reason', 'ok'));
			await done(agent.zg(['reload']));
			assert.equal((await row('filed')).in_force, false);
			assert.equal((await row('filed')).state, 'revoked');
		} finally {
			await other.close();
		}
	});

	test('discover: a refused destination and a client\'s entry, with what registering takes', async () => {
		const other = await startServer();
		try {
			assert.equal((await inside.do('open', { name: 'refused', host: '127.0.0.1', port: other.port })).error?.code, 'EPERM');
			await agent.record((r) => r.kind === 'kernel.deny' && r.port === other.port, 'kernel.deny');
			const cursor = path.join(agent.dir, 'mcp.json');
			fs.writeFileSync(cursor, JSON.stringify({ mcpServers: {
				Notes: { url: 'http://127.0.0.1:4/mcp' }, known: { url: server.url() }, tool: { command: '/bin/cat', args: [] } } }));
			const { rows } = await agent.zg(['--json', 'servers', 'discover', '--file', cursor]);
			const refusedOne = rows.find((r) => r.where === `127.0.0.1:${other.port}`);
			assert.equal(refusedOne.source, 'kernel.deny');
			assert.ok(refusedOne.count >= 1 && refusedOne.first <= refusedOne.last);
			assert.match(refusedOne.who, /^agent, /);
			assert.equal(refusedOne.registered, '');
			assert.equal(rows.find((r) => r.where === server.url()).registered, 'live');
			const notes = rows.find((r) => r.where === 'http://127.0.0.1:4/mcp');
			assert.equal(notes.source, cursor);
			assert.ok(rows.some((r) => r.where === '/bin/cat'));
			// what is emitted can be edited and submitted
			const { stdout } = await agent.zg(['servers', 'discover', '--file', cursor, '--emit', String(refusedOne.n)]);
			const emitted = JSON.parse(stdout);
			emitted._meta['dev.zerogate/registry'].owner = 'Tests';
			await done(agent.zg(['servers', 'add', '-', '--reason', 'needed'], { ...submitter, input: JSON.stringify(emitted) }));
			assert.equal((await row(emitted._meta['dev.zerogate/registry'].id)).state, 'submitted');
		} finally {
			await other.close();
		}
	});

	test('import: documents of the official registry become submissions', async () => {
		const official = (name, port) => ({ $schema: 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
			name, description: 'd', version: '2.0.1', remotes: [{ type: 'streamable-http', url: `http://127.0.0.1:${port}/mcp` }] });
		const list = { servers: [
			{ server: official('io.github.acme/Alpha.Server', 5), _meta: { 'io.modelcontextprotocol.registry/official': { status: 'active' } } },
			{ server: official('io.github.acme/beta', 6), _meta: {} },
		], metadata: { count: 2 } };
		await done(agent.zg(['servers', 'import', '-', '--owner', 'Tests', '--reason', 'needed'], { ...submitter, input: JSON.stringify(list) }));
		assert.equal((await row('alpha-server')).version, '2.0.1');
		assert.equal((await row('beta')).state, 'submitted');
		const folder = path.join(agent.dir, 'imports');
		fs.mkdirSync(folder);
		fs.writeFileSync(path.join(folder, 'one.json'), JSON.stringify(official('x/gamma', 7)));
		const { stdout } = await agent.zg(['servers', 'import', folder, '--owner', 'Tests', '--id', 'third', '--print']);
		assert.deepEqual(JSON.parse(stdout)._meta, { 'dev.zerogate/registry': { id: 'third', owner: 'Tests' } });
		await refused(agent.zg(['servers', 'import', folder, '--owner', 'Tests', '--reason', 'x'], nobody), 'not_authorised');
		assert.equal((await agent.zg(['servers', 'import', folder])).code, 2);
	});
});

describe('files that need approval', needs(), () => {
	test('a file is a submission, a changed one leaves the approved one live', async (t) => {
		const server = await startServer();
		const agent = await startAgent({ policy: POLICY, more: `${MORE}registry: {files: submit}\n`,
			servers: [{ id: 'wiki', url: server.url(), tools: TOOLS }] });
		t.after(async () => {
			await agent.stop();
			await server.close();
		});
		configure(agent, 'approvers: {group: adm}', 'approvers: {group: adm, security_group: staff}');
		assert.equal((await agent.zg(['reload'])).code, 0);
		const row = async () => (await agent.zg(['--json', 'servers', 'list'])).rows.find((r) => r.id === 'wiki');
		const approve = (who) => steps(agent, who, 'approve', 'wiki', '--reason', 'ok');
		const r = await until(row, 'the file to be submitted');
		assert.equal(r.state, 'submitted');
		assert.equal(r.in_force, false);
		const inside = await agent.inside();
		assert.equal((await inside.do('open', { name: 'early', host: '127.0.0.1', port: server.port })).error?.code, 'EPERM');
		// root wrote the file: it is the submitter, and does not give security's approval
		assert.match((await approve({ uid: 0, groups: '0' })).stderr + (await approve({ uid: 0, groups: '0' })).stderr, /self_approval/);
		assert.equal((await row()).owner_uid, 0);
		assert.equal((await approve(security)).code, 0);
		assert.equal((await row()).state, 'live');
		await inside.must('connect', { client: 'wiki', url: agent.url('wiki') });
		agent.register({ id: 'wiki', url: server.url(), tools: TOOLS, labels: { env: 'other' } });
		assert.equal((await agent.zg(['reload'])).code, 0);
		await until(async () => (await row()).pending === 'submitted', 'the changed file to be submitted');
		assert.equal((await row()).state, 'live');
		const { result } = await inside.must('tool', { client: 'wiki', name: 'read_issue', args: { number: 1 } });
		assert.match(result.content[0].text, /issue 1/);
		await agent.kill('ledger');
		await until(async () => (await row())?.pending === 'submitted', 'the submission after the ledger died');
	});
});
