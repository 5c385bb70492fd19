// SPDX-License-Identifier: Apache-2.0
// simulate.test.mjs - zerogate policy simulate: real calls, judged by a candidate; and
// what policy check finds with the agent's help.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { EXAMPLE, needs, scene } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const example = fs.readFileSync(EXAMPLE, 'utf8');

// A configuration like the agent's, with another policy; its audit log stays the agent's.
function candidate(agent, name, policy) {
	const dir = path.join(agent.dir, 'etc', name);
	fs.mkdirSync(dir);
	fs.writeFileSync(path.join(dir, 'policy.yaml'), policy);
	const config = path.join(agent.dir, 'etc', `${name}.yaml`);
	fs.writeFileSync(config, fs.readFileSync(agent.config, 'utf8').replace('policies: policies', `policies: ${name}`));
	return ['--config', config];
}

async function worked(t) {
	const server = await startServer();
	const agent = await scene(t, { server });
	const inside = await agent.inside();
	const raw = await new RawClient(inside, agent.url('github')).open();
	for (let n = 1; n <= 3; n++)
		await raw.call('read_issue', { number: n });
	await raw.request('tools/list', {});
	await raw.call('create_draft', { title: 'x' });
	await raw.call('merge', { number: 1 }); // nobody classified it: waits for a person, in vain
	await agent.record((r) => r.kind === 'call.deny' && r.tool === 'merge');
	await agent.record((r) => /^call\.(intent|deny)$/.test(r.kind) && r.tool === 'create_draft');
	const simulate = async (...args) => {
		const r = await agent.zg(['policy', 'simulate', '--json', ...args]);
		assert.equal(r.stderr, '');
		const rows = r.stdout.trim().split('\n').map((l) => JSON.parse(l));
		return { code: r.code, sum: rows.pop(), tools: rows.filter((g) => g.method === 'tools/call'), rows };
	};
	return { agent, simulate };
}

test('what a candidate would have decided otherwise, each call once, by group', needs(), async (t) => {
	const { agent, simulate } = await worked(t);

	const same = await simulate('--config', agent.config);
	assert.equal(same.code, 0, JSON.stringify(same));
	assert.deepEqual(same.rows, []);
	const records = agent.records();
	const calls = new Set(records.filter((r) => /^call\.(intent|deny)$/.test(r.kind)).map((r) => r.call));
	assert.equal(same.sum.calls, calls.size, 'a call that waited and was then refused is one call');
	assert.ok(calls.size >= 5);

	const tighter = candidate(agent, 'tighter', example
		.replace('  - id: constrain-medium-risk', '  - id: no-issues\n    match: {labels: {mcp.tool: "read_*"}}\n    decision: DENY\n  - id: constrain-medium-risk')
		.replace('decision: REQUIRE_APPROVAL', 'decision: ALLOW_WITH_CONSTRAINTS'));
	const changed = await simulate(...tighter);
	assert.equal(changed.code, 1);
	assert.deepEqual(changed.tools.map((g) => [g.count, g.effect, g.server, g.tool, g.action, g.from, g.to, g.from_rules, g.to_rules]), [
		[3, 'stricter', 'github', 'read_issue', 'read', 'ALLOW', 'DENY', 'allow-read-approved-servers', 'allow-read-approved-servers,no-issues'],
		[1, 'looser', 'github', 'merge', 'write', 'REQUIRE_APPROVAL', 'ALLOW_WITH_CONSTRAINTS', 'require-approval-production-write', 'require-approval-production-write'],
	]);
	assert.deepEqual(changed.sum, { calls: calls.size, changed: 4, stricter: 3, looser: 1, depends: 0 });

	// for people; from the agent itself; from a folder
	const text = await agent.zg(['policy', 'simulate', ...tighter]);
	assert.match(text.stdout, / 3  stricter  github tools\/call read_issue \(read\): ALLOW -> DENY  \[allow-read-approved-servers\] -> \[.*no-issues\]/);
	assert.match(text.stdout, /\d+ calls, 4 would change: 3 stricter, 1 looser; 0 may change\n$/);
	const asked = await simulate(...tighter, '--last', '1000');
	assert.deepEqual(asked.sum, changed.sum);
	const audit = path.join(agent.dir, 'state/audit');
	assert.deepEqual((await simulate(...tighter, '--audit', audit)).sum, changed.sum);
	assert.equal((await agent.zg(['policy', 'simulate', ...tighter, '--audit', path.join(agent.dir, 'nowhere')])).code, 2);
	assert.equal((await agent.zg(['policy', 'simulate', ...tighter, '--audit', audit, '--last', '5'])).code, 2);

	// labels and tags are the candidate's registry's, not the record's
	const servers = path.join(agent.dir, 'etc/servers2');
	fs.mkdirSync(servers);
	const entry = JSON.parse(fs.readFileSync(path.join(agent.dir, 'etc/servers/github.json'), 'utf8'));
	entry._meta['dev.zerogate/registry'].tools['read_*'] = { action: 'write', risk_tags: ['prod'] };
	fs.writeFileSync(path.join(servers, 'github.json'), JSON.stringify(entry));
	const other = path.join(agent.dir, 'etc/other.yaml');
	fs.writeFileSync(other, fs.readFileSync(agent.config, 'utf8').replace('servers: servers\n', 'servers: servers2\n'));
	const reclassified = await simulate('--config', other);
	assert.deepEqual(reclassified.tools.map((g) => [g.count, g.tool, g.action, g.from, g.to]),
		[[3, 'read_issue', 'write', 'ALLOW', 'REQUIRE_APPROVAL']]);
});

