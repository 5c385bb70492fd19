// SPDX-License-Identifier: Apache-2.0
// narrow_fixture.mjs - a local server whose tools all do the same under other
// names: the policy tells them apart by name. They dial, at once and once more
// after a while, by themselves and through children; and they keep connections.
import { spawn } from 'node:child_process';
import net from 'node:net';
import readline from 'node:readline';

const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const kept = new Map();

const dial = (host, port) => new Promise((done) => {
	const s = net.connect({ host, port, autoSelectFamily: false }, () => { s.destroy(); done('connected'); });
	s.setTimeout(30000, () => { s.destroy(); done('silent'); });
	s.on('error', (e) => done(e.code));
});

const PYTHON = `
import socket, sys
for line in sys.stdin:
    host, port = line.split()
    try:
        socket.create_connection((host, int(port)), 30).close()
        print("connected", flush=True)
    except OSError as e:
        print(type(e).__name__, flush=True)
`;
function python() {
	const child = spawn('/usr/bin/python3', ['-c', PYTHON], { stdio: ['pipe', 'pipe', 'inherit'] });
	const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	return { child, dial: async (host, port) => { child.stdin.write(`${host} ${port}\n`); return (await lines.next()).value; } };
}
const old = python(); // there before any call

const each = async (hosts, fn) => Object.fromEntries(await Promise.all(hosts.map(async (h) => [h, await fn(h)])));

const tools = {
	dial: async ({ hosts, port, wait = 0 }) => {
		const began = Date.now();
		const first = await each(hosts, (h) => dial(h, port));
		await sleep(wait);
		const again = Date.now();
		const last = await each(hosts, (h) => dial(h, port));
		return { first, last, began, again, ended: Date.now() };
	},
	child: async ({ hosts, port }) => {
		const made = python(), out = { made: {}, old: {} };
		for (const h of hosts) {
			out.made[h] = await made.dial(h, port);
			out.old[h] = await old.dial(h, port);
		}
		made.child.kill();
		return out;
	},
	keep: ({ hosts, port }) => each(hosts, (h) => new Promise((done) => {
		const s = net.connect({ host: h, port }, () => done('connected'));
		kept.set(h, s);
		s.on('error', () => {});
		s.on('close', () => { s.gone = true; });
	})),
	use: ({ hosts }) => each(hosts, (h) => new Promise((done) => {
		const s = kept.get(h);
		if (s.gone || !s.writable)
			return done('dead');
		s.once('data', () => done('echo'));
		s.once('close', () => done('dead'));
		s.write('x');
		setTimeout(() => done('silent'), 15000);
	})),
	hang: () => new Promise(() => {}),
	cgroup: async () => ({ pid: process.pid }),
};

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
	const m = JSON.parse(line);
	if (m.method === 'initialize')
		say({ id: m.id, result: { protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'narrow', version: '1' } } });
	else if (m.method === 'tools/list')
		say({ id: m.id, result: { tools: Object.keys(tools).flatMap((t) => ['a', 'b', 'ab', 'free'].map((who) => ({ name: `${who}_${t}`, inputSchema: { type: 'object' } }))) } });
	else if (m.method === 'tools/call')
		say({ id: m.id, result: { content: [{ type: 'text', text: JSON.stringify(await tools[m.params.name.split('_')[1]](m.params.arguments ?? {})) }] } });
	else if (m.id !== undefined && m.method)
		say({ id: m.id, result: {} });
}).on('close', () => process.exit(0));
