// SPDX-License-Identifier: Apache-2.0
// agent.mjs - one zerogated of its own for a test: configuration, state, ports,
// pins and cgroup root in places that nobody else uses, and nothing left of
// them afterwards, whatever happens. Needs root.
import { execFileSync, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from './servers.mjs';

export const repo = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const build = process.env.ZG_BUILD ?? path.join(repo, 'build');
export const CLIENT_UID = 65533; // the workload: nobody's account

// Options for test(): skipped with the reason where the machine cannot run it;
// with ZG_REQUIRE=1 nothing is skipped, so that it fails instead. The timeout,
// as all that are not about time itself, only ends what hangs: no slow machine
// reaches it.
export function needs(options = {}) {
	const lacks = process.getuid() !== 0 ? 'needs root' : '';
	return { timeout: 1800000, ...options, ...(lacks && process.env.ZG_REQUIRE !== '1' ? { skip: lacks } : {}) };
}

const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString().trim();

export function cgroupMount() {
	return run('findmnt', '-n', '-o', 'TARGET', '-t', 'cgroup2').split('\n')[0];
}

function folders(dir) { // deepest first
	const below = fs.existsSync(dir) ? fs.readdirSync(dir, { withFileTypes: true }).filter((e) => e.isDirectory()) : [];
	return [...below.flatMap((e) => folders(path.join(dir, e.name))), dir];
}

// Before it is ready the kernel verifies the gate's programs: seconds, and many of them on a busy machine.
const READY_MS = 180000;
// What comes at all comes in a small part of this, on a slow and busy machine too.
export const HANGS_MS = 60000;

// Wait until fn() is true: for what announces itself with no event.
export async function until(fn, what, ms = HANGS_MS) {
	const end = performance.now() + ms;
	for (;;) {
		const value = await fn();
		if (value)
			return value;
		if (performance.now() > end)
			throw new Error(`waited ${ms} ms for: ${what}`);
		await new Promise((again) => setTimeout(again, 10));
	}
}

export function within(promise, what, ms = HANGS_MS) {
	let timer;
	return Promise.race([promise, new Promise((_, fail) => {
		timer = setTimeout(() => fail(new Error(`waited ${ms} ms for: ${what}`)), ms);
	})]).finally(() => clearTimeout(timer));
}

// How many times slower than others this machine is now, by what it takes to start a program.
const START_MS = 5;
async function slowness() {
	const began = performance.now();
	for (let i = 0; i < 5; i++)
		await once(spawn('true', { stdio: 'ignore' }), 'close');
	return Math.max(1, (performance.now() - began) / 5 / START_MS);
}

// What must be quick: act() does it and gives the milliseconds that it took. A
// busy machine adds to some of the tries, a wait that is built in to each of
// them; so one must be below the limit. After a few the limit is that of a
// machine which is as slow as this one.
export async function quick(limit, what, act, tries = 10) {
	const took = [];
	while (took.length < tries) {
		const ms = await act(), allowed = took.length < 3 ? limit : limit * await slowness();
		took.push(`${Math.round(ms)} of ${Math.round(allowed)}`);
		if (ms < allowed)
			return ms;
	}
	throw new Error(`${what}: never below the limit in ms: ${took.join(', ')}`);
}

const alive = new Set();
process.on('exit', () => {
	for (const agent of alive)
		agent.erase();
});
for (const signal of ['SIGINT', 'SIGTERM'])
	process.on(signal, () => process.exit(1));

// servers.json entry -> a file of the official registry's shape
export function serverFile({ id, url, type = 'streamable-http', addresses, labels = {}, risk_tags = [], tools = {}, ...more }) {
	return JSON.stringify({
		name: `dev.zerogate.test/${id}`, description: `test server ${id}`, version: '1.0.0',
		remotes: [{ type, url }],
		_meta: { 'dev.zerogate/registry': { id, owner: 'Tests', labels, risk_tags, tools, ...(addresses ? { addresses } : {}), ...more } },
	}, null, 2);
}

// What most tests register a fixture as: a production server with one read tool.
export const TOOLS = {
	'read_*': { action: 'read' }, leak: { action: 'read' }, big: { action: 'read' }, fail: { action: 'read' },
	count_to: { action: 'read' }, slow_read: { action: 'read' },
	create_draft: { action: 'write', risk_tags: ['non_prod'] },
	slow_write: { action: 'write', risk_tags: ['non_prod'] },
};

export const EXAMPLE = path.join(repo, 'policies/examples/mcp-governance.yaml');

class Agent extends EventEmitter {
	async open({ servers = [], policy, hold = 3, workers = 2, allow = [], more = '', listen, mode = 'enforce', onChange = false, before = () => {}, env = {} } = {}) {
		this.env = env;
		this.setMaxListeners(0);
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-'));
		fs.chmodSync(this.dir, 0o755);
		alive.add(this);
		// The checkout may lie where the workload's uid cannot walk.
		this.src = path.join(this.dir, 'src');
		// where the workload's uid can reach it: node may be one of the locked packages
		const node = path.relative(repo, process.execPath);
		this.node = node.startsWith('..') ? process.execPath : path.join(this.src, node);
		this.bin = path.join(this.dir, 'bin');
		for (const dir of ['src', 'bin', 'etc', 'etc/policies', 'etc/servers', 'bpf'])
			fs.mkdirSync(path.join(this.dir, dir));
		run('mount', '--bind', repo, this.src);
		run('mount', '--bind', build, this.bin);
		run('mount', '-t', 'bpf', 'bpf', path.join(this.dir, 'bpf'));
		this.cgroup = path.join(cgroupMount(), path.basename(this.dir));
		fs.mkdirSync(this.cgroup);
		this.port = await freePort();
		this.socket = path.join(this.dir, 'run/control.sock');
		this.config = path.join(this.dir, 'etc/zerogate.yaml');
		fs.writeFileSync(this.config, `version: v1
listen: ${JSON.stringify(listen ?? [`127.0.0.1:${this.port}`, `[::1]:${this.port}`])}
policies: policies
servers: servers
state_dir: ${this.dir}/state
runtime_dir: ${this.dir}/run
pin_dir: ${this.dir}/bpf/zerogate
cgroup_root: ${this.cgroup}
user: nobody
ledger_user: daemon
workers: ${workers}
approvals: {hold_sec: ${hold}, ttl_sec: 3600}
approvers: {group: adm}
reload: {on_change: ${onChange}}
profiles:
  agent:
    cgroups: ["zerogate.slice"]
    mode: ${mode}
    allow: ${JSON.stringify(allow)}
    servers: ["*"]
${more}`);
		this.policy(policy ?? fs.readFileSync(EXAMPLE, 'utf8'));
		for (const server of servers)
			this.register(server);
		before(this);
		return this.start();
	}

	policy(text) {
		fs.writeFileSync(path.join(this.dir, 'etc/policies/policy.yaml'), text);
	}

	register(server) {
		fs.writeFileSync(path.join(this.dir, `etc/servers/${server.id}.json`), serverFile(server));
	}

	// Start zerogated; ready when it says so (sd_notify), never by waiting a while.
	async start() {
		const socket = path.join(this.dir, 'notify');
		fs.rmSync(socket, { force: true }); // of the start before: nobody hears what is said there
		const notify = spawn('socat', ['-u', `UNIX-RECV:${socket},unlink-early`, 'STDOUT'], { stdio: ['ignore', 'pipe', 'inherit'] });
		await until(() => fs.existsSync(socket), 'the notify socket');
		this.log = path.join(this.dir, 'log');
		const log = fs.openSync(this.log, 'a');
		const started = performance.now();
		this.process = spawn(path.join(this.bin, 'zerogated'), ['--config', this.config], {
			stdio: ['ignore', log, log], cwd: this.dir,
			env: { PATH: process.env.PATH, NOTIFY_SOCKET: socket, ...this.env, ...(process.env.ASAN_OPTIONS ? { ASAN_OPTIONS: process.env.ASAN_OPTIONS } : {}) },
		});
		fs.closeSync(log);
		this.exited = once(this.process, 'exit').then(([code, signal]) => ({ code, signal }));
		let heard = '';
		const ready = new Promise((done) => notify.stdout.on('data', (chunk) => {
			heard += chunk;
			if (/READY=1/.test(heard))
				done();
		}));
		try {
			await within(Promise.race([ready, this.exited.then(({ code, signal }) => {
				throw new Error(`zerogated ended (${code ?? signal}):\n${this.logText()}`);
			})]), 'zerogated to be ready', READY_MS).catch((e) => {
				throw new Error(`${e.message}\n${this.logText()}`);
			});
			this.startMs = performance.now() - started;
		} finally {
			notify.kill('SIGKILL');
		}
		return this;
	}

	logText() {
		return fs.existsSync(this.log) ? fs.readFileSync(this.log, 'utf8') : '';
	}

	url(id, host = '127.0.0.1') {
		return `http://${host}:${this.port}/${id}/mcp`;
	}

	// Pids of a role, as its cgroup holds them; without a role, of all.
	pids(role) {
		const dirs = folders(path.join(this.cgroup, 'zerogate.agent')).filter((d) => !role || path.basename(d) === role);
		return dirs.flatMap((d) => {
			try {
				return fs.readFileSync(path.join(d, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
			} catch {
				return [];
			}
		});
	}

	// kill -9, and wait until the kernel has taken the processes away.
	async kill(role) {
		const pids = this.pids(role);
		if (pids.length === 0)
			throw new Error(`no process of role ${role ?? '(any)'} runs`);
		for (const pid of pids)
			try {
				process.kill(pid, 'SIGKILL');
			} catch (e) { // what has just ended, with its parent or by itself
				if (e.code !== 'ESRCH')
					throw e;
			}
		await until(() => !pids.some((pid) => {
			try {
				return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
			} catch {
				return false;
			}
		}), 'the killed processes to go');
		return pids;
	}

	// The CLI, as root unless uid is given. Never throws for an exit status.
	zg(args, { uid, groups, gid, input, cwd } = {}) {
		const full = [path.join(this.bin, 'zerogate'), '--socket', this.socket, ...args];
		const identity = uid === undefined ? [] : ['setpriv', '--reuid', String(uid), '--regid', String(gid ?? uid),
			...(groups ? ['--groups', groups] : ['--clear-groups'])];
		const [command, ...rest] = [...identity, ...full];
		return new Promise((done, fail) => {
			const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe'], cwd });
			let stdout = '', stderr = '';
			child.stdout.on('data', (chunk) => { stdout += chunk; });
			child.stderr.on('data', (chunk) => { stderr += chunk; });
			child.stdin.on('error', () => {});
			child.on('error', fail);
			child.on('close', (code, signal) => done({ code, signal, stdout, stderr,
				get rows() { return stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l)).flat(); } }));
			child.stdin.end(input);
		});
	}

	// A process below `zerogate run` that does what it is told; see inside.mjs.
	async inside({ uid = CLIENT_UID, args = [] } = {}) {
		const worker = new Inside();
		alive.has(this) && await worker.open(this, uid, args);
		this.once('stop', () => worker.kill());
		return worker;
	}

	// The audit records written so far, oldest first.
	records() {
		const files = folders(path.join(this.dir, 'state')).flatMap((d) => fs.existsSync(d)
			? fs.readdirSync(d).filter((f) => f.endsWith('.jsonl')).sort().map((f) => path.join(d, f)) : []);
		return files.flatMap((f) => fs.readFileSync(f, 'utf8').split('\n').slice(0, -1).map((l) => JSON.parse(l)));
	}

	// The first record that satisfies match, now or as soon as it is written.
	record(match, what = String(match), ms = HANGS_MS) {
		return until(() => this.records().find(match), `an audit record: ${what}`, ms);
	}

	async approval(match = () => true) {
		const request = await this.record((r) => r.kind === 'approval.request' && match(r), 'approval.request');
		return request.approval;
	}

	// SIGTERM; how it ended.
	async halt() {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			this.process.kill('SIGTERM');
			await within(this.exited, 'zerogated to end').catch(() => this.process.kill('SIGKILL'));
		}
		return this.exited;
	}

	async stop() {
		this.emit('stop');
		const end = await this.halt();
		this.erase();
		return end;
	}

	// Synchronous, so that it also works on the way out of a failed test.
	erase() {
		alive.delete(this);
		try {
			fs.writeFileSync(path.join(this.cgroup, 'cgroup.kill'), '1');
		} catch { /* the folder is gone already */ }
		const deadline = Date.now() + HANGS_MS;
		for (const dir of fs.existsSync(this.cgroup) ? folders(this.cgroup) : [])
			while (fs.existsSync(dir)) {
				try {
					fs.rmdirSync(dir);
				} catch (e) {
					if (Date.now() > deadline)
						throw e;
					Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
				}
			}
		for (const mount of ['src', 'bin', 'bpf'])
			try {
				run('umount', path.join(this.dir, mount));
			} catch {
				run('umount', '-l', path.join(this.dir, mount));
			}
		if (process.env.ZG_KEEP)
			console.error(`kept: ${this.dir}`);
		else
			fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

class Inside {
	waiting = new Map();
	seq = 0;
	errors = '';

	async open(agent, uid, args) {
		const identity = uid === 0 ? [] : ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
		const [command, ...rest] = [...identity, path.join(agent.bin, 'zerogate'), '--socket', agent.socket, 'run', ...args, '--',
			agent.node, path.join(agent.src, 'tests/e2e/inside.mjs')];
		this.child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' });
		this.child.stderr.on('data', (chunk) => { this.errors += chunk; });
		this.child.stdin.on('error', () => {});
		this.closed = once(this.child, 'close').then(([code, signal]) => {
			for (const { fail } of this.waiting.values())
				fail(new Error(`the workload ended (${code ?? signal}): ${this.errors}`));
			return { code, signal, errors: this.errors };
		});
		const ready = new Promise((done, fail) => this.waiting.set('ready', { done, fail }));
		readline.createInterface({ input: this.child.stdout }).on('line', (line) => {
			const { seq = 'ready', answer } = JSON.parse(line);
			this.waiting.get(seq)?.done(answer);
			this.waiting.delete(seq);
		});
		await within(ready, 'the workload to start');
	}

	do(verb, params = {}) {
		const seq = ++this.seq;
		const answer = new Promise((done, fail) => this.waiting.set(seq, { done, fail }));
		answer.catch(() => {}); // a test may end while a call is still held
		this.child.stdin.write(JSON.stringify({ seq, verb, ...params }) + '\n');
		return answer;
	}

	// As do(), but a failure throws.
	async must(verb, params) {
		const answer = await this.do(verb, params);
		if (answer.error)
			throw new Error(`${verb}: ${JSON.stringify(answer.error)}\n${this.errors}`);
		return answer;
	}

	async tool(name, args, more = {}) {
		return (await this.must('tool', { name, args, ...more })).result;
	}

	// Ends the workload in good order; gives exit status and the run's report.
	end(status = 0) {
		this.do('exit', { status }).catch(() => {});
		return this.closed;
	}

	kill() {
		this.child.kill('SIGKILL');
	}
}

export async function startAgent(options) {
	const agent = new Agent();
	try {
		return await agent.open(options);
	} catch (e) {
		if (alive.has(agent))
			agent.erase();
		throw e;
	}
}

// One agent with one registered fixture, both gone when the test ends.
export async function scene(t, { server, tools = TOOLS, id = 'github', risk_tags = ['prod'], host = '127.0.0.1', ...options }) {
	const registered = { id, url: server.url(host), risk_tags, tools };
	let agent;
	t.after(async () => { // an agent that did not start must not leave its server behind
		await agent?.stop();
		await server.close();
	});
	agent = await startAgent({ ...options, servers: [registered, ...(options.servers ?? [])] });
	return agent;
}
