// SPDX-License-Identifier: Apache-2.0
// soak_client.mjs - one governed process of the soak: opens sessions with a
// stream each, and of some of them calls all the time. Raw HTTP/1.1, so that
// thousands fit; the official SDKs are tested elsewhere.
//   node soak_client.mjs URL NAME SESSIONS CALLERS
// Orders come as lines on stdin: "call" (begin), "stop" (then it reports and ends).
import http from 'node:http';
import readline from 'node:readline';

const [url, name, sessionCount, callers] = [process.argv[2], process.argv[3], Number(process.argv[4]), Number(process.argv[5])];
const agent = new http.Agent({ keepAlive: true, maxSockets: callers + 8 });
const report = { calls: 0, streamed: 0, broken: 0, refused: 0, wrong: 0, reopened: 0, events: 0, strayed: 0 };
const problems = [];
const sessions = [];
let stopping = false, open = 0;

function note(text) {
	if (problems.length < 5)
		problems.push(text);
}

function post(message, session) {
	return new Promise((done, fail) => {
		const body = JSON.stringify(message);
		const req = http.request(url, { method: 'POST', agent, headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body),
			Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2025-11-25', ...(session ? { 'Mcp-Session-Id': session } : {}) } }, (res) => {
			let text = '';
			res.setEncoding('utf8').on('data', (chunk) => { text += chunk; }).on('error', fail)
				.on('end', () => (res.complete ? done({ status: res.statusCode, session: res.headers['mcp-session-id'], text }) : fail(new Error('cut'))));
		});
		req.on('error', fail);
		req.end(body);
	});
}

async function again(fn) { // a worker may be killed under any request
	for (let i = 0; ; i++)
		try {
			return await fn();
		} catch (e) {
			if (i > 50)
				throw e;
			await new Promise((later) => setTimeout(later, 20));
		}
}

// The stream's events name the server's session: the first says which it is.
function listen(s) {
	const req = http.get(url, { agent: false, headers: { Accept: 'text/event-stream', 'MCP-Protocol-Version': '2025-11-25', 'Mcp-Session-Id': s.id } }, (res) => {
		if (res.statusCode !== 200) {
			report.refused++;
			note(`GET: ${res.statusCode}`);
			res.resume();
			return;
		}
		open++;
		res.setEncoding('utf8').on('data', (chunk) => {
			for (const [, data] of chunk.matchAll(/^data: (.*)$/gm)) {
				report.events++;
				const of = JSON.parse(data).params.data;
				s.upstream ??= of;
				if (s.upstream !== of) {
					report.strayed++;
					note(`an event of ${of} on the stream of ${s.upstream}`);
				}
			}
		}).on('error', () => {}).on('close', () => {
			open--;
			if (!stopping) {
				report.reopened++;
				setTimeout(() => listen(s), 50);
			}
		});
	});
	req.on('error', () => !stopping && setTimeout(() => listen(s), 50));
}

async function openSession() {
	const answer = await again(() => post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version: '1' } } }));
	if (answer.status !== 200 || !answer.session)
		throw new Error(`initialize: ${answer.status} ${answer.text.slice(0, 200)}`);
	const s = { id: answer.session };
	sessions.push(s);
	listen(s);
	return s;
}

let number = 0;
async function caller(s) {
	while (!stopping) {
		const id = ++number, token = `${name}-${id}`, stream = id % 5 === 0;
		let answer;
		try {
			answer = await post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'read_token', arguments: { token, stream } } }, s.id);
		} catch {
			report.broken++; // told by the connection; the next call is another one
			continue;
		}
		const data = stream ? [...answer.text.matchAll(/^data: (.*)$/gm)].map(([, d]) => JSON.parse(d)).at(-1) : answer.status === 200 ? JSON.parse(answer.text) : undefined;
		const text = data?.result?.content?.[0]?.text;
		s.upstream ??= text?.split(' ')[0];
		if (text === undefined || data?.result?.isError) {
			report.refused++;
			note(`${answer.status} ${answer.text.slice(0, 300)}`);
		} else if (data.id !== id || text !== `${s.upstream} ${token}`) {
			report.wrong++;
			note(`asked ${s.upstream} ${token}, was told ${text}`);
		} else {
			report.calls++;
			report.streamed += stream;
		}
	}
}

for (let i = 0; i < sessionCount; i += 50)
	await Promise.all(Array.from({ length: Math.min(50, sessionCount - i) }, openSession));
console.log(JSON.stringify({ ready: sessions.length }));

let calling = [];
readline.createInterface({ input: process.stdin }).on('line', async (line) => {
	if (line === 'call')
		calling = sessions.slice(0, callers).map(caller);
	if (line === 'state')
		console.log(JSON.stringify({ open, ...report, problems }));
	if (line === 'stop') {
		stopping = true;
		await Promise.all(calling);
		console.log(JSON.stringify({ open, ...report, problems }));
		process.exit(0);
	}
}).on('close', () => process.exit(1));
