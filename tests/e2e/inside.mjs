// SPDX-License-Identifier: Apache-2.0
// inside.mjs - runs below `zerogate run`: the workload. Reads one JSON command
// a line on stdin, answers one JSON object a line on stdout, in any order.
// Uses the official SDKs' clients, plain fetch and raw sockets.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import dgram from 'node:dgram';
import readline from 'node:readline';
import tls from 'node:tls';

const clients = new Map();
const held = new Map(); // connections that are kept until somebody ends them

function failure(e) {
	const cause = e.cause ?? e.errors?.[0] ?? e;
	return { error: { name: e.name, code: e.code ?? cause.code, cause: cause.code, message: e.message, data: e.data } };
}

async function sdk1(url) {
	const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
	const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
	return [new Client({ name: 'inside', version: '1' }), new StreamableHTTPClientTransport(new URL(url))];
}

async function sdk2(url) {
	const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
	return [new Client({ name: 'inside', version: '2' }), new StreamableHTTPClientTransport(new URL(url))];
}

// HTTP+SSE of 2024-11-05
async function sse(url) {
	const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
	const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
	return [new Client({ name: 'inside', version: '1' }), new SSEClientTransport(new URL(url))];
}

// An MCP server on stdio, started and spoken with as clients do.
async function launched(sdk, command, args) {
	const [{ Client }, { StdioClientTransport }] = sdk === 2
		? [await import('@modelcontextprotocol/client'), await import('@modelcontextprotocol/client/stdio')]
		: [await import('@modelcontextprotocol/sdk/client/index.js'), await import('@modelcontextprotocol/sdk/client/stdio.js')];
	return [new Client({ name: 'inside', version: '1' }), new StdioClientTransport({ command, args, stderr: 'ignore' })];
}

function cancellable(name) {
	const controller = new AbortController();
	held.set(name, controller);
	return controller.signal;
}

// TCP, or TLS as this machine's programs believe it
const dial = (secure, to, connected) => secure ? tls.connect(to, connected) : net.connect(to, connected);