test('what no record holds is not guessed: it depends, and says on what', needs(), async (t) => {
	const { agent, simulate } = await worked(t);
	const rule = (match) => `${example}  - id: more\n    match: {${match}}\n    decision: DENY\n`;

	const args = candidate(agent, 'args', rule('labels: {mcp.tool: read_issue}, args: {/number: {min: 3}}'));
	const depends = await simulate(...args);
	assert.equal(depends.code, 1);
	assert.deepEqual(depends.tools.map((g) => [g.count, g.effect, g.tool, g.from, g.to, g.or, g.depends_on]),
		[[3, 'depends', 'read_issue', 'ALLOW', 'DENY', 'ALLOW', 'arguments']]);
	assert.deepEqual([depends.sum.changed, depends.sum.depends], [0, 3]);
	const text = await agent.zg(['policy', 'simulate', ...args]);
	assert.match(text.stdout, /ALLOW -> DENY or ALLOW: depends on arguments/);

	// where today's policy asks the same of them, nothing changes
	assert.equal((await simulate(...args, ...args)).code, 0);
	// an argument that makes no difference is no doubt
	const idle = candidate(agent, 'idle', `${rule('labels: {mcp.tool: merge}, args: {/number: {min: 3}}')}  - id: sure\n    match: {labels: {mcp.tool: merge}}\n    decision: DENY\n`);
	const denied = await simulate(...idle);
	assert.deepEqual(denied.rows.map((g) => [g.tool, g.effect, g.from, g.to, g.or]), [['merge', 'stricter', 'REQUIRE_APPROVAL', 'DENY', undefined]]);
	// whoever is recorded, is known; what it executed is not
	const uid = candidate(agent, 'uid', rule('labels: {mcp.tool: read_issue}, principal: {uid: 65533, profile: agent}'));
	assert.deepEqual((await simulate(...uid)).tools.map((g) => [g.count, g.effect]), [[3, 'stricter']]);
	const exe = candidate(agent, 'exe', rule('labels: {mcp.tool: read_issue}, principal: {executable: /usr/bin/curl}'));
	assert.deepEqual((await simulate(...exe)).tools.map((g) => [g.count, g.effect, g.depends_on]), [[3, 'depends', 'arguments or the executable']]);
	// a classify rule that would need them: both ways are followed
	const classify = candidate(agent, 'classify', `${example}classify:\n  - id: big\n    match: {labels: {mcp.tool: read_issue}, args: {/number: {min: 3}}}\n    set: {action: write}\n`);
	assert.deepEqual((await simulate(...classify)).tools.map((g) => [g.count, g.effect, g.from, g.to, g.or]),
		[[3, 'depends', 'ALLOW', 'REQUIRE_APPROVAL', 'ALLOW']]);
	// and time is the record's
	const now = new Date();
	const hour = (n) => `${String((now.getUTCHours() + n + 24) % 24).padStart(2, '0')}:00`;
	const then = candidate(agent, 'then', rule(`labels: {mcp.tool: read_issue}, time: {from: "${hour(-1)}", to: "${hour(2)}"}`));
	assert.deepEqual((await simulate(...then)).tools.map((g) => [g.count, g.effect]), [[3, 'stricter']]);
	const later = candidate(agent, 'later', rule(`labels: {mcp.tool: read_issue}, time: {from: "${hour(3)}", to: "${hour(4)}"}`));
	assert.equal((await simulate(...later)).code, 0);
});

test('check says what is most likely a mistake; --strict fails on it, --pins asks the agent', needs(), async (t) => {
	const { agent } = await worked(t);
	const honest = await agent.zg(['policy', 'check', '--strict', '--config', agent.config]);
	const strict = JSON.parse((await agent.zg(['--json', 'policy', 'check', '--config', agent.config])).stdout).findings;
	assert.deepEqual([honest.code, strict], [0, []], honest.stderr);

	const odd = candidate(agent, 'odd', `${example}  - id: never\n    match: {labels: {mcp.action: read, mcp.server: jira}}\n    decision: ALLOW\n`);
	const said = await agent.zg(['policy', 'check', ...odd]);
	assert.equal(said.code, 0, said.stderr);
	assert.match(said.stderr, /notice: .*odd\/policy\.yaml:\d+:5: shadowed rule 'never': .*'allow-read-approved-servers'.* \(remove it/);
	assert.match(said.stderr, /unreachable rule 'never': no registered server is named 'jira'/);
	const failed = await agent.zg(['--json', 'policy', 'check', '--strict', ...odd]);
	assert.equal(failed.code, 1);
	assert.deepEqual(JSON.parse(failed.stdout).findings.map((f) => [f.kind, f.rule]).sort(), [['shadowed', 'never'], ['unreachable', 'never']]);

	const pins = await agent.zg(['--json', 'policy', 'check', '--pins', '--config', agent.config]);
	assert.equal(pins.code, 0, pins.stderr);
	const unclassified = JSON.parse(pins.stdout).findings;
	assert.ok(unclassified.length > 0 && unclassified.every((f) => f.kind === 'unclassified' && /github\.json$/.test(f.file)));
	assert.ok(!unclassified.some((f) => /'read_issue'|'create_draft'/.test(f.what)), JSON.stringify(unclassified));
});
