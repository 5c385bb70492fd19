// SPDX-License-Identifier: Apache-2.0
// tls_servers.mjs - certificates made by openssl, https MCP servers of the
// smallest kind (HTTP/1.1 and 2) that tell what they saw, and a CONNECT proxy.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });

// One CA in a folder of its own; certificates that it signs.
export class Authority {
	constructor(name = 'ca') {
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-ca-'));
		this.name = name;
		this.file = path.join(this.dir, 'ca.pem');
		this.key = path.join(this.dir, 'ca.key');
		openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3',
			'-subj', `/CN=${name}`, '-keyout', this.key, '-out', this.file, '-addext', 'keyUsage=critical,keyCertSign');
	}

	// names: ['DNS:x', 'IP:127.0.0.1']; { key, cert, keyFile, certFile, pin }
	issue(names, { days = 2, past = false } = {}) {
		const base = path.join(this.dir, `c${Math.random().toString(36).slice(2)}`), [key, csr, cert, ext] = ['key', 'csr', 'pem', 'ext'].map((e) => `${base}.${e}`);
		openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=leaf', '-keyout', key, '-out', csr);
		fs.writeFileSync(ext, `subjectAltName=${names.join(',')}\n`);
		openssl('x509', '-req', '-in', csr, '-CA', this.file, '-CAkey', this.key, '-CAcreateserial', '-out', cert, '-extfile', ext,
			'-days', String(past ? -1 : days));
		fs.chmodSync(key, 0o600);
		const der = execFileSync('sh', ['-c', `openssl x509 -pubkey -noout -in ${cert} | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64`]);
		return { keyFile: key, certFile: cert, key: fs.readFileSync(key), cert: fs.readFileSync(cert), pin: `sha256//${der.toString().trim()}` };
	}

	close() {
		fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

const text = (s) => ({ content: [{ type: 'text', text: s }] });

// act(name, req, res, message) may answer instead; true: it has.
export async function startTls(leaf, { h2 = true, host = '127.0.0.1', port = 0, act = () => false, tls = {} } = {}) {
	const options = { key: leaf.key, cert: leaf.cert, ...tls };
	const server = h2 ? http2.createSecureServer({ ...options, allowHTTP1: true }) : https.createServer(options);
	const self = { seen: [], calls: [], connections: 0, executions: 0 }, sockets = new Set();
	server.on('connection', (socket) => {
		self.connections++;
		sockets.add(socket);
		socket.on('error', () => {});
		socket.on('close', () => sockets.delete(socket));
	});
	server.on('tlsClientError', () => {});
	server.on('sessionError', () => {});
	server.on('request', async (req, res) => {
		const chunks = [];
		for await (const chunk of req)
			chunks.push(chunk);
		const message = chunks.length ? JSON.parse(Buffer.concat(chunks)) : {};
		const entry = { version: req.httpVersion, headers: req.headers, path: req.url, method: message.method, tool: message.params?.name,
			peer: req.socket.getPeerCertificate?.()?.subject?.CN ?? req.stream?.session?.socket?.getPeerCertificate?.()?.subject?.CN,
			remote: (req.stream?.session?.socket ?? req.socket).remotePort };
		self.seen.push(entry);
		const reply = (result) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
		if (message.method === 'tools/call')
			self.calls.push(entry);
		if (act(message.params?.name, req, res, message))
			return;
		if (message.method === 'initialize')
			reply({ protocolVersion: message.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'tls', version: '1' } });
		else if (message.id === undefined)
			res.writeHead(202).end();
		else if (message.params?.name === 'stream') {
			res.writeHead(200, { 'content-type': 'text/event-stream' });
			res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'one' } })}\n\n`);
			setTimeout(() => res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result: text('two') })}\n\n`), 20);
		} else {
			self.executions++;
			reply(text(`hello over ${req.httpVersion}`));
		}
	});
	server.listen(port, host);
	await once(server, 'listening');
	return Object.assign(self, { port: server.address().port, server,
		rekey(to) { server.setSecureContext({ key: to.key, cert: to.cert }); },
		async close() {
			server.close();
			for (const s of sockets)
				s.destroy();
		} });
}

// CONNECT and absolute-form; who asked for what, with which credentials. answer(req)
// may be what CONNECT is answered with instead of a tunnel.
export async function startProxy({ map = (target) => target, authorization, answer = () => undefined, port = 0 } = {}) {
	const seen = [], sockets = new Set();
	const proxy = http.createServer((req, res) => {
		seen.push({ method: req.method, target: req.url, authorization: req.headers['proxy-authorization'], headers: req.headers });
		res.writeHead(200, { 'content-type': 'application/json' });
		let body = '';
		req.on('data', (c) => { body += c; });
		req.on('end', () => res.end(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(body || '{}').id, result: text('by the proxy') })));
	});
	proxy.on('connection', (s) => {
		sockets.add(s);
		s.on('error', () => {});
		s.on('close', () => sockets.delete(s));
	});
	proxy.on('connect', (req, socket) => {
		seen.push({ method: 'CONNECT', target: req.url, authorization: req.headers['proxy-authorization'], headers: req.headers });
		const instead = answer(req);
		if (instead !== undefined)
			return socket.end(instead);
		if (authorization && req.headers['proxy-authorization'] !== authorization)
			return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
		const to = map(req.url), at = to.lastIndexOf(':');
		const far = net.connect(Number(to.slice(at + 1)), to.slice(0, at), () => {
			socket.write('HTTP/1.1 200 OK\r\n\r\n');
			far.pipe(socket).pipe(far);
		});
		far.on('error', () => socket.destroy());
		socket.on('error', () => far.destroy());
	});
	proxy.listen(port, '127.0.0.1');
	await once(proxy, 'listening');
	return { port: proxy.address().port, seen, async close() {
		proxy.close();
		for (const s of sockets)
			s.destroy();
	} };
}
