// SPDX-License-Identifier: Apache-2.0
// load.mjs - the workload of chaos.mjs, in a governed cgroup: dials what it may
// and what it may not, all the time, and keeps connections open. Tells what it saw
// once a line on stdin asks for it, and the flows that it began have ended as they
// will. Its word counts for allowed flows only; what was forbidden is judged where
// it would have arrived.
//
//   load.mjs '{"allowed": PORT, "forbidden": PORT, "server": PORT, "gateway": PORT}'
import dgram from 'node:dgram';
import http from 'node:http';
import net from 'node:net';
import readline from 'node:readline';

const ports = JSON.parse(process.argv[2]);
const PAUSE_MS = 5; // between two of one loop: load, not a benchmark
const ANSWER_MS = 60000; // longer than any machine is busy: nobody answers
let over = false;
const told = { done: 0, held: 0, attempts: 0, passed: [], calls: 0, direct: 0, failures: [] };

const pause = () => new Promise((next) => setTimeout(next, PAUSE_MS));
const failed = (what, e, from) => told.failures.push({ what, code: e.code ?? e.message, from, until: Date.now() });

// Connect, send, wait for the answer. Reset at the end: no port stays in TIME_WAIT.
function exchange(host, port, bytes, timeout = ANSWER_MS) {
	return new Promise((done, fail) => {
		const socket = net.connect({ host, port, autoSelectFamily: false });
		socket.setTimeout(timeout, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'SILENT' })));
		socket.once('connect', () => bytes && socket.write(bytes));
		socket.once('data', (data) => {
			done(data);
			socket.resetAndDestroy();
		});
		socket.once('error', fail);
		socket.once('close', () => fail(Object.assign(new Error('closed'), { code: 'CLOSED' })));
	});
}

async function allowed() {
	while (!over) {
		const from = Date.now();
		await exchange('127.0.0.1', ports.allowed, 'ok').then(() => told.done++, (e) => failed('allowed', e, from));
		await pause();
	}
}

// One connection for as long as it lives; where it may be ended, another one.
async function hold() {
	while (!over) {
		await new Promise((ended) => {
			let from = Date.now(); // of what is not answered yet
			const socket = net.connect({ host: '127.0.0.1', port: ports.allowed, autoSelectFamily: false });
			socket.setTimeout(ANSWER_MS, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'SILENT' })));
			socket.on('connect', () => socket.write('held'));
			socket.on('data', () => {
				told.held++;
				from = Date.now();
				setTimeout(() => over ? socket.destroy() : socket.write('held'), PAUSE_MS);
			});
			socket.on('error', (e) => failed('held', e, from));
			socket.on('close', ended);
		});
		await pause();
	}
}

function datagram(host, port) {
	return new Promise((done, fail) => {
		const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
		socket.on('error', fail);
		socket.send('FORBIDDEN', port, host, (e) => {
			socket.close();
			e ? fail(e) : done();
		});
	});
}

async function forbidden() {
	const ways = [
		() => exchange('127.0.0.1', ports.forbidden, 'FORBIDDEN', 1000),
		() => exchange('::1', ports.forbidden, 'FORBIDDEN', 1000),
		() => exchange('::ffff:127.0.0.1', ports.forbidden, 'FORBIDDEN', 1000),
		() => exchange('0.0.0.0', ports.forbidden, 'FORBIDDEN', 1000),
		() => exchange('127.0.0.2', ports.allowed, 'FORBIDDEN', 1000),
		() => datagram('127.0.0.1', ports.forbidden),
		() => datagram('::1', ports.forbidden),
	];

	for (let i = 0; ; i = (i + 1) % ways.length) {
		told.attempts++;
		await ways[i]().then(() => told.passed.push(String(ways[i])), () => {});
		await pause();
	}
}

// The registered server's own address: the gateway answers, or nobody.
async function direct() {
	for (;;) {
		await exchange('127.0.0.1', ports.server, 'DIRECT\r\n\r\n', 1000).then(() => told.direct++, () => {});
		await pause();
	}
}

// While the gateway is being killed a call may fail; its address stays the gateway's.
async function call() {
	const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize',
		params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'load', version: '1' } } });

	for (;;) {
		await new Promise((done) => {
			const request = http.request({ host: '127.0.0.1', port: ports.gateway, path: '/github/mcp', method: 'POST', agent: false, timeout: 1000,
				headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'content-length': body.length } }, (response) => {
				response.resume().on('close', done);
				told.calls += response.statusCode === 200;
			});
			request.on('timeout', () => request.destroy());
			request.on('error', done);
			request.end(body);
		});
		await pause();
	}
}

const flows = [allowed, allowed, hold, hold].map((loop) => loop());
for (const loop of [forbidden, forbidden, ...(ports.server ? [direct, call] : [])])
	loop();
console.log('ready');
for await (const _ of readline.createInterface({ input: process.stdin })) {
	over = true;
	await Promise.all(flows);
	console.log(JSON.stringify(told));
}
process.exit(0);
