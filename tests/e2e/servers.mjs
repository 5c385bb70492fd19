// SPDX-License-Identifier: Apache-2.0
// servers.mjs - MCP servers on the official SDK, as the agent meets them:
// Streamable HTTP, stateful sessions, replies as JSON or as an event stream.
// They run in the test's own process, so that a test can count executions and
// wait for what a server saw.
import { EventEmitter, once } from 'node:events';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const text = (s, more) => ({ content: [{ type: 'text', text: s }], ...more });

async function listenBoth(handler, kind = http) {
	for (let attempt = 0; attempt < 20; attempt++) {
		const four = kind.createServer(handler).listen(0, '127.0.0.1');
		await once(four, 'listening');
		const port = four.address().port;
		const six = kind.createServer(handler).listen(port, '::1');
		try {
			await once(six, 'listening');
			return { port, listeners: [four, six] };
		} catch (e) {
			four.close();
			if (e.code !== 'EADDRINUSE')
				throw e;
		}
	}
	throw new Error('no port is free on both loopback addresses');
}

// Where the kernel does not look for a port of its own choice, if there is room.
function portRange() {
	const [low, high] = fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number);
	const [first, end] = low - 10000 > 65535 - high ? [10000, low] : [high + 1, 65536];
	return end - first > 1000 ? [first, end] : [10000, 30000];
}

// True if no other test chose this port: kept for as long as this process lives,
// by the name of a socket, which cannot be left behind.
async function reserve(port) {
	const holder = net.createServer().listen(`\0zerogate-test-port-${port}`);
	holder.unref();
	return once(holder, 'listening').then(() => true, () => false);
}

// Two ports, of both loopback addresses, that nobody uses and no other test takes.
export async function freePort() {
	const [first, end] = portRange();
	for (let attempt = 0; attempt < 200; attempt++) {
		const port = first + Math.floor(Math.random() * (end - first));
		if (!await reserve(port))
			continue;
		const free = await Promise.all(['127.0.0.1', '::1'].map((host) => new Promise((done) => {
			const probe = net.createServer();
			probe.once('error', () => done(false));
			probe.listen(port, host, () => probe.close(() => done(true)));
		})));
		if (free.every(Boolean))
			return port;
	}
	throw new Error('no port is free');
}

export class Base extends EventEmitter {
	connections = 0; // of any kind: what "nothing arrives" is measured by
	async open(handler, kind) {
		this.setMaxListeners(0);
		const { port, listeners } = await listenBoth(handler, kind);
		this.port = port;
		this.listeners_ = listeners;
		this.sockets = new Set();
		for (const l of listeners)
			l.on('connection', (socket) => {
				this.connections++;
				this.emit('connection', socket);
				this.sockets.add(socket);
				socket.on('close', () => this.sockets.delete(socket));
				socket.on('error', () => {});
			});
		return this;
	}
	url(host = '127.0.0.1') {
		return `${this.secure ? 'https' : 'http'}://${host}:${this.port}/mcp`;
	}
	async close() {
		for (const s of this.sockets)
			s.destroy();
		await Promise.all(this.listeners_.map((l) => new Promise((done) => l.close(done))));
	}
}

