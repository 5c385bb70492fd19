// SPDX-License-Identifier: Apache-2.0
// dns.mjs - what the resolver adds to a question: the same client asks the same
// server directly and from a governed cgroup, in turns. Needs root.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { CLIENT_UID, startAgent } from '../e2e/agent.mjs';
import { startDns } from '../e2e/dns.mjs';

const ROUNDS = 5, COUNT = 450; // below the rate that one profile has
const run = promisify(execFile);
const dns = await startDns((q) => ({ answer: [[q.name, 'A', '203.0.113.7', 60]] }));
const agent = await startAgent({ allow: [{ host: 'bench.example', port: 443 }],
	more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n` });
const client = path.join(agent.src, 'tests/bench/dns_client.mjs');
const at = (sorted, part) => sorted[Math.floor(sorted.length * part)];

async function direct() {
	return JSON.parse((await run(agent.node, [client, '127.0.0.1', String(dns.port), String(COUNT)])).stdout);
}

async function governed() {
	const { stdout, stderr } = await agent.zg(['run', '--', agent.node, client, '192.0.2.53', '53', String(COUNT)], { uid: CLIENT_UID });
	if (!stdout)
		throw new Error(stderr);
	return JSON.parse(stdout);
}

try {
	const rows = { direct: [], governed: [] };
	for (let i = 0; i < ROUNDS; i++) {
		rows.direct.push(await direct());
		rows.governed.push(await governed());
	}
	// the quietest round of each: other work of the machine only ever adds
	const best = (all, part) => Math.min(...all.map((r) => at(r, part)));
	console.log('DNS, one question after the other   p50 us   p99 us');
	for (const [name, all] of Object.entries(rows))
		console.log(`  ${name.padEnd(32)} ${best(all, 0.5).toFixed(0).padStart(7)} ${best(all, 0.99).toFixed(0).padStart(8)}`);
	console.log(`  added by the resolver            ${(best(rows.governed, 0.5) - best(rows.direct, 0.5)).toFixed(0).padStart(7)}          (aim 300)`);
} finally {
	await agent.stop();
	await dns.close();
}
process.exit(0);
