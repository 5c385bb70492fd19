// SPDX-License-Identifier: Apache-2.0
// policy.mjs - the decision beside other engines, in one run: the same rules and
// calls for zerogate, Cedar (@cedar-policy/cedar-wasm, its policies parsed once) and
// casbin (its expressions compiled once), at 10, 1,000 and 10,000 rules. All three
// must come to the same answers. casbin knows allow and deny alone.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../e2e/package.json', import.meta.url));
const cedar = require('@cedar-policy/cedar-wasm/nodejs');
const { newEnforcer, newModel, Util } = require('casbin');

const build = process.env.ZG_BUILD ?? 'build';
const PER_SERVER = 20;
const BUDGET_MS = 4000; // of one engine at one size
const CALLS = 200;
const STRICT = ['DENY', 'REQUIRE_APPROVAL', 'ALLOW_WITH_CONSTRAINTS', 'ALLOW'];

// What a large company would write: four rules for everybody, twenty for each server.
function world(count) {
	const servers = Array.from({ length: Math.ceil(count / PER_SERVER) }, (_, i) => `s${i}`);
	const rules = [
		{ id: 'unregistered', notIn: servers, decision: 'DENY' },
		{ id: 'reads', servers: ['s0', 's1', 's2'].slice(0, servers.length), action: 'read', decision: 'ALLOW' },
		{ id: 'prod-writes', action: 'write', tag: 'prod', decision: 'REQUIRE_APPROVAL' },
		{ id: 'no-deletes', tools: ['delete_*'], decision: 'DENY' },
	];
	for (let i = 0; rules.length < count; i++) {
		const servers = [`s${Math.floor(i / PER_SERVER)}`], n = i % PER_SERVER, id = `r${i}`;
		rules.push([
			{ id, servers, tools: [`tool_${n}`], decision: 'ALLOW' },
			{ id, servers, tools: [`get_${n}_*`, `list_${n}`], decision: 'ALLOW' },
			{ id, servers, tag: 'non_prod', decision: 'ALLOW_WITH_CONSTRAINTS' },
			{ id, servers, tools: [`drop_${n}`], decision: 'DENY' },
		][i % 4]);
	}
	const tools = ['get_5_x', 'tool_4', 'drop_7', 'list_9', 'create_thing', 'delete_all', 'get_me'];
	const calls = Array.from({ length: CALLS }, (_, i) => {
		const n = i * 7919 % servers.length, tool = tools[i % tools.length];
		return { server: servers[n], tool, action: /^(get|list)_/.test(tool) ? 'read' : 'write', tag: n % 3 ? 'non_prod' : 'prod' };
	});
	return { servers, rules, calls };
}

function median(sorted, q) { return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]; }

function time(calls, decide) {
	const ns = [], decisions = calls.map(decide), end = performance.now() + BUDGET_MS;
	for (let i = 0; performance.now() < end && ns.length < 200000; i++) {
		const start = process.hrtime.bigint();
		decide(calls[i % calls.length]);
		ns.push(Number(process.hrtime.bigint() - start));
	}
	ns.sort((a, b) => a - b);
	return { p50: median(ns, 0.5), p99: median(ns, 0.99), decisions };
}

function zerogate(dir, { servers, rules, calls }) {
	const one = ({ id, servers, tools, action, tag, notIn, decision }) => ({
		id, decision,
		match: {
			...(notIn || servers || tools || action ? { labels: {
				...(notIn && { 'mcp.server': '*' }), ...(servers && { 'mcp.server': servers }),
				...(tools && { 'mcp.tool': tools }), ...(action && { 'mcp.action': action }) } } : {}),
			...(tag && { risk_tags: [tag] }),
		},
		...(notIn && { mcp: { deny_servers_not_in: notIn } }),
		...(decision === 'ALLOW_WITH_CONSTRAINTS' && { constraints: { max_runtime_sec: 30 } }),
	});
	fs.mkdirSync(`${dir}/policies`, { recursive: true });
	fs.mkdirSync(`${dir}/servers`);
	fs.writeFileSync(`${dir}/policies/p.yaml`, JSON.stringify({ version: 'v1', rules: rules.map(one) }));
	servers.forEach((id, n) => fs.writeFileSync(`${dir}/servers/${id}.json`, JSON.stringify({
		name: `example/${id}`, description: id, version: '1.0.0',
		remotes: [{ type: 'streamable-http', url: `http://127.0.0.1:${10000 + n}/mcp` }],
		_meta: { 'dev.zerogate/registry': { id, owner: 'Platform', risk_tags: [n % 3 ? 'non_prod' : 'prod'],
			tools: { 'get_*': { action: 'read' }, 'list_*': { action: 'read' } } } },
	})));
	fs.writeFileSync(`${dir}/zerogate.yaml`, 'version: v1\npolicies: policies\nservers: servers\n'
		+ 'profiles: {agent: {cgroups: ["bench.slice"], servers: ["*"]}}\n');
	fs.writeFileSync(`${dir}/calls`, calls.map((c) => `${c.server} ${c.tool}\n`).join(''));
	return JSON.parse(execFileSync(`${build}/bench/policy_decide`, [`${dir}/zerogate.yaml`, `${dir}/calls`], { maxBuffer: 1 << 24 }));
}