// The tools; `on` reports to the test, `count` is what "exactly once" is read from.
function register(server, fixture) {
	const count = (tool, args) => {
		fixture.executed[tool] = (fixture.executed[tool] ?? 0) + 1;
		fixture.emit('execute', { tool, args });
	};
	fixture.readIssue = server.registerTool('read_issue', {
		description: 'Read one issue', inputSchema: { number: z.number() },
	}, ({ number }) => {
		count('read_issue');
		return text(`issue ${number}: the build is slow`);
	});
	for (const tool of ['create_issue', 'create_draft'])
		server.registerTool(tool, {
			description: fixture.describes?.[tool] ?? 'Create an issue', inputSchema: { title: z.string(), body: z.string().optional() },
		}, async (args) => {
			count(tool, args);
			await fixture.pause?.(tool);
			return text(`created #${fixture.executed[tool]}`);
		});
	for (const tool of ['slow_write', 'slow_read'])
		server.registerTool(tool, {
			description: 'Works until it is cancelled', inputSchema: { label: z.string().optional() },
		}, (args, extra) => new Promise((done) => {
			count(tool, args);
			extra.signal.addEventListener('abort', () => {
				fixture.emit('cancelled', { tool, at: performance.now() });
				done(text('cancelled'));
			});
		}));
	server.registerTool('leak', {
		description: 'Returns what it must not', inputSchema: { where: z.enum(['text', 'structured', 'error']) },
	}, ({ where }) => {
		count('leak');
		const lines = Object.entries(fixture.secrets).map(([kind, value]) => `${kind}: "${value}"\t\u00e9\u{1f600}`);
		const all = `first line\n${lines.join('\n')}\nlast \\ line`;
		if (where === 'structured')
			return { ...text('see structured'), structuredContent: { all, list: Object.values(fixture.secrets), n: 1.50 } };
		return text(all, where === 'error' ? { isError: true } : {});
	});
	server.registerTool('read_later', {
		description: 'Closes the stream and answers when it is told to', inputSchema: {},
	}, async (args, extra) => {
		count('read_later');
		extra.closeSSEStream?.();
		await fixture.later;
		return text('here it is');
	});
	server.registerTool('big', {
		description: 'Returns much text', inputSchema: { bytes: z.number() },
	}, ({ bytes }) => text('lorem ipsum '.repeat(Math.ceil(bytes / 12)).slice(0, bytes)));
	server.registerTool('fail', { description: 'Fails' }, () => {
		count('fail');
		throw new Error('the disk is on fire');
	});
	server.registerTool('count_to', {
		description: 'Reports progress', inputSchema: { n: z.number() },
	}, async ({ n }, extra) => {
		const progressToken = extra._meta?.progressToken;
		for (let i = 1; i <= n && progressToken !== undefined; i++)
			await extra.sendNotification({ method: 'notifications/progress',
				params: { progressToken, progress: i, total: n, message: fixture.progressText?.(i) ?? `step ${i}` } });
		return text(`counted to ${n}`);
	});
	server.registerResource('readme', 'file:///readme.md', { description: 'A file' },
		(uri) => ({ contents: [{ uri: uri.href, text: fixture.resourceText ?? 'read me' }] }));
	fixture.page = server.registerResource('page', new ResourceTemplate('file:///page/{n}', { list: undefined }),
		{ description: 'A page' }, (uri, { n }) => ({ contents: [{ uri: uri.href, text: `page ${n}` }] }));
	fixture.greet = server.registerPrompt('greet', { description: 'A prompt', argsSchema: { who: z.string() } },
		({ who }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `hello ${who}` } }] }));
}

// What a server keeps so that a client can go on from an event that it saw.
class Events {
	all = [];
	async storeEvent(stream, message) {
		this.all.push({ stream, message });
		return `${stream}#${this.all.length}`;
	}
	async getStreamIdForEventId(id) {
		return id.slice(0, id.lastIndexOf('#'));
	}
	async replayEventsAfter(id, { send }) {
		const stream = id.slice(0, id.lastIndexOf('#')), from = Number(id.slice(id.lastIndexOf('#') + 1));
		for (const [i, event] of this.all.entries())
			if (i >= from && event.stream === stream && Object.keys(event.message).length > 0)
				await send(`${stream}#${i + 1}`, event.message);
		return stream;
	}
}

class Fixture extends Base {
	executed = {};
	secrets = {};
	requests = []; // every HTTP request that arrived: method, url, headers, body
	sessions = new Map();

	async session(json) {
		const transport = new StreamableHTTPServerTransport({
			sessionIdGenerator: randomUUID,
			enableJsonResponse: json,
			...(this.resumable ? { eventStore: new Events(), retryInterval: 50 } : {}),
			onsessioninitialized: (id) => this.sessions.set(id, transport),
		});
		const server = new McpServer({ name: this.name, version: '1.0.0' },
			{ capabilities: { logging: {} }, instructions: 'A fixture.' });
		register(server, this);
		this.latest = server; // the SDK's, of the session that began last
		await server.connect(transport);
		return transport;
	}

	async handle(json, req, res) {
		const chunks = [];
		for await (const chunk of req)
			chunks.push(chunk);
		const body = Buffer.concat(chunks).toString();
		this.requests.push({ method: req.method, url: req.url, headers: req.headers, body });
		this.emit('request', this.requests.at(-1));
		res.on('close', () => this.emit('closed', { method: req.method }));
		if (new URL(req.url, 'http://x').pathname !== '/mcp')
			return res.writeHead(404).end();
		const known = this.sessions.get(req.headers['mcp-session-id']);
		if (!known && req.headers['mcp-session-id'])
			return res.writeHead(404).end(JSON.stringify({ jsonrpc: '2.0', id: null,
				error: { code: -32001, message: 'Session not found' } }));
		const transport = known ?? await this.session(json);
		await transport.handleRequest(req, res, body ? JSON.parse(body) : undefined);
	}
}

// json: replies as application/json; otherwise as an event stream. tls: key and
// certificate of an https server.
// resumable: its events have ids, and it may end a stream before its answer.
export async function startServer({ name = 'fixture', json = false, secrets = {}, resumable = false, tls } = {}) {
	const fixture = new Fixture();
	Object.assign(fixture, { name, secrets, resumable, secure: Boolean(tls) });
	return fixture.open((req, res) => fixture.handle(json, req, res).catch((e) => {
		fixture.emit('failure', e);
		res.destroy();
	}), tls ? { createServer: (handler) => https.createServer(tls, handler) } : http);
}

