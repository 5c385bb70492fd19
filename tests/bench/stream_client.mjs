// SPDX-License-Identifier: Apache-2.0
// stream_client.mjs - the client of stream.mjs: one session, one connection; on
// "calls N" or "events N" it answers with a list of microseconds.
import http from 'node:http';
import readline from 'node:readline';

const url = process.argv[2];
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let session, number = 0;

function post(message, onChunk) {
	return new Promise((done, fail) => {
		const body = JSON.stringify(message);
		const req = http.request(url, { method: 'POST', agent, headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body),
			Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2025-06-18', ...(session ? { 'Mcp-Session-Id': session } : {}) } }, (res) => {
			let text = '';
			res.on('data', (chunk) => { const now = process.hrtime.bigint(); text += chunk; onChunk?.(String(chunk), now); })
				.on('error', fail).on('end', () => done({ status: res.statusCode, session: res.headers['mcp-session-id'], text }));
		});
		req.on('error', fail).setNoDelay(true);
		req.end(body);
	});
}

const call = (args, onChunk) => post({ jsonrpc: '2.0', id: ++number, method: 'tools/call', params: { name: 'read_issue', arguments: args } }, onChunk);

for (let tries = 0; ; tries++) // a proxy takes a while to listen
	try {
		const hello = await post({ jsonrpc: '2.0', id: ++number, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'bench', version: '1' } } });
		if (hello.status !== 200)
			throw new Error(`initialize: ${hello.status} ${hello.text}`);
		session = hello.session;
		await post({ jsonrpc: '2.0', method: 'notifications/initialized' });
		break;
	} catch (e) {
		if (tries > 100)
			throw e;
		await new Promise((later) => setTimeout(later, 100));
	}
console.log(JSON.stringify([]));

async function calls(n) {
	const took = [];
	for (let i = 0; i < n; i++) {
		const begin = process.hrtime.bigint(), { status, text } = await call({ number: i });
		if (status !== 200 || !text.includes('Issue 17'))
			throw new Error(`${status} ${text}`);
		took.push(Number(process.hrtime.bigint() - begin) / 1000);
	}
	return took;
}

async function events(n) {
	const took = [];
	await call({ events: n }, (text, now) => {
		for (const [, at] of text.matchAll(/"data":"(\d+)"/g))
			took.push(Number(now - BigInt(at)) / 1000);
	});
	if (took.length !== n)
		throw new Error(`${took.length} events of ${n}`);
	return took;
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
	const [what, n] = line.split(' ');
	console.log(JSON.stringify(await (what === 'calls' ? calls(Number(n)) : events(Number(n)))));
}).on('close', () => process.exit(0));