const verbs = {
	async launch({ command, args, sdk = 1 }) {
		const [client, transport] = await launched(sdk, command, args);
		// A client whose server has died may wait for ever to be heard.
		const closed = new Promise((_, fail) => { client.onclose = () => fail(new Error('closed by the server')); });
		const serve = async () => {
			await client.connect(transport);
			return { tools: (await client.listTools()).tools.length };
		};
		const outcome = await Promise.race([serve(), closed]).catch((e) => ({ failed: e.message }));
		closed.catch(() => {});
		await client.close();
		return outcome;
	},
	// Any program: what it answers to a line each, and how it ends
	async converse({ command, args, lines }) {
		const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
		let heard = '';
		child.stdout.on('data', (chunk) => { heard += chunk; });
		child.stdin.on('error', () => {});
		child.stdin.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
		const [code, signal] = await once(child, 'close');
		return { heard, code, signal };
	},
	async connect({ url, client = 'main', sdk = 1 }) {
		const [c, transport] = await ({ 1: sdk1, 2: sdk2, sse })[sdk](url);
		c.onerror = () => {};
		c.heard = [];
		c.fallbackNotificationHandler = async ({ method }) => { c.heard.push(method); };
		await c.connect(transport);
		clients.set(client, c);
		c.sdk = sdk;
		return { server: c.getServerVersion(), instructions: c.getInstructions(),
			protocol: transport.protocolVersion, session: transport.sessionId };
	},
	// As connect, for a server that wants a login: the user agrees, fetch is the browser
	async login({ url, client = 'main', sdk = 1 }) {
		const library = sdk === 2 ? await import('@modelcontextprotocol/client') : {
			...await import('@modelcontextprotocol/sdk/client/index.js'), ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js') };
		const kept = {};
		const authProvider = {
			redirectUrl: 'http://127.0.0.1:1/callback',
			clientMetadata: { client_name: 'inside', redirect_uris: ['http://127.0.0.1:1/callback'], token_endpoint_auth_method: 'none' },
			clientInformation: () => kept.client,
			saveClientInformation: (information) => { kept.client = information; },
			tokens: () => kept.tokens,
			saveTokens: (tokens) => { kept.tokens = tokens; },
			codeVerifier: () => kept.verifier,
			saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
			redirectToAuthorization: async (to) => {
				const answer = await fetch(to, { redirect: 'manual' });
				kept.code = new URL(answer.headers.get('location')).searchParams.get('code');
			},
		};
		for (let tries = 0; ; tries++) {
			const c = new library.Client({ name: 'inside', version: '1' });
			const transport = new library.StreamableHTTPClientTransport(new URL(url), { authProvider });
			try {
				await c.connect(transport);
				c.sdk = sdk;
				clients.set(client, c);
				return { server: c.getServerVersion() };
			} catch (e) {
				if (!kept.code || tries)
					throw e;
				await transport.finishAuth(kept.code);
			}
		}
	},
	async tool({ client = 'main', name, args = {}, options = {}, progress, cancel }) {
		const c = clients.get(client), notes = [];
		if (cancel) // by that name
			options.signal = cancellable(cancel);
		if (progress)
			options.onprogress = (p) => notes.push(p);
		const params = { name, arguments: args };
		const result = c.sdk === 2 ? await c.callTool(params, options)
			: await c.callTool(params, undefined, options);
		return { result, notes };
	},
	// What tool() and fetch() began with that name is given up by its client
	cancel({ name }) {
		held.get(name).abort();
		held.delete(name);
		return {};
	},
	// A whole session of matrix_session.mjs; what the client saw of it
	async script({ spec }) {
		return (await import('./matrix_session.mjs')).session(spec);
	},
	// A call that a person has to approve, by a client of waiting_client.mjs
	async wait({ spec }) {
		return (await import('./waiting_client.mjs')).wait(spec);
	},
	// Notifications so far, by their methods
	heard({ client = 'main' }) {
		return { methods: clients.get(client).heard };
	},
	session({ client = 'main' }) {
		return { session: clients.get(client).transport.sessionId };
	},
	async tools({ client = 'main' }) {
		return clients.get(client).listTools();
	},
	async resource({ client = 'main', uri }) {
		return clients.get(client).readResource({ uri });
	},
	async prompt({ client = 'main', name, args }) {
		return clients.get(client).getPrompt({ name, arguments: args });
	},
	async close({ client = 'main' }) {
		await clients.get(client).close();
		clients.delete(client);
		return {};
	},
	// HTTP with any header, Host and Origin included (fetch would not let us)
	fetch({ url, method = 'POST', headers = {}, body, base64, timeout = 300000, agent = false, cancel }) {
		return new Promise((done, fail) => {
			const started = performance.now();
			const payload = base64 ? Buffer.from(base64, 'base64') : body === undefined ? undefined
				: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
			const all = { ...(payload ? { 'content-type': 'application/json', 'content-length': payload.length } : {}),
				accept: 'application/json, text/event-stream', ...headers };
			const req = (url.startsWith('https:') ? https : http).request(url, { method, agent, headers: all, timeout }, (res) => {
				const chunks = [];
				const finish = (aborted) => done({ status: res.statusCode, headers: res.headers, aborted,
					body: Buffer.concat(chunks).toString('latin1'), ms: performance.now() - started });
				res.on('data', (chunk) => chunks.push(chunk));
				res.on('end', () => finish(false));
				res.on('error', () => finish(true));
			});
			if (cancel)
				cancellable(cancel).addEventListener('abort', () => req.destroy(Object.assign(new Error('cancelled'), { code: 'CANCELLED' })));
			req.on('timeout', () => req.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
			req.on('error', fail);
			req.end(payload);
		});
	},
	// Raw bytes to a TCP port, within TLS if secure; what comes back until the end
	raw({ host, port, secure, bytes = '', timeout = 60000 }) {
		return new Promise((done, fail) => {
			const chunks = [];
			const socket = dial(secure, { host, port }, () => socket.write(Buffer.from(bytes, 'latin1'))).setTimeout(timeout);
			socket.on('data', (chunk) => chunks.push(chunk));
			socket.on('timeout', () => socket.destroy());
			socket.on('error', (e) => chunks.length ? 0 : fail(e));
			socket.on('close', () => done({ bytes: Buffer.concat(chunks).toString('latin1') }));
		});
	},
	dial({ host, port, path }) {
		return new Promise((done, fail) => {
			const socket = net.connect({ host, port, path, autoSelectFamily: false }, () => {
				const remote = `${socket.remoteAddress} ${socket.remotePort}`;
				socket.destroy();
				done({ connected: true, remote });
			});
			socket.on('error', fail);
		});
	},
	// TLS: what the server shows of itself; bytes are sent and must come back the same
	async tls({ host, port, servername, ca, bytes = 0, alpn, ...options }) {
		const { createHash, randomBytes } = await import('node:crypto');
		const digest = () => createHash('sha256');
		return new Promise((done, fail) => {
			const socket = tls.connect({ host, port, servername, ca, ALPNProtocols: alpn, autoSelectFamily: false, ...options });
			const sent = digest(), heard = digest();
			let got = 0, left = bytes, ended = false, shown = {};
			const more = () => {
				while (left > 0) {
					const chunk = randomBytes(Math.min(left, 65521));
					left -= chunk.length;
					sent.update(chunk);
					if (!socket.write(chunk))
						return socket.once('drain', more);
				}
				socket.end(); // the other way stays open: all of it must still arrive
			};
			socket.on('secureConnect', () => {
				shown = { names: socket.getPeerCertificate().subjectaltname, protocol: socket.getProtocol(), alpn: socket.alpnProtocol };
				more();
			});
			socket.on('data', (chunk) => {
				got += chunk.length;
				heard.update(chunk);
			});
			socket.on('end', () => { ended = true; });
			socket.on('error', fail);
			socket.on('close', () => done({ got, same: sent.digest('hex') === heard.digest('hex'), ended, ...shown }));
		});
	},
	// What programs do without a word about certificates
	async get({ url, method = 'GET', headers, body }) {
		const answer = await fetch(url, { method, headers, body });
		return { status: answer.status, body: await answer.text() };
	},
	env() {
		return { env: process.env };
	},
	udp({ host, port }) {
		return new Promise((done, fail) => {
			const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
			socket.send('hello', port, host, (e) => {
				socket.close();
				e ? fail(e) : done({ sent: true });
			});
		});
	},
	// A TCP connection that stays open; what ends it is told by ended()
	open({ name, host, port }) {
		return new Promise((done, fail) => {
			const socket = net.connect({ host, port, autoSelectFamily: false }, () => done({ local: socket.localPort }));
			const one = { socket, received: '' };
			one.closed = new Promise((closed) => socket.on('close', () => closed({ code: one.code, at: Date.now() })));
			socket.on('data', (chunk) => { one.received += chunk.toString('latin1'); });
			socket.on('error', (e) => {
				one.code = e.code;
				fail(e);
			});
			held.set(name, one);
		});
	},
	// Write on it, and hear it come back
	say({ name, text }) {
		const { socket } = held.get(name);
		return new Promise((done, fail) => {
			const timer = setTimeout(() => fail(Object.assign(new Error('no echo'), { code: 'TIMEOUT' })), 60000);
			let heard = '';
			socket.on('data', (b) => {
				heard += b;
				if (heard.includes(text)) {
					clearTimeout(timer);
					done({ heard });
				}
			});
			socket.write(text);
		});
	},
	// Many connections that begin a message each, say `bytes` of it and no more;
	// done once all of them were answered or have sent it
	async hoard({ name, host, port, secure, head, bytes, count }) {
		const sockets = [], told = Array(count).fill('held'), filler = Buffer.alloc(bytes, 0x20);
		held.set(name, { sockets, told });
		await Promise.all(told.map((_, i) => new Promise((done) => {
			const socket = dial(secure, { host, port });
			let heard = '';
			const tell = (what) => {
				if (told[i] === 'held')
					told[i] = what;
				done();
			};
			sockets.push(socket);
			socket.on('data', (b) => {
				heard += b.toString('latin1');
				tell(Number(/^HTTP\/1\.1 (\d+)/.exec(heard)?.[1]));
			});
			socket.on('error', (e) => tell(e.code));
			socket.on('close', () => tell('closed'));
			socket.once(secure ? 'secureConnect' : 'connect', () => {
				socket.write(head);
				socket.write(filler, done);
			});
		})));
		return {};
	},
	// What each of them was told so far
	hoarded({ name }) {
		const { sockets, told } = held.get(name);
		return { told, open: sockets.filter((s) => !s.destroyed && !s.readableEnded).length };
	},
	unhoard({ name }) {
		for (const socket of held.get(name).sockets)
			socket.destroy();
		held.delete(name);
		return {};
	},
	// Serve on a port; each connection is answered and closed
	serve({ name, host, port }) {
		return new Promise((done, fail) => {
			const server = net.createServer((socket) => {
				socket.on('error', () => {});
				socket.end('served');
			});
			server.on('error', fail);
			server.listen(port, host, () => done({}));
			held.set(name, { server });
		});
	},
	stop({ name }) {
		return new Promise((done) => held.get(name).server.close(() => done({})));
	},
	// Send on it; what has come back so far
	send({ name, text, encoding = 'utf8' }) {
		const { socket } = held.get(name);
		return new Promise((done, fail) => socket.write(text, encoding, (e) => e ? fail(e) : done({})));
	},
	received({ name }) {
		return { text: held.get(name).received, open: !held.get(name).socket.destroyed };
	},
	ended({ name }) {
		return held.get(name).closed;
	},
	// One message to a DNS server; what comes back, and from where it seems to come
	dns({ host = '192.0.2.53', port = 53, bytes, connected = false, timeout = 60000 }) {
		return new Promise((done, fail) => {
			const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
			const timer = setTimeout(() => end(fail, Object.assign(new Error('no answer'), { code: 'TIMEOUT' })), timeout);
			const end = (fn, value) => {
				clearTimeout(timer);
				clearInterval(again);
				socket.close();
				fn(value);
			};
			const message = Buffer.from(bytes, 'base64');
			// A datagram may be lost where much is going on; resolvers ask again, too.
			const again = setInterval(() => connected ? socket.send(message) : socket.send(message, port, host), 5000);
			socket.on('message', (b, from) => end(done, { bytes: b.toString('base64'), from: `${from.address} ${from.port}`,
				...(connected ? { peer: `${socket.remoteAddress().address} ${socket.remoteAddress().port}` } : {}) }));
			socket.on('error', (e) => end(fail, e));
			if (!connected)
				return socket.send(message, port, host, (e) => e && end(fail, e));
			socket.connect(port, host, () => socket.send(message));
		});
	},
	// The same over TCP
	dnstcp({ host = '192.0.2.53', port = 53, bytes, timeout = 60000 }) {
		return new Promise((done, fail) => {
			let have = Buffer.alloc(0);
			const socket = net.connect({ host, port, timeout }, () => {
				const message = Buffer.from(bytes, 'base64'), size = Buffer.alloc(2);
				size.writeUInt16BE(message.length, 0);
				socket.write(Buffer.concat([size, message]));
			});
			socket.on('data', (chunk) => {
				have = Buffer.concat([have, chunk]);
				if (have.length < 2 || have.length < 2 + have.readUInt16BE(0))
					return;
				const peer = `${socket.remoteAddress} ${socket.remotePort}`;
				socket.destroy();
				done({ bytes: have.subarray(2).toString('base64'), peer });
			});
			socket.on('timeout', () => socket.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
			socket.on('error', fail);
			socket.on('end', () => fail(Object.assign(new Error('closed'), { code: 'CLOSED' })));
		});
	},
	async lookup({ name, all = true, family = 0 }) {
		const { lookup } = await import('node:dns/promises');
		return { addresses: await lookup(name, { all, family }) };
	},
	async resolve({ name, type = 'A', servers = ['192.0.2.53'] }) {
		const { Resolver } = await import('node:dns/promises');
		const resolver = new Resolver({ timeout: 10000, tries: 6 });
		resolver.setServers(servers);
		return { addresses: await resolver.resolve(name, type) };
	},
	async command({ argv, env = {} }) {
		const { spawn } = await import('node:child_process');
		const child = spawn(argv[0], argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
		let stdout = '', stderr = '';
		child.stdout.on('data', (c) => { stdout += c; });
		child.stderr.on('data', (c) => { stderr += c; });
		return new Promise((done, fail) => {
			child.on('error', fail);
			child.on('close', (code) => done({ code, stdout, stderr }));
		});
	},
	async whoami() {
		const { readFileSync } = await import('node:fs');
		return { pid: process.pid, uid: process.getuid(), cgroup: readFileSync('/proc/self/cgroup', 'utf8'),
			status: readFileSync('/proc/self/status', 'utf8') };
	},
	exit({ status = 0 }) {
		setImmediate(() => process.exit(status));
		return {};
	},
};

process.stdout.write(JSON.stringify({ ready: true }) + '\n');
for await (const line of readline.createInterface({ input: process.stdin })) {
	const { seq, verb, ...params } = JSON.parse(line);
	Promise.resolve().then(() => verbs[verb](params)).catch(failure)
		.then((answer) => process.stdout.write(JSON.stringify({ seq, answer }) + '\n'));
}
process.exit(0);