// The same on HTTP+SSE of 2024-11-05.
export async function startSse({ secrets = {} } = {}) {
	const fixture = new Fixture();
	Object.assign(fixture, { name: 'fixture', secrets, streams: 0 });
	fixture.url = (host = '127.0.0.1') => `http://${host}:${fixture.port}/v1/sse`;
	return fixture.open(async (req, res) => {
		const at = new URL(req.url, 'http://x');
		fixture.requests.push({ method: req.method, url: req.url, headers: req.headers });
		if (req.method === 'GET' && at.pathname === '/v1/sse') {
			const transport = new SSEServerTransport('/v1/messages', res);
			const server = new McpServer({ name: fixture.name, version: '1.0.0' }, { capabilities: { logging: {} } });
			register(server, fixture);
			fixture.sessions.set(transport.sessionId, transport);
			fixture.streams++;
			res.on('close', () => fixture.streams--);
			return server.connect(transport);
		}
		const transport = fixture.sessions.get(at.searchParams.get('sessionId'));
		if (req.method === 'POST' && at.pathname === '/v1/messages' && transport)
			return transport.handlePostMessage(req, res).catch(() => {}); // it has answered 500
		res.writeHead(404).end();
	});
}

const reply = (id, result) => JSON.stringify({ jsonrpc: '2.0', id, result });
const JSON_TYPE = { 'content-type': 'application/json' };
const SSE_TYPE = { 'content-type': 'text/event-stream' };

// A server that breaks the rules in the way that the called tool's name says.
const tricks = {
	hang() {},
	garbage(req, res) {
		res.socket.end('\x00\x01\x02 this is not HTTP\r\n\r\n');
	},
	invalid_json(req, res) {
		res.writeHead(200, JSON_TYPE).end('{"jsonrpc":"2.0","id":1,"result":{"content":[');
	},
	duplicate_keys(req, res, rpc) {
		res.writeHead(200, JSON_TYPE).end(`{"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":{"content":[]},"result":{"content":[{"type":"text","text":"two"}]}}`);
	},
	endless_sse(req, res) {
		res.writeHead(200, SSE_TYPE);
		const more = () => {
			if (!res.destroyed && res.write(': nothing yet\n\n'))
				setTimeout(more, 20);
		};
		more();
		res.on('drain', more);
	},
	flood(req, res) {
		res.writeHead(200, JSON_TYPE);
		const chunk = 'x'.repeat(65536);
		res.write('{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"');
		const more = () => {
			while (!res.destroyed && res.write(chunk)) ;
		};
		res.on('drain', more);
		more();
	},
	gzip(req, res, rpc) {
		import('node:zlib').then((zlib) => res.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' })
			.end(zlib.gzipSync(reply(rpc.id, text('compressed secret')))));
	},
	html(req, res) {
		res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>hello</h1>');
	},
	redirect(req, res) {
		res.writeHead(307, { location: 'http://127.0.0.1:1/elsewhere' }).end();
	},
	half(req, res) {
		res.writeHead(200, { ...JSON_TYPE, 'content-length': 1000 });
		res.write('{"jsonrpc":"2.0",', () => res.socket.destroy());
	},
	wrong_id(req, res) {
		res.writeHead(200, JSON_TYPE).end(reply(999999, text('for somebody else')));
	},
	// What arrives at the client must be these bytes and no others.
	exact(req, res, rpc, fixture) {
		res.writeHead(200, fixture.exactType ?? JSON_TYPE).end(fixture.exact(rpc));
	},
};

export async function startHostile() {
	const hostile = new Base();
	hostile.closed = 0;
	return hostile.open((req, res) => {
		const chunks = [];
		req.on('data', (chunk) => chunks.push(chunk));
		req.on('error', () => {});
		res.on('close', () => {
			hostile.closed++;
			hostile.emit('closed', { at: performance.now(), finished: res.writableFinished });
		});
		req.on('end', () => {
			let rpc;
			try {
				rpc = JSON.parse(Buffer.concat(chunks).toString());
			} catch {
				return res.writeHead(400).end();
			}
			hostile.emit('request', { req, rpc });
			if (rpc.id === undefined)
				return res.writeHead(202).end();
			if (rpc.method === 'initialize')
				return res.writeHead(200, JSON_TYPE).end(reply(rpc.id, { protocolVersion: rpc.params.protocolVersion,
					capabilities: { tools: {} }, serverInfo: { name: 'hostile', version: '1' } }));
			const trick = tricks[rpc.params?.name];
			if (trick)
				return trick(req, res, rpc, hostile);
			res.writeHead(200, JSON_TYPE).end(reply(rpc.id, text('fine')));
		});
	});
}

// Accepts anything and remembers what it was sent: for "nothing arrives".
export async function startSink() {
	const sink = new Base();
	sink.bytes = 0;
	return sink.open((socket) => {
		socket.on('data', (chunk) => {
			sink.bytes += chunk.length;
			socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
		});
	}, net);
}
