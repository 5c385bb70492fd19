// SPDX-License-Identifier: Apache-2.0
// doctor.test.mjs - what `zerogate doctor` says of the machine, of the agent's
// proof, and of every way around the gate.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, repo, startAgent } from './agent.mjs';

const rowsOfTable = fs.readFileSync(path.join(repo, 'include/tbl/bypass.h'), 'utf8').match(/^X\([A-Z0-9_]+(?=, ")/gm).map((x) => x.slice(2));

describe('zerogate doctor', needs(), () => {
	let agent;

	before(async () => {
		agent = await startAgent();
	});
	after(() => agent?.stop());

	test('proves enforcement anew and tells each finding', async () => {
		const before = JSON.parse((await agent.zg(['--json', 'status'])).stdout).proofs;
		const { code, rows } = await agent.zg(['--json', 'doctor']);
		assert.equal(code, 0);
		const checks = Object.fromEntries(rows.filter((r) => r.check).map((r) => [r.check, r]));
		for (const name of ['kernel', 'cgroup2', 'gate', 'programs', 'maps', 'canary', 'enforcement', 'ledger'])
			assert.equal(checks[name]?.good, true, `${name}: ${JSON.stringify(checks[name])}`);
		assert.ok(JSON.parse((await agent.zg(['--json', 'status'])).stdout).proofs > before);
	});

	test('an optional layer that is missing says why and what it needs', async () => {
		const { rows } = await agent.zg(['--json', 'doctor']);
		for (const row of rows.filter((r) => r.check && !r.good)) {
			assert.equal(row.needed, false, JSON.stringify(row));
			assert.match(row.remedy, /./, JSON.stringify(row));
		}
	});

	test('goes through every way around the gate, and closes only what a layer closes', async () => {
		const { rows } = await agent.zg(['--json', 'doctor']);
		const ways = rows.filter((r) => r.way);
		assert.deepEqual(ways.map((r) => r.way), rowsOfTable);
		const missing = new Set(rows.filter((r) => r.check && !r.good).map((r) => r.check));
		for (const { way, closed, by, needs: lacks } of ways) {
			assert.equal(closed, by.length > 0, way);
			assert.equal(closed, lacks === '', way);
			assert.ok(!by.some((layer) => missing.has(layer)), `${way} rests on a layer that is not there`);
		}
		const named = Object.fromEntries(ways.map((r) => [r.way, r]));
		assert.ok(named.DIAL.by.includes('connect'));
		assert.equal(named.TUNNEL.closed, false, 'root with a device of its own is never claimed');
		assert.equal(named.FD_CONNECTED.closed, !missing.has('lsm'));
	});

	test('speaks to people as well', async () => {
		const { code, stdout } = await agent.zg(['doctor']);
		assert.equal(code, 0);
		assert.match(stdout, /^closed +connect\(\) over IPv4/m);
		assert.match(stdout, /^OPEN .*as root\n +needs nothing/m);
	});

	test('not from a governed cgroup', async () => {
		const bin = path.join(agent.bin, 'zerogate');
		const { stdout, stderr } = await agent.zg(['run', '--', bin, '--socket', agent.socket, 'doctor']);
		assert.match(stdout + stderr, /not from a governed cgroup/);
		assert.doesNotMatch(stdout, /^closed/m);
	});

	test('without an agent it says what the machine has, and exits 3', async () => {
		const { code, stdout } = await agent.zg(['--socket', '/nonexistent/socket', '--json', 'doctor']);
		assert.equal(code, 3);
		const rows = stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l));
		assert.ok(rows.some((r) => r.check === 'kernel' && r.good));
		assert.ok(rows.some((r) => r.check === 'agent' && !r.good));
		assert.ok(!rows.some((r) => r.way), 'nothing is claimed of a gate that nobody can ask');
	});
});
