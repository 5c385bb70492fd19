// SPDX-License-Identifier: Apache-2.0
// stream.mjs - how long an event of a stream takes from the server's write to
// the client's read, and a call by way of proxies that others use. All in one
// run and by the same client: direct, through zerogate, and through the npm
// proxies mcp-proxy and supergateway, which put HTTP in front of a stdio server.
// The median of many; rounds alternate. Needs root.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { CLIENT_UID, repo, startAgent, until, within } from '../e2e/agent.mjs';
import { freePort } from '../e2e/servers.mjs';

const ROUNDS = 5, EVENTS = 200, CALLS = 300;
const here = import.meta.dirname;
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.floor(list.length * q)];

function lines(child) {
	const waiting = [];
	readline.createInterface({ input: child.stdout }).on('line', (line) => {
		try {
			waiting.shift()?.(JSON.parse(line));
		} catch { /* a proxy's own words */ }
	});
	return () => new Promise((done) => waiting.push(done));
}

const started = [];
const start = (command, args, options = {}) => {
	const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
	started.push(() => child.kill('SIGKILL'));
	return child;
};

const server = start(process.execPath, [path.join(here, 'stream_server.mjs'), 'http']);
const { port } = await within(lines(server)(), 'the server');
const stdio = [process.execPath, path.join(here, 'stream_server.mjs'), 'stdio'];
const bin = (name) => path.join(repo, 'tests/e2e/node_modules/.bin', name);
const agent = await startAgent({ workers: 1, servers: [{ id: 'bench', url: `http://127.0.0.1:${port}/mcp`, tools: { 'read_*': { action: 'read' } } }],
	policy: 'version: v1\nrules:\n  - {id: all, match: {labels: {mcp.server: bench}}, decision: ALLOW}\n' });
try {
	const proxies = [];
	for (const [name, args] of [
		['mcp-proxy', (p) => ['--port', String(p), '--host', '127.0.0.1', '--server', 'stream', '--', ...stdio]],
		['supergateway', (p) => ['--stdio', stdio.join(' '), '--outputTransport', 'streamableHttp', '--stateful', '--port', String(p), '--logLevel', 'none']],
	]) {
		const p = await freePort();
		start(process.execPath, [bin(name), ...args(p)], { stdio: ['pipe', 'ignore', 'ignore'] });
		proxies.push({ name: `${name} (stdio)`, url: `http://127.0.0.1:${p}/mcp`, prefix: [] });
	}
	const governed = ['setpriv', '--reuid', CLIENT_UID, '--regid', CLIENT_UID, '--clear-groups', `${agent.bin}/zerogate`, '--socket', agent.socket, 'run', '--'].map(String);
	const ways = [
		{ name: 'direct', url: `http://127.0.0.1:${port}/mcp`, prefix: [], streams: true },
		{ name: 'zerogate', url: agent.url('bench'), prefix: governed, streams: true },
		...proxies,
	];
	for (const way of ways) {
		const [command, ...rest] = [...way.prefix, agent.node, path.join(agent.src, 'tests/bench/stream_client.mjs'), way.url];
		way.child = start(command, rest, { cwd: '/' });
		way.heard = lines(way.child);
		await within(way.heard(), `a session by way of ${way.name}`, 20000);
		way.calls = [];
		way.events = [];
	}
	const ask = (way, what, n) => { const answer = way.heard(); way.child.stdin.write(`${what} ${n}\n`); return within(answer, `${what} by way of ${way.name}`, 30000); };
	for (let round = 0; round < ROUNDS; round++)
		for (const way of ways) {
			way.calls.push(await ask(way, 'calls', CALLS));
			if (way.streams)
				way.events.push(await ask(way, 'events', EVENTS));
		}
	const us = (way, what, q) => Math.round(median(way[what].map((list) => quantile(list, q))));
	console.log(`one call, one client (median of ${ROUNDS} rounds of ${CALLS}): us`);
	for (const way of ways)
		console.log(`${way.name.padEnd(22)} p50 ${String(us(way, 'calls', 0.5)).padStart(6)}  p99 ${String(us(way, 'calls', 0.99)).padStart(6)}`);
	const [direct, zerogate] = ways;
	console.log(`an event of a stream, from write to read: direct p50 ${us(direct, 'events', 0.5)} us, zerogate p50 ${us(zerogate, 'events', 0.5)} us: `
		+ `adds ${us(zerogate, 'events', 0.5) - us(direct, 'events', 0.5)} us`);
} finally {
	started.forEach((stop) => stop());
	await agent.stop();
}
