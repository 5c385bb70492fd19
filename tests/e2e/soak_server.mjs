// SPDX-License-Identifier: Apache-2.0
// soak_server.mjs - a streamable HTTP server that holds very many streams: each
// GET is one, an event goes out on each at every tick, a tools/call answers with
// its own token. Tells its port, and on a line of input what it has seen.
import http from 'node:http';
import readline from 'node:readline';

const executed = new Map(); // token -> times
const streams = new Map(); // session -> responses
let sessions = 0;

function reply(res, status, body, headers = {}) {
	const text = body ? JSON.stringify(body) : '';
	res.writeHead(status, { ...(text ? { 'Content-Type': 'application/json' } : {}), 'Content-Length': Buffer.byteLength(text), ...headers });
	res.end(text);
}

function onMessage(req, res, m) {
	if (m.method === 'initialize')
		return reply(res, 200, { jsonrpc: '2.0', id: m.id, result: { protocolVersion: m.params.protocolVersion, capabilities: { tools: {} },
			serverInfo: { name: 'dev.zerogate.test/soak', version: '1.0.0' } } }, { 'Mcp-Session-Id': `soak-${++sessions}` });
	if (!m.id)
		return reply(res, 202);
	if (m.method !== 'tools/call')
		return reply(res, 200, { jsonrpc: '2.0', id: m.id, result: {} });
	const { token, stream } = m.params.arguments;
	executed.set(token, (executed.get(token) ?? 0) + 1);
	const body = { jsonrpc: '2.0', id: m.id, result: { content: [{ type: 'text', text: `${req.headers['mcp-session-id']} ${token}` }] } };
	if (!stream)
		return reply(res, 200, body);
	res.writeHead(200, { 'Content-Type': 'text/event-stream' });
	res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: token } })}\n\n`);
	setImmediate(() => res.end(`data: ${JSON.stringify(body)}\n\n`));
}

const server = http.createServer((req, res) => {
	if (req.method === 'GET') {
		const session = req.headers['mcp-session-id'];
		res.writeHead(200, { 'Content-Type': 'text/event-stream' });
		res.write(': open\n\n');
		streams.set(session, res);
		res.on('close', () => streams.get(session) === res && streams.delete(session));
		return;
	}
	let text = '';
	req.on('data', (chunk) => { text += chunk; }).on('end', () => onMessage(req, res, JSON.parse(text)));
});
server.keepAliveTimeout = 120000;
server.requestTimeout = server.headersTimeout = 0;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(JSON.stringify({ port: server.address().port })));

readline.createInterface({ input: process.stdin }).on('line', (line) => {
	if (line === 'tick') // each stream is told its own session
		for (const [session, res] of streams)
			res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: session } })}\n\n`);
	const twice = [...executed].filter(([, n]) => n > 1).length;
	console.log(JSON.stringify({ executed: executed.size, twice, streams: streams.size }));
}).on('close', () => process.exit(0));
