// SPDX-License-Identifier: Apache-2.0
// stdio_fixture.mjs - a local server by hand, without an SDK, so that it can do
// what a hostile one would. Its tools try things and tell how that went.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import readline from 'node:readline';

const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
const lines = readline.createInterface({ input: process.stdin });
const attempt = (fn) => new Promise((done) => fn(done)).catch((e) => e.code ?? String(e));
let asked = 1000;
const answers = new Map();

const tools = {
	echo: ({ text }) => text,
	env: () => JSON.stringify(process.env),
	whoami: () => JSON.stringify({ uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(), cwd: process.cwd(), argv: process.argv.slice(2),
		exec: process.execPath, cgroup: fs.readFileSync('/proc/self/cgroup', 'utf8'), status: fs.readFileSync('/proc/self/status', 'utf8'),
		fds: fs.readdirSync('/proc/self/fd').length, sid: fs.readFileSync('/proc/self/stat', 'utf8').split(' ')[5], pid: process.pid }),
	dial: ({ port, host = '127.0.0.1' }) => attempt((done) => {
		const s = net.connect(port, host, () => done('connected'));
		s.on('error', (e) => done(e.code));
	}),
	ls: ({ path }) => { try { return fs.readdirSync(path).join(' ') || '(empty)'; } catch (e) { return e.code; } },
	write: ({ path, text }) => { try { fs.writeFileSync(path, text); return 'written'; } catch (e) { return e.code; } },
	child: () => { // one that would outlive us
		const c = spawn('/bin/sh', ['-c', 'trap "" TERM HUP INT; while :; do sleep 1; done'], { detached: true, stdio: 'ignore' });
		c.unref();
		return String(c.pid);
	},
	bomb: ({ count }) => attempt((done) => {
		let made = 0, refused = 0;
		for (let i = 0; i < count; i++) {
			const c = spawn('/bin/sleep', ['60'], { stdio: 'ignore' });
			c.on('error', () => refused++);
			made += c.pid ? 1 : 0;
		}
		setTimeout(() => done(JSON.stringify({ made, refused })), 200);
	}),
	garbage: ({ count = 1 }) => {
		for (let i = 0; i < count; i++)
			process.stdout.write('this is no message\n[1,2]\n{"jsonrpc":"2.0"}\n');
		return 'said';
	},
	foreign: () => { say({ id: 'nobody asked', result: { content: [] } }); return 'said'; },
	notify: ({ text }) => { say({ method: 'notifications/message', params: { level: 'info', data: text } }); return 'said'; },
	roots: () => new Promise((done) => {
		const id = asked++;
		answers.set(id, (m) => done(JSON.stringify(m.result ?? m.error)));
		say({ id, method: 'roots/list' });
	}),
	log: ({ count = 1 }) => { for (let i = 0; i < count; i++) process.stderr.write(`log line ${i} \x1b[31m AKIAQYLPMN5HHHFPZAM2\n`); return 'said'; },
	returns: () => { process.stdout.write('{"jsonrpc":"2.0",\r"method":"notifications/message","params":{"level":"info","data":\r{"jsonrpc":"2.0","id":99,"method":"roots/list"}\r}}\n'); return 'said'; },
	die: ({ status = 3 }) => { process.exit(status); },
	hang: () => new Promise(() => {}),
	stall: () => { lines.pause(); setInterval(() => {}, 1000); return new Promise(() => {}); },
	big: ({ bytes }) => 'x'.repeat(bytes),
	count: () => String(++calls),
	held_write: () => 'done',
	forbidden: () => 'done',
};
let calls = 0, initialized = 0;

lines.on('line', async (line) => {
	let m;
	try { m = JSON.parse(line); } catch { return; } // as the SDKs' servers do
	if (m.method === 'initialize') {
		say({ id: m.id, result: { protocolVersion: m.params.protocolVersion, capabilities: { tools: {}, logging: {} }, serverInfo: { name: 'fixture', version: '1' } } });
	} else if (m.method === 'notifications/initialized') {
		initialized++;
	} else if (m.method === 'tools/list') {
		say({ id: m.id, result: { tools: Object.keys(tools).map((name) => ({ name, inputSchema: { type: 'object' } })) } });
	} else if (m.method === 'tools/call') {
		const value = m.params.name === 'initialized' ? String(initialized) : await tools[m.params.name](m.params.arguments ?? {});
		say({ id: m.id, result: { content: [{ type: 'text', text: value }] } });
	} else if (m.method === 'notifications/cancelled') {
		process.stderr.write(`cancelled ${m.params.requestId}\n`);
	} else if (m.id !== undefined && m.method === undefined) {
		answers.get(m.id)?.(m);
	} else if (m.id !== undefined) {
		say({ id: m.id, error: { code: -32601, message: 'no such method' } });
	}
});
lines.on('close', () => { if (!process.argv.includes('--stay')) process.exit(0); });
process.stderr.write('fixture is there\n');
if (process.argv.includes('--stay'))
	setInterval(() => {}, 1000);
