// SPDX-License-Identifier: Apache-2.0
// conformance.test.mjs - the official conformance suite against a server that
// passes all of it, directly and through both doors of the gateway: every check
// must come out the same. What may differ, and why, stands in DIFFERENCES.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { needs, repo, startAgent } from './agent.mjs';
import { startConformanceServer } from './conformance_server.mjs';

const SUITE = 'tests/e2e/node_modules/@modelcontextprotocol/conformance/dist/index.js';
const SUITE_MS = 1800000; // ends what hangs
const SCENARIO_MS = 300000;
const AGAIN = 5;

// 'scenario/check' or 'scenario/*': why the gateway answers otherwise than the
// server. Each entry would be a debt, not a decision.
const DIFFERENCES = {
};
const known = (key) => Object.keys(DIFFERENCES).some((k) => k.endsWith('*') ? key.startsWith(k.slice(0, -1)) : key === k);

// Each requirement set that the suite has, and what it has for older versions.
const RUNS = {
	'requirements 2025-11-25': ['--requirements', '2025-11-25'],
	'requirements 2026-07-28': ['--requirements', '2026-07-28'],
	'version 2025-03-26': ['--suite', 'all', '--spec-version', '2025-03-26'],
	'version 2025-06-18': ['--suite', 'all', '--spec-version', '2025-06-18'],
	'version 2025-11-25': ['--suite', 'all', '--spec-version', '2025-11-25'],
	'version 2026-07-28': ['--suite', 'all', '--spec-version', '2026-07-28'],
};
const TIMEOUT = ['--timeout', String(SCENARIO_MS)];

const ALLOW_ALL = 'version: v1\nrules:\n  - id: allow-all\n    match:\n      labels:\n        mcp.server: "*"\n    decision: ALLOW\n';

const MODERN = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/list' };
const MODERN_LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list',
	params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } };

// scenario/check#n -> status; what a check is told in passing (INFO) is no verdict.
function verdicts(dir) {
	const found = {};
	// auth/x stands in a folder of its own
	const folders = fs.readdirSync(dir).sort().flatMap((name) => name === 'auth' ? fs.readdirSync(path.join(dir, name)).map((n) => `${name}/${n}`) : name);
	for (const folder of folders) {
		const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT[-\d]+Z$/, '');
		const file = path.join(dir, folder, 'checks.json'), seen = {};
		if (!fs.existsSync(file)) // the suite itself broke there
			found[`${scenario}/ended`] = { scenario, status: 'FAILURE' };
		for (const { id, status, errorMessage } of fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)) : []) {
			if (status === 'INFO')
				continue;
			seen[id] = (seen[id] ?? 0) + 1;
			found[`${scenario}/${id}${seen[id] > 1 ? `#${seen[id]}` : ''}`] = { scenario, status, errorMessage };
		}
	}
	return found;
}

// The suite's scenarios wait for this and that a fraction of a second, whatever the
// machine: those that came out wrong are run again, alone. What is wrong with a
// server, a client or the gateway is so each time. sides: { found, suite(args, dir),
// dir } that are run again together; wrong() gives the scenarios.
async function settle(run, sides, wrong) {
	for (let n = 0; n < AGAIN; n++)
		for (const scenario of new Set(wrong()))
			for (const side of sides) {
				const to = `${side.dir}-${++side.again}-${scenario.replaceAll('/', '-')}`;
				await side.suite(['--scenario', scenario, '--spec-version', RUNS[run].at(-1), ...TIMEOUT], to);
				side.found = { ...Object.fromEntries(Object.entries(side.found).filter(([, one]) => one.scenario !== scenario)), ...verdicts(to) };
			}
}

// One way to run all of a run's scenarios
async function side(run, dir, suite) {
	await suite([...RUNS[run], ...TIMEOUT], dir);
	return { dir, suite, found: verdicts(dir), again: 0 };
}

// The scenarios of which checks differ for no known reason
function differing(direct, through, isKnown) {
	return [...new Set([...Object.keys(direct), ...Object.keys(through)])].filter((key) => direct[key]?.status !== through[key]?.status && !isKnown(key))
		.map((key) => (direct[key] ?? through[key]).scenario);
}

function difference(direct, through) {
	const lines = [];
	for (const key of new Set([...Object.keys(direct), ...Object.keys(through)])) {
		const [a, b] = [direct[key], through[key]];
		if (a?.status !== b?.status)
			lines.push(`${key}: direct ${a?.status ?? 'absent'}, gateway ${b?.status ?? 'absent'}${b?.errorMessage ? ` (${b.errorMessage.slice(0, 300)})` : ''}`);
	}
	return lines;
}

