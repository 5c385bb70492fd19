// SPDX-License-Identifier: Apache-2.0
// chaos.mjs - the agent is reloaded, upgraded and killed, servers are revoked and
// trusted again, a profile is contained and resumed, in any order and all the
// time, while two workloads dial. On the receiving side no byte of a forbidden
// flow, and of the profile that nobody contains no allowed flow is refused.
//
//   CHAOS_SECONDS (20)   how long
//   CHAOS_SEED           the order of events, to see one again
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';
import { CLIENT_UID, TOOLS, needs, startAgent, until, within } from '../e2e/agent.mjs';
import { freePort, startServer } from '../e2e/servers.mjs';

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 20);
const SEED = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));

// Small, and the same everywhere: an order of events can be asked for again.
function random(seed) {
	let x = seed >>> 0;
	return (n) => {
		x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
		return Math.floor(x / 2 ** 32 * n);
	};
}

// Receives what nobody may send; says what came.
async function trap(port) {
	const came = [];
	const note = (what) => came.push(what);
	const closers = [];
	for (const host of ['127.0.0.1', '::1']) {
		const tcp = net.createServer((socket) => {
			note(`a connection to ${host}`);
			socket.on('error', () => {});
		});
		const udp = dgram.createSocket(host === '::1' ? 'udp6' : 'udp4');
		udp.on('message', (bytes) => note(`a datagram to ${host}: ${bytes}`));
		tcp.listen(port, host);
		udp.bind(port, host);
		await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
		closers.push(() => tcp.close(), () => udp.close());
	}
	return { came, close: () => closers.forEach((close) => close()) };
}

// Answers whoever may come, and counts what came.
async function echo(host, port) {
	const state = { bytes: 0, sockets: new Set() };
	const server = net.createServer((socket) => {
		state.sockets.add(socket);
		socket.on('close', () => state.sockets.delete(socket));
		socket.on('error', () => {});
		socket.on('data', (chunk) => {
			state.bytes += chunk.length;
			socket.write(chunk);
		});
	});
	server.listen({ port, host, backlog: 511 });
	await once(server, 'listening');
	// Until all connections that were made before are accepted, read and over.
	state.over = async () => {
		const last = net.connect({ host, port }); // accepted after those that came before it
		await once(last, 'connect');
		await until(() => [...state.sockets].some((socket) => socket.remotePort === last.localPort), 'the last connection to be accepted');
		last.destroy();
		await until(() => state.sockets.size === 0, 'the connections to end');
	};
	state.close = () => {
		state.sockets.forEach((socket) => socket.destroy());
		server.close();
	};
	return state;
}

