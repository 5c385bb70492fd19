// SPDX-License-Identifier: Apache-2.0
// stream_server.mjs - the server of stream.mjs, over HTTP or stdio: a call that
// is answered at once, and over HTTP one that is answered by a stream of events,
// each with the time (CLOCK_MONOTONIC, ns) at which it was written.
import http from 'node:http';
import readline from 'node:readline';

function answer(m) {
	if (m.method === 'initialize')
		return { protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'dev.zerogate.test/bench', version: '1.0.0' } };
	return m.method === 'tools/call' ? { content: [{ type: 'text', text: 'Issue 17: the build is slow. '.repeat(32) }] } : {};
}

function events(res, id, left) {
	if (left === 0) {
		res.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result: answer({ method: 'tools/call' }) })}\n\n`);
		return;
	}
	res.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: String(process.hrtime.bigint()) } })}\n\n`);
	setTimeout(() => events(res, id, left - 1), 3);
}

if (process.argv[2] === 'stdio') {
	readline.createInterface({ input: process.stdin }).on('line', (line) => {
		const m = JSON.parse(line);
		if (m.id !== undefined)
			process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: m.id, result: answer(m) })}\n`);
	}).on('close', () => process.exit(0));
} else {
	const server = http.createServer((req, res) => {
		let text = '';
		req.on('data', (chunk) => { text += chunk; }).on('end', () => {
			const m = text ? JSON.parse(text) : {};
			if (m.id === undefined) {
				res.writeHead(req.method === 'POST' ? 202 : 405, { 'Content-Length': 0 }).end();
			} else if (m.params?.arguments?.events) {
				res.writeHead(200, { 'Content-Type': 'text/event-stream' });
				res.socket.setNoDelay(true);
				events(res, m.id, m.params.arguments.events);
			} else {
				const body = JSON.stringify({ jsonrpc: '2.0', id: m.id, result: answer(m) });
				res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...(m.method === 'initialize' ? { 'Mcp-Session-Id': 'bench' } : {}) });
				res.end(body);
			}
		});
	});
	server.keepAliveTimeout = 60000;
	server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
	process.stdin.on('end', () => process.exit(0)).resume();
}
