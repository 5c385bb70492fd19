// SPDX-License-Identifier: Apache-2.0
// call.mjs - one tool call, measured side by side in one run: direct, through
// nginx as a plain reverse proxy, and through zerogate (policy, scan, audit),
// at 1 and at 32 connections. The server is an nginx that answers a fixed
// result, so that it is not what is measured. Rounds alternate between the
// three ways; the median round counts. Then at a steady 3,000 calls a second, in
// rounds of one second: what else runs on the host only ever adds to the slowest 1 %,
// and one stall of 10 ms is all of it, so there the quietest round of each way counts
// beside the median round, and how much time the host took from us (steal) is said;
// then how long an event of a stream takes; then the same call by way of the
// npm proxies mcp-proxy and supergateway in front of a stdio server. Needs root.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CLIENT_UID, repo, startAgent, until } from '../e2e/agent.mjs';
import { freePort } from '../e2e/servers.mjs';

const seconds = Number(process.env.BENCH_SECONDS ?? 3);
const ROUNDS = 3, STEADY_ROUNDS = 25, STEADY_SECONDS = 1;
const TICK_US = 10000; // /proc counts in 1/100 s
const script = 'tests/bench/call.lua';

const RESULT = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text',
	text: 'Issue 17: the build is slow. '.repeat(32) + 'Reported by a user; two comments.' }] } });

function nginxConfig(dir, port, body) {
	return `daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log; user nobody nogroup;
events { worker_connections 512; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/json;
  client_body_temp_path ${dir}/a; proxy_temp_path ${dir}/b; fastcgi_temp_path ${dir}/c; uwsgi_temp_path ${dir}/d; scgi_temp_path ${dir}/e;
  ${body.replace('LISTEN', `listen 127.0.0.1:${port};`)} }`;
}

async function startNginx(parent, name, body) {
	const dir = path.join(parent, name), port = await freePort();
	fs.mkdirSync(dir);
	fs.writeFileSync(`${dir}/nginx.conf`, nginxConfig(dir, port, body));
	const child = spawn('nginx', ['-p', dir, '-c', `${dir}/nginx.conf`, '-e', `${dir}/error.log`], { stdio: ['ignore', 'ignore', 'inherit'] });
	await until(() => fetchText(`http://127.0.0.1:${port}/up`).then(() => true, () => false), `nginx ${name}`);
	return { port, stop: () => { child.kill('SIGQUIT'); return once(child, 'exit'); }, pids: () => tree(child.pid) };
}

function fetchText(url) {
	return new Promise((done, fail) => {
		http.get(url, { agent: false }, (res) => {
			let text = '';
			res.on('data', (chunk) => { text += chunk; }).on('end', () => done(text));
		}).on('error', fail);
	});
}

function tree(pid) {
	const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
	return [pid, ...children.flatMap(tree)];
}

function ticks(pids) { // utime + stime
	return pids.reduce((sum, pid) => {
		const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
		return sum + Number(fields[11]) + Number(fields[12]);
	}, 0);
}

const rssMb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
// Share of all CPU time between two looks that a hypervisor kept for itself.
const cpuTimes = () => fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/ +/).slice(1, 9).map(Number);
const stolen = (a, b) => (b[7] - a[7]) / b.reduce((sum, v, i) => sum + v - a[i], 0);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

const RATE = 3000; // calls a second, evenly spaced

const wrk = (connections) => (way) => ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, way.url];
const steadily = (way) => {
	const { hostname, port, pathname } = new URL(way.url);
	return [`${way.build}/bench/steady`, hostname, port, pathname, String(RATE), String(STEADY_SECONDS)];
};

