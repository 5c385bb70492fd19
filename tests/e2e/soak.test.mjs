// SPDX-License-Identifier: Apache-2.0
// soak.test.mjs - many open sessions with streams, many clients that call, and
// workers killed at random: no reply is lost, given twice or to somebody else,
// every stream comes back, memory stays flat. A short one here; `make soak` is
// the long one.
//   SOAK_SECONDS (8)  SOAK_SESSIONS (600)  SOAK_CLIENTS (24)  SOAK_SEED
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';
import { CLIENT_UID, needs, startAgent, until, within } from './agent.mjs';

const seconds = Number(process.env.SOAK_SECONDS ?? 8), sessions = Number(process.env.SOAK_SESSIONS ?? 600);
const callers = Number(process.env.SOAK_CLIENTS ?? 24), seed = Number(process.env.SOAK_SEED ?? Date.now() % 100000);
const PER_PROCESS = 500;
const PACE = Math.max(1, sessions / 2500); // between kills: half of the streams have to come back
const STREAM_BYTES = 8192; // of gateway memory, at most, for one idle stream

let state = seed;
const random = (n) => { // the same order of events for the same seed
	state = (state * 1103515245 + 12345) % 2147483648;
	return state % n;
};

// A process that answers each line with a line of JSON.
function talk(child) {
	const waiting = [];
	readline.createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));
	const heard = () => new Promise((done) => waiting.push(done));
	return { first: heard(), ask: (line) => { child.stdin.write(`${line}\n`); return heard(); }, tell: (line) => child.stdin.write(`${line}\n`), end: () => child.stdin.end() };
}

const memory = (pids) => pids.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]), 0) * 1024;

test('a soak with workers killed at random', needs({ timeout: (seconds + 1800) * 1000 }), async (t) => {
	const serverChild = spawn(process.execPath, [path.join(import.meta.dirname, 'soak_server.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
	const server = talk(serverChild);
	t.after(() => server.end());
	const { port } = await within(server.first, 'the server');
	const agent = await startAgent({ servers: [{ id: 'soak', url: `http://127.0.0.1:${port}/mcp`, tools: { 'read_*': { action: 'read' } } }],
		policy: 'version: v1\nrules:\n  - id: all\n    match: {labels: {mcp.server: "soak"}}\n    decision: ALLOW\n' });
	t.after(() => agent.stop());
	const processes = Math.ceil(sessions / PER_PROCESS);
	const before = memory(agent.pids('gateway'));
	const clients = [];
	for (let i = 0; i < processes; i++) {
		const share = (n) => Math.floor(n * (i + 1) / processes) - Math.floor(n * i / processes);
		const child = spawn('setpriv', ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups', path.join(agent.bin, 'zerogate'),
			'--socket', agent.socket, 'run', '--', agent.node, path.join(agent.src, 'tests/e2e/soak_client.mjs'), agent.url('soak'), `c${i}`,
			String(share(sessions)), String(share(callers))], { stdio: ['pipe', 'pipe', 'inherit'] });
		const client = talk(child);
		clients.push(client);
		await within(client.first, `client ${i} to open its sessions`, 600000);
	}
	const all = async (line) => {
		const told = await within(Promise.all(clients.map((c) => c.ask(line))), `the clients' answers to ${line}`, 600000);
		return told.reduce((sum, one) => Object.fromEntries(Object.keys(one).map((k) => [k, Array.isArray(one[k]) ? [...(sum[k] ?? []), ...one[k]] : (sum[k] ?? 0) + one[k]])), {});
	};
	const everyStream = async (why) => {
		let at;
		await until(async () => (at = await all('state')).open === sessions && (at.served = (await server.ask('state')).streams) === sessions,
			`all ${sessions} streams ${why}`, 300000).catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(at)}`); });
	};
	await everyStream('to be open');
	const each = (memory(agent.pids('gateway')) - before) / sessions;
	t.diagnostic(`seed ${seed}; ${sessions} idle streams: ${Math.round(each)} bytes of gateway memory each`);

	clients.forEach((c) => c.tell('call'));
	const end = performance.now() + seconds * 1000;
	let kills = 0, early;
	while (performance.now() < end || kills === 0) {
		await new Promise((later) => setTimeout(later, PACE * (1000 + random(2000))));
		const workers = agent.pids('gateway');
		early ??= memory(workers); // while all are there: one that is being killed has none to look at
		const victim = workers[random(workers.length)];
		if (victim && (performance.now() < end - 1500 || kills === 0)) {
			process.kill(victim, 'SIGKILL');
			kills++;
		}
		server.ask('tick');
	}
	await everyStream('to be back');
	const told = await all('state');
	await server.ask('tick');
	await until(async () => (await all('state')).events >= told.events + sessions, 'an event on every stream');
	const late = memory(agent.pids('gateway'));
	const sum = await all('stop');
	const seen = await server.ask('state');
	t.diagnostic(JSON.stringify({ kills, ...sum, executed: seen.executed, mbEarly: Math.round(early / 1e6), mbLate: Math.round(late / 1e6) }));
	assert.deepEqual(sum.problems, []);
	assert.equal(sum.wrong + sum.strayed + sum.refused, 0, 'replies of somebody else, or none');
	assert.equal(seen.twice, 0, 'a call was executed twice');
	assert.ok(sum.calls > callers, 'calls were made');
	assert.ok(seen.executed >= sum.calls && seen.executed <= sum.calls + sum.broken, `${seen.executed} executed, ${sum.calls} answered, ${sum.broken} cut off`);
	assert.ok(kills > 0 && sum.reopened > 0, 'workers were killed');
	if (sessions >= 5000) // below that, what a worker has anyway hides it
		assert.ok(each <= STREAM_BYTES, `${Math.round(each)} bytes of memory for each idle stream`);
	assert.ok(late < early * 1.5 + 32e6, 'memory grows');
});