function inCedar({ rules, calls }, name) {
	const text = ({ id, servers, tools, action, tag, notIn, decision }) => {
		const when = [
			servers && (servers.length > 1 ? `[${servers.map((s) => `Server::"${s}"`)}].contains(resource)` : null),
			tools && `(${tools.map((t) => `context.tool like "${t}"`).join(' || ')})`,
			action && `context.action == "${action}"`,
			tag && `context.tags.contains("${tag}")`,
		].filter(Boolean).join(' && ');
		const resource = servers?.length === 1 ? `resource == Server::"${servers[0]}"` : 'resource';
		return `@id("${id}")\n${decision === 'DENY' ? 'forbid' : 'permit'}(principal, action, ${resource})`
			+ (notIn ? ` unless { [${notIn.map((s) => `Server::"${s}"`)}].contains(resource) };` : when ? ` when { ${when} };` : ';');
	};
	const answer = cedar.preparsePolicySet(name, { staticPolicies: Object.fromEntries(rules.map((r) => [r.id, text(r)])) });
	assert.equal(answer.type, 'success', JSON.stringify(answer));
	const decision = Object.fromEntries(rules.map((r) => [r.id, r.decision]));
	return time(calls, (c) => {
		const said = cedar.statefulIsAuthorized({
			principal: { type: 'Agent', id: 'a' }, action: { type: 'Action', id: 'call' }, resource: { type: 'Server', id: c.server },
			context: { tool: c.tool, action: c.action, tags: [c.tag] }, preparsedPolicySetId: name, entities: [],
		});
		const { reason } = said.response.diagnostics;
		return said.response.decision === 'deny' ? 'DENY' : STRICT.find((d) => reason.some((id) => decision[id] === d));
	});
}

const CASBIN = `
[request_definition]
r = server, tool, action, tag
[policy_definition]
p = server, tool, action, tag, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.server == "*" || p.server == r.server || p.server == "!" && !listed(r.server)) && (p.tool == "*" || globMatch(r.tool, p.tool)) && (p.action == "*" || p.action == r.action) && (p.tag == "*" || p.tag == r.tag)
`;

async function inCasbin({ servers, rules, calls }) {
	const enforcer = await newEnforcer(newModel(CASBIN)), listed = new Set(servers);
	enforcer.addFunction('listed', (s) => listed.has(s));
	enforcer.addFunction('globMatch', Util.globMatch);
	const lines = rules.flatMap(({ servers, tools, action, tag, notIn, decision }) =>
		(notIn ? ['!'] : servers ?? ['*']).flatMap((s) => (tools ?? ['*']).map((t) =>
			[s, t, action ?? '*', tag ?? '*', decision === 'DENY' ? 'deny' : 'allow'])));
	await enforcer.addPolicies([...new Map(lines.map((l) => [l.join(), l])).values()]);
	return time(calls, (c) => enforcer.enforceSync(c.server, c.tool, c.action, c.tag) ? 'ALLOW' : 'DENY');
}

// Each engine at each size has a process of its own: V8 of Node 22 dies of an internal
// error ("unreachable code" in its deoptimizer) where they share one.
const [, self, count, engine] = process.argv;
if (engine) {
	const result = engine === 'cedar' ? inCedar(world(Number(count)), 'bench') : await inCasbin(world(Number(count)));
	console.log(JSON.stringify(result));
	process.exit();
}
const alone = (count, engine) => JSON.parse(execFileSync(process.execPath, [self, String(count), engine], { maxBuffer: 1 << 24 }));

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-policy-bench-'));
try {
	const us = (ns) => (ns / 1000).toFixed(ns < 10000 ? 2 : 0).padStart(10);
	const zerogateAt = {};
	console.log('one decision, the same rules and calls: us, and how much longer than zerogate (p99)');
	console.log('rules    engine           p50        p99       ratio');
	for (const count of [10, 1000, 10000]) {
		const w = world(count);
		const ours = zerogateAt[count] = zerogate(path.join(dir, String(count)), w);
		const theirs = { cedar: alone(count, 'cedar'), casbin: alone(count, 'casbin') };
		assert.deepEqual(theirs.cedar.decisions, ours.decisions);
		assert.deepEqual(theirs.casbin.decisions, ours.decisions.map((d) => (d === 'DENY' ? 'DENY' : 'ALLOW')));
		for (const [name, r] of Object.entries({ zerogate: ours, ...theirs }))
			console.log(`${String(count).padEnd(8)} ${name.padEnd(9)} ${us(r.p50)} ${us(r.p99)} ${(r.p99 / ours.p99).toFixed(name === 'zerogate' ? 1 : 0).padStart(10)}x`);
	}
	console.log(`zerogate: p99 ${us(zerogateAt[1000].p99).trim()} us at 1,000 rules (aim 5); `
		+ `${(zerogateAt[10000].p99 / zerogateAt[10].p99).toFixed(1)}x from 10 to 10,000 (aim 3)`);
} finally {
	fs.rmSync(dir, { recursive: true });
}