async function measure(way, client, served) {
	const before = { served: await served(), ticks: ticks(way.pids()) };
	const [command, ...rest] = [...way.prefix, ...client(way)];
	const { stdout } = await promisify(execFile)(command, rest, { cwd: repo });
	const report = JSON.parse(/^@(.*)$/m.exec(stdout)[1]);
	const cpu = (ticks(way.pids()) - before.ticks) * TICK_US / report.calls;
	// Every call that is counted must have reached the server and come back.
	const arrived = await served() - before.served;
	if (report.bad > 0 || arrived < report.calls)
		throw new Error(`${way.name}: ${report.bad} failed; ${report.calls} calls answered, ${arrived} reached the server`);
	return { p50: report.p50, p99: report.p99, rate: report.calls / report.us * 1e6, cpu };
}

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-bench-'));
fs.chmodSync(dir, 0o755);
process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
const started = [];
try {
	const server = await startNginx(dir, 'server', `server { LISTEN location = /count { stub_status; }
		location / { return 200 '${RESULT}'; } }`);
	started.push(server);
	const proxy = await startNginx(dir, 'proxy', `upstream up { server 127.0.0.1:${server.port}; keepalive 64; keepalive_requests 1000000000; }
		server { LISTEN location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; } }`);
	started.push(proxy);
	const agent = await startAgent({ workers: Number(process.env.BENCH_WORKERS ?? 1), servers: [{ id: 'github', url: `http://127.0.0.1:${server.port}/mcp`,
		risk_tags: ['prod'], tools: { 'read_*': { action: 'read' } } }] });
	started.push(agent);
	const served = async () => Number((await fetchText(`http://127.0.0.1:${server.port}/count`)).split('\n')[2].trim().split(' ')[2]);

	const here = path.resolve(process.env.ZG_BUILD ?? 'build');
	const ways = [
		{ name: 'direct', build: here, url: `http://127.0.0.1:${server.port}/mcp`, prefix: [], pids: () => [] },
		{ name: 'nginx', build: here, url: `http://127.0.0.1:${proxy.port}/mcp`, prefix: [], pids: proxy.pids },
		{ name: 'zerogate', build: agent.bin, url: agent.url('github'), pids: () => agent.pids(),
			prefix: ['setpriv', '--reuid', CLIENT_UID, '--regid', CLIENT_UID, '--clear-groups', `${agent.bin}/zerogate`, '--socket', agent.socket, 'run', '--'].map(String) },
	];
	const results = [];
	for (const connections of [1, 32]) {
		const rounds = ways.map(() => []);
		for (let round = 0; round < ROUNDS; round++)
			for (const [i, way] of ways.entries())
				rounds[i].push(await measure(way, wrk(connections), served));
		ways.forEach((way, i) => results.push({ way: way.name, connections,
			...Object.fromEntries(['p50', 'p99', 'rate', 'cpu'].map((k) => [k, median(rounds[i].map((r) => r[k]))])) }));
	}

	const steady = ways.map(() => []), before = cpuTimes();
	for (let round = 0; round < STEADY_ROUNDS; round++)
		for (const [i, way] of ways.entries())
			steady[i].push(await measure(way, steadily, served));

	const steal = stolen(before, cpuTimes());
	const of = (way, connections) => results.find((r) => r.way === way && r.connections === connections);
	const cell = (v, width) => String(v).padStart(width);
	console.log(`tool call (${ROUNDS} rounds of ${seconds} s each way, median round; ${os.cpus().length} CPUs shared by client, proxies and server)`);
	console.log('way        conns    p50 us    p99 us   calls/s  CPU us/call   calls/s vs nginx');
	for (const r of results)
		console.log(r.way.padEnd(10) + cell(r.connections, 6) + cell(r.p50, 10) + cell(r.p99, 10) + cell(Math.round(r.rate), 10)
			+ cell(r.way === 'direct' ? '-' : r.cpu.toFixed(1), 13) + cell((r.rate / of('nginx', r.connections).rate).toFixed(2) + 'x', 19));
	const at = (i, k, of) => of(...steady[i].map((r) => r[k])), middle = (...list) => median(list);
	const added = (i, k, of) => at(i, k, of) - at(0, k, of);
	console.log(`at ${Math.round(at(2, 'rate', middle))} calls/s, ${STEADY_ROUNDS} rounds of ${STEADY_SECONDS} s; steal ${(steal * 100).toFixed(1)} %; added to direct:`);
	for (const [i, { name }] of ways.entries())
		console.log(`  ${name.padEnd(9)} p50 ${at(i, 'p50', middle)} (+${added(i, 'p50', middle)}), p99 ${at(i, 'p99', Math.min)} (+${added(i, 'p99', Math.min)}) `
			+ `in the quietest round, ${at(i, 'p99', middle)} (+${added(i, 'p99', middle)}) in the median round, us`);
	const rss = agent.pids('gateway').map(rssMb);
	console.log(`added p50 at 1 connection: ${of('zerogate', 1).p50 - of('direct', 1).p50} us over direct, ${of('zerogate', 1).p50 - of('nginx', 1).p50} us over nginx`);
	console.log(`RSS: gateway worker ${Math.max(...rss).toFixed(1)} MB, ledger ${Math.max(...agent.pids('ledger').map(rssMb)).toFixed(1)} MB, `
		+ `parent ${Math.max(...agent.pids('parent').map(rssMb)).toFixed(1)} MB, nginx worker ${rssMb(proxy.pids()[1]).toFixed(1)} MB`);
} finally {
	for (const s of started.reverse())
		await s.stop();
}