describe('conformance', needs({ timeout: 4 * SUITE_MS }), () => {
	let agent, fixture, inside;
	const direct = {};

	before(async () => {
		fixture = await startConformanceServer();
		agent = await startAgent({ policy: ALLOW_ALL, servers: [{ id: 'fixture', url: fixture.url(), tools: { '*': { action: 'read' } } }] });
		fs.mkdirSync(path.join(agent.dir, 'out'), { mode: 0o777 });
		fs.chmodSync(path.join(agent.dir, 'out'), 0o777);
		inside = await agent.inside();
		// The fixture has tools that it shows to modern clients alone: what the first list shows is accepted.
		const { stdout } = await inside.must('command', { argv: ['curl', '-sS', ...Object.entries(MODERN).flatMap(([k, v]) => ['-H', `${k}: ${v}`]),
			'-d', JSON.stringify(MODERN_LIST), agent.url('fixture')] });
		assert.match(stdout, /slow_compute/);
	});
	after(async () => {
		await agent?.stop();
		await fixture?.close();
	});

	const out = (name) => path.join(agent.dir, 'out', name.replaceAll(/[^\w.-]/g, '-'));

	for (const run of Object.keys(RUNS)) {
		test(`${run}: the fixture passes all of it`, async () => {
			const failures = (found) => Object.values(found).filter(({ status }) => status === 'FAILURE');
			const suite = (args, dir) => promisify(execFile)(process.execPath, [path.join(repo, SUITE), 'server', '--url', fixture.url(), ...args, '-o', dir],
				{ timeout: SUITE_MS, maxBuffer: 1 << 26 }).catch((e) => assert.ok(fs.existsSync(dir), e.message));
			const one = direct[run] = await side(run, out(`direct ${run}`), suite);
			await settle(run, [one], () => failures(one.found).map(({ scenario }) => scenario));
			assert.deepEqual(failures(one.found), []);
			assert.ok(Object.keys(one.found).length > 0);
		});

		for (const door of ['explicit', 'transparent'])
			test(`${run}: the same through the gateway, ${door}`, async (t) => {
				const url = door === 'explicit' ? agent.url('fixture') : fixture.url();
				const suite = (args, dir) => inside.must('command', { argv: [agent.node, path.join(agent.src, SUITE), 'server', '--url', url, ...args, '-o', dir], env: { HOME: agent.dir } });
				const one = direct[run], other = await side(run, out(`${door} ${run}`), suite);
				await settle(run, [one, other], () => differing(one.found, other.found, known));
				const lines = difference(one.found, other.found);
				t.diagnostic(`${Object.keys(one.found).length} checks, ${lines.length} differ`);
				for (const line of lines)
					t.diagnostic(line);
				assert.deepEqual(lines.filter((line) => !known(line.split(': ')[0])), []);
				for (const check of ['localhost-host-rebinding-rejected', 'localhost-host-valid-accepted'])
					if (`dns-rebinding-protection/${check}` in one.found)
						assert.equal(other.found[`dns-rebinding-protection/${check}`].status, 'SUCCESS');
			});
	}
});

// As above, for the suite's client scenarios: the suite is the server (and the
// authorization server), the SDK's client goes through the gateway.
const CLIENT_DIFFERENCES = {
	// Their subject is how a client gets a token for the server itself. Through the
	// gateway it needs none: the server's credentials are the gateway's, and a
	// client's token is not let through. They are run directly alone.
	'auth/*': 'a client does not log in to a server behind the gateway',
};
const clientKnown = (key) => Object.keys(CLIENT_DIFFERENCES).some((k) => k.endsWith('*') ? key.startsWith(k.slice(0, -1)) : key === k);

describe('conformance of clients', needs({ timeout: 4 * SUITE_MS }), () => {
	let agent;
	const direct = {};

	before(async () => {
		// the suite's authorization servers are elsewhere on loopback, at any port
		const ports = ['1024-65535'];
		agent = await startAgent({ policy: ALLOW_ALL, allow: [{ cidr: '127.0.0.1/32', port: ports }, { cidr: '::1/128', port: ports }] });
		fs.mkdirSync(path.join(agent.dir, 'out'));
	});
	after(() => agent?.stop());

	const suite = (args, command, env) => promisify(execFile)(process.execPath, [path.join(repo, SUITE), 'client', '--command', command, ...args],
		{ timeout: SUITE_MS, maxBuffer: 1 << 26, env: { ...process.env, ...env } }).catch((e) => assert.ok(e.code === 1, e.message));

	for (const run of Object.keys(RUNS).filter((name) => name.startsWith('requirements'))) {
		const out = (name) => path.join(agent.dir, 'out', name.replaceAll(/[^\w.-]/g, '-'));
		const program = (name) => `${process.execPath} ${path.join(repo, 'tests/e2e', name)}`;

		test(`${run}: the client directly`, async (t) => {
			direct[run] = await side(run, out(`client ${run}`), (args, dir) => suite([...args, '-o', dir], program('conformance_client.mjs')));
			t.diagnostic(`${Object.keys(direct[run].found).length} checks`);
		});
		for (const door of ['explicit', 'transparent'])
			test(`${run}: the same through the gateway, ${door}`, async (t) => {
				const { dir, bin, socket, node, src, port } = agent;
				const env = { ZG_THROUGH: JSON.stringify({ door, dir, bin, socket, node, src, port }) };
				const one = direct[run], other = await side(run, out(`client ${door} ${run}`), (args, to) => suite([...args, '-o', to], program('conformance_through.mjs'), env));
				await settle(run, [one, other], () => differing(one.found, other.found, clientKnown));
				const lines = difference(one.found, other.found);
				t.diagnostic(`${Object.keys(one.found).length} checks, ${lines.length} differ`);
				for (const line of lines.filter((l) => !clientKnown(l)))
					t.diagnostic(line);
				assert.deepEqual(lines.filter((line) => !clientKnown(line.split(': ')[0])), []);
			});
	}
});