class Load {
	async open(agent, profile, ports) {
		this.child = spawn('setpriv', ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups',
			path.join(agent.bin, 'zerogate'), '--socket', agent.socket, 'run', '--profile', profile, '--',
			agent.node, path.join(agent.src, 'tests/bypass/load.mjs'), JSON.stringify(ports)], { cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
		let errors = '';
		this.child.stderr.on('data', (chunk) => { errors = (errors + chunk).slice(-4096); });
		this.ended = once(this.child, 'exit').then(() => { throw new Error(`the workload of ${profile} ended: ${errors}`); });
		this.ended.catch(() => {});
		this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
		await within(Promise.race([this.lines.next(), this.ended]), 'the workload to start');
		return this;
	}

	async tell() {
		this.child.stdin.write('\n');
		const { value } = await within(Promise.race([this.lines.next(), this.ended]), 'the workload to tell', 180000);
		return JSON.parse(value);
	}

	kill() {
		this.child.kill('SIGKILL');
	}
}

test(`${SECONDS} s of reload, revoke, contain, upgrade and kill -9 under load (seed ${SEED})`,
	needs({ timeout: (SECONDS + 1800) * 1000 }), async (t) => {
		const pick = random(SEED);
		const ports = {};
		for (const name of ['allowed', 'forbidden', 'other', 'fence'])
			ports[name] = await freePort();
		const [open, otherOpen, alias, server] = await Promise.all([echo('127.0.0.1', ports.allowed), echo('127.0.0.1', ports.other),
			echo('127.0.0.2', ports.allowed), startServer({ json: true })]);
		const forbidden = await trap(ports.forbidden);
		const strangers = []; // at the registered server: what no gateway would send
		server.on('connection', (socket) => socket.on('data', (chunk) => {
			if (chunk.includes('DIRECT'))
				strangers.push(chunk.toString('latin1'));
		}));
		const entry = { id: 'github', url: server.url(), tools: TOOLS };
		const agent = await startAgent({ servers: [entry], allow: [{ cidr: '127.0.0.1/32', port: ports.allowed }],
			more: `  other:
    cgroups: ["other.slice"]
    allow: ${JSON.stringify([{ cidr: '127.0.0.1/32', port: ports.other }])}
` });
		t.after(async () => {
			await agent.stop();
			[open, otherOpen, alias, forbidden, server].forEach((s) => s.close());
		});
		const load = await new Load().open(agent, 'agent', { allowed: ports.allowed, forbidden: ports.forbidden, server: server.port, gateway: agent.port });
		const other = await new Load().open(agent, 'other', { allowed: ports.other, forbidden: ports.forbidden });
		t.after(() => [load, other].forEach((l) => l.kill()));

		const zg = async (...args) => {
			const { code, stderr } = await agent.zg(args);
			assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
		};
		const file = path.join(agent.dir, 'etc/servers/github.json');
		let contained = false, bytesThen = 0; // what had come by then
		const windows = []; // when flows of the contained profile may have been refused
		let upgrades = 0;

		// Nothing of a contained profile's has come since it was contained.
		const checkContained = () => {
			if (contained)
				assert.equal(otherOpen.bytes, bytesThen, 'bytes of a contained profile');
		};
		const actions = {
			async reload() {
				await zg('reload');
			},
			async revoke() {
				if (fs.existsSync(file))
					fs.rmSync(file);
				else
					agent.register(entry);
				await zg('reload');
			},
			async contain() {
				checkContained();
				if (contained) {
					contained = false;
					await zg('resume', 'other');
					windows.at(-1).until = Date.now();
					const from = otherOpen.bytes;
					await until(() => otherOpen.bytes > from, 'the resumed profile to go on');
					return;
				}
				windows.push({ from: Date.now(), until: Infinity });
				await zg('contain', 'other');
				await otherOpen.over(); // what had arrived by then may still be unread
				contained = true;
				bytesThen = otherOpen.bytes;
			},
			async killGateway() {
				await until(() => agent.pids('gateway').length > 0, 'a gateway to kill'); // one may have been, just now
				await agent.kill('gateway');
			},
			async killLedger() {
				await agent.kill('ledger');
				await until(async () => (await agent.zg(['--json', 'approvals', 'list'])).code === 0, 'the ledger to be back');
			},
			async killParent() {
				await agent.kill('parent');
				await agent.exited;
				await agent.start();
			},
			async killAll() {
				await agent.kill();
				await agent.exited;
				await agent.start();
			},
			async upgrade() {
				const bin = path.join(agent.dir, `bin-${++upgrades}`); // what runs cannot be written
				fs.mkdirSync(bin);
				for (const name of ['zerogated', 'zerogate'])
					fs.copyFileSync(path.join(agent.dir, 'bin', name), path.join(bin, name));
				await agent.halt();
				agent.bin = bin;
				await agent.start();
			},
		};
		const names = Object.keys(actions), made = Object.fromEntries(names.map((name) => [name, 0]));
		const end = performance.now() + SECONDS * 1000;
		let previous = open.bytes;
		while (performance.now() < end) {
			const name = names[pick(names.length)];
			await actions[name]().catch((e) => { throw new Error(`${name}: ${e.message}`, { cause: e }); });
			made[name]++;
			checkContained();
			assert.deepEqual(forbidden.came, [], `after ${name}`);
			assert.equal(alias.bytes, 0, `an alias of the allowed address, after ${name}`);
			await until(() => open.bytes > previous, `the allowed flow to go on after ${name}`);
			previous = open.bytes;
		}
		if (contained)
			await actions.contain();

		const [mine, theirs] = [await load.tell(), await other.tell()];
		console.log(`  events: ${JSON.stringify(made)}`);
		for (const [who, { failures, passed, ...counts }] of Object.entries({ agent: mine, other: theirs }))
			console.log(`  ${who}: ${JSON.stringify(counts)}, ${failures.length} of its allowed flows ended`);
		assert.deepEqual(mine.failures, [], 'allowed flows of the profile that nobody contained');
		assert.deepEqual(theirs.failures.filter((f) => !windows.some((w) => f.until >= w.from && f.from <= w.until)), [],
			'allowed flows of the other profile, while it was not contained');
		assert.deepEqual([...mine.passed, ...theirs.passed], []);
		assert.deepEqual(forbidden.came, []);
		assert.deepEqual(strangers, [], 'the registered server was reached without the gateway');
		const events = Object.values(made).reduce((all, n) => all + n, 0);
		assert.ok(Math.min(mine.done, mine.held, mine.attempts) > events, 'there was a load');
		const verified = await agent.zg(['audit', 'verify', `${agent.dir}/state/audit`]);
		assert.equal(verified.code, 0, verified.stdout + verified.stderr);
		const status = JSON.parse((await agent.zg(['--json', 'status'])).stdout);
		assert.match(status.enforcement, /^(full$|degraded: )/);
	});
