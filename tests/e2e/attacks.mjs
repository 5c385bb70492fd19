// SPDX-License-Identifier: Apache-2.0
// attacks.mjs - a governed client and a registered server that attack the gateway:
// with time, numbers, sizes, and with what two parsers could read in two ways.
// Each attack ends in a clear error, memory stays bounded, and another principal's
// calls go on meanwhile. robustness.test.mjs makes them in the clear, and
// robustness_tls.test.mjs within TLS that ends in the gateway on both sides.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { TOOLS, quick, startAgent, until } from './agent.mjs';
import { makeCa } from './pki.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const POLICY = `version: v1
rules:
  - id: all
    match: {labels: {mcp.action: read}}
    decision: ALLOW
  - id: short
    match: {labels: {mcp.tool: ["hang", "drip", "endless_sse", "endless_event", "comments"]}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 2}
`;
const MANY = 1 << 30;
const answer = (id, text = 'x') => JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
const head = (...lines) => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
const JSON_TYPE = 'Content-Type: application/json', SSE_TYPE = 'Content-Type: text/event-stream';
const sized = (body, ...more) => head(JSON_TYPE, ...more, `Content-Length: ${Buffer.byteLength(body, 'latin1')}`) + body;

// Say it again and again, as fast as it is taken, up to so many bytes.
function pour(socket, piece, bytes = Infinity) {
	let sent = 0;
	const more = () => {
		while (!socket.destroyed && sent < bytes) {
			sent += piece.length;
			if (!socket.write(piece))
				return;
		}
	};
	socket.on('drain', more);
	more();
}
const BLANK = Buffer.alloc(65536, 0x20);

// What the server answers, byte for byte; by the tool that was called.
const LIES = {
	both: (id) => head(JSON_TYPE, 'Content-Length: 5', 'Transfer-Encoding: chunked') + `0\r\n\r\n${answer(id, 'smuggled')}`,
	coding_twice: (id) => head(JSON_TYPE, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') + chunked(answer(id, 'smuggled')),
	other_coding: (id) => head(JSON_TYPE, 'Transfer-Encoding: gzip, chunked') + chunked(answer(id, 'smuggled')),
	length_twice: (id) => head(JSON_TYPE, 'Content-Length: 5', `Content-Length: ${answer(id, 'smuggled').length}`) + answer(id, 'smuggled'),
	bare_lf: (id) => `HTTP/1.1 200 OK\n${JSON_TYPE}\nContent-Length: ${answer(id, 'smuggled').length}\n\n${answer(id, 'smuggled')}`,
	extension: (id) => head(JSON_TYPE, 'Transfer-Encoding: chunked') + chunked(answer(id, 'smuggled'), ';a=b'),
	folded: (id) => sized(answer(id, 'smuggled'), 'X-A: b\r\n c: d'),
	negative: (id) => head(JSON_TYPE, 'Content-Length: -5') + answer(id, 'smuggled'),
	plus: (id) => head(JSON_TYPE, `Content-Length: +${answer(id, 'smuggled').length}`) + answer(id, 'smuggled'),
	nul: (id) => sized(answer(id, 'smuggled'), 'X-A: \0'),
	long_head: (id) => sized(answer(id, 'smuggled'), `X-A: ${'a'.repeat(20000)}`),
	many_fields: (id) => sized(answer(id, 'smuggled'), ...Array.from({ length: 100 }, (_, i) => `X-${i}: a`)),
	interim_flood: () => 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(1000),
	switching: () => 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nsmuggled',
	short_length: (id) => head(JSON_TYPE, 'Content-Length: 20') + answer(id, 'smuggled'),
	early_end: (id) => head(JSON_TYPE, 'Content-Length: 100000') + answer(id, 'smuggled'),
	early_chunk: (id) => head(JSON_TYPE, 'Transfer-Encoding: chunked') + `fff\r\n${answer(id, 'smuggled')}`,
	nothing: () => '',
	bad_utf8: (id) => sized(answer(id, 'smuggled\xff\xfe')),
	duplicates: (id) => sized(`{"jsonrpc":"2.0","id":${id},"result":{"content":[]},"result":{"content":[{"type":"text","text":"smuggled"}]}}`),
	deep: (id) => sized(`{"jsonrpc":"2.0","id":${id},"result":{"smuggled":${'['.repeat(5000)}${']'.repeat(5000)}}}`),
};
function chunked(text, extension = '') {
	return `${text.length.toString(16)}${extension}\r\n${text}\r\n0\r\n\r\n`;
}

// What does not end by itself.
const ENDLESS = {
	hang() {},
	drip(socket) {
		socket.write(head(JSON_TYPE, 'Content-Length: 1000'));
		const timer = setInterval(() => socket.write(' '), 50);
		socket.on('close', () => clearInterval(timer));
	},
	endless_sse(socket) {
		socket.write(head(SSE_TYPE, 'Connection: close'));
		pour(socket, 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"again"}}\n\n'.repeat(100));
	},
	comments(socket) {
		socket.write(head(SSE_TYPE, 'Connection: close'));
		pour(socket, ': nothing\n\n'.repeat(5000));
	},
	endless_event(socket) {
		socket.write(`${head(SSE_TYPE, 'Connection: close')}data: `);
		pour(socket, BLANK);
	},
	gigabyte_length(socket) {
		socket.write(head(JSON_TYPE, `Content-Length: ${MANY}`));
		pour(socket, BLANK, MANY);
	},
	gigabyte_chunked(socket) {
		socket.write(head(JSON_TYPE, 'Transfer-Encoding: chunked'));
		pour(socket, Buffer.concat([Buffer.from('10000\r\n'), BLANK, Buffer.from('\r\n')]), MANY);
	},
	gigabyte_until_close(socket) {
		socket.write(head(JSON_TYPE, 'Connection: close'));
		pour(socket, BLANK, MANY);
	},
	gigabyte_html(socket) {
		socket.write(head('Content-Type: text/html', `Content-Length: ${MANY}`));
		pour(socket, BLANK, MANY);
	},
};

// HTTP by hand: one request a connection, answered by the name of its tool.
async function startLiar(identity) {
	const sockets = new Set();
	const serve = (socket) => {
		let heard = '';
		sockets.add(socket);
		socket.on('close', () => sockets.delete(socket));
		socket.on('error', () => {});
		socket.on('data', (b) => {
			const end = (heard += b.toString('latin1')).indexOf('\r\n\r\n');
			const length = Number(/content-length: (\d+)/i.exec(heard)?.[1] ?? 0);
			if (end < 0 || heard.length < end + 4 + length)
				return;
			const { id, method, params } = JSON.parse(heard.slice(end + 4, end + 4 + length) || '{}');
			heard = '';
			if (id === undefined)
				return socket.end('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
			if (method !== 'tools/call')
				return socket.end(sized(answer(id), 'Connection: close'));
			if (ENDLESS[params.name])
				return ENDLESS[params.name](socket);
			socket.end(LIES[params.name]?.(id) ?? sized(answer(id, JSON.stringify(params)), 'Connection: close'), 'latin1');
		});
	};
	const server = identity ? tls.createServer(identity, serve) : net.createServer(serve);
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	return { port: server.address().port, url: `http${identity ? 's' : ''}://127.0.0.1:${server.address().port}/mcp`, sockets, close: () => {
		sockets.forEach((s) => s.destroy());
		server.close();
	} };
}

export function attacks(secure) {
	let ca, agent, liar, good, attacker, other;

	before(async () => {
		ca = secure ? makeCa() : undefined;
		const identity = ca?.server('IP:127.0.0.1');
		[liar, good] = await Promise.all([startLiar(identity), startServer({ tls: identity })]);
		const believed = secure ? { ca_file: ca.file } : {};
		agent = await startAgent({ policy: POLICY, workers: 1, servers: [
			{ id: 'liar', url: liar.url, tools: { '*': { action: 'read' } }, ...believed },
			{ id: 'good', url: good.url(), tools: TOOLS, ...believed },
		] });
		[attacker, other] = await Promise.all([agent.inside(), agent.inside()]);
	});
	after(async () => {
		await agent?.stop();
		liar?.close();
		await good?.close();
		ca?.close();
	});
	// where the gateway answers: at its own port, or, within TLS, in the server's place
	const at = (id) => secure ? { liar: liar.url, good: good.url() }[id] : agent.url(id);
	const door = () => ({ host: '127.0.0.1', port: secure ? liar.port : agent.port, secure });

	// The gateways' own memory, in kB: what no other process shares.
	const memory = () => agent.pids('gateway').map((pid) => Number(
		/Private_Dirty:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]));
	async function othersGoOn() {
		const raw = await new RawClient(other, at('good')).open();
		await quick(secure ? 1000 : 300, 'a call of another principal', async () => {
			const began = performance.now();
			for (let i = 0; i < 10; i++)
				assert.equal((await raw.call('read_issue', { number: 2 })).message.result.content[0].text, 'issue 2: the build is slow');
			return (performance.now() - began) / 10;
		});
	}
	// bytes of a request, Host and all, to the gateway
	const say = (bytes) => attacker.do('raw', { ...door(), bytes });
	const CALL = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'reflect', arguments: {} } });
	const post = (...lines) => [`POST ${secure ? '' : '/liar'}/mcp HTTP/1.1`, `Host: 127.0.0.1:${door().port}`, 'Content-Type: application/json',
		'Accept: application/json, text/event-stream', ...lines, '', ''].join('\r\n');
	const statuses = (reply) => [...(reply.bytes ?? '').matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => Number(m[1]));

	describe('a client that could be read in two ways', () => {
		const LENGTH = `Content-Length: ${CALL.length}`;
		const SECOND = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
		const cases = {
			'both lengths': () => post(LENGTH, 'Transfer-Encoding: chunked') + `0\r\n\r\n${SECOND}`,
			'two lengths': () => post(LENGTH, 'Content-Length: 5') + CALL + SECOND,
			'the same length twice': () => post(LENGTH, LENGTH) + CALL + SECOND,
			'a list of lengths': () => post(`Content-Length: ${CALL.length}, ${CALL.length}`) + CALL + SECOND,
			'a signed length': () => post(`Content-Length: +${CALL.length}`) + CALL + SECOND,
			'a length of 21 digits': () => post(`Content-Length: 100000000000000000000`) + CALL + SECOND,
			'two codings': () => post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity') + chunked(CALL) + SECOND,
			'another coding': () => post('Transfer-Encoding: xchunked') + chunked(CALL) + SECOND,
			'a blank before the colon': () => post('Transfer-Encoding : chunked') + chunked(CALL) + SECOND,
			'a chunk extension': () => post('Transfer-Encoding: chunked') + chunked(CALL, ';a=b') + SECOND,
			'a trailer': () => post('Transfer-Encoding: chunked') + chunked(CALL).replace(/0\r\n\r\n$/, '0\r\nX: y\r\n\r\n') + SECOND,
			'a chunk of 17 digits': () => post('Transfer-Encoding: chunked') + `10000000000000001\r\n${CALL}` + SECOND,
			'lines that end with LF': () => post(LENGTH).replaceAll('\r\n', '\n') + CALL + SECOND,
			'one line that does': () => post('X-A: b\nContent-Length: 5', LENGTH) + CALL + SECOND,
			'a CR alone': () => post(`X-A: b\rContent-Length: 5`, LENGTH) + CALL + SECOND,
			'a folded line': () => post('X-A: b\r\n Transfer-Encoding: chunked', LENGTH) + CALL + SECOND,
			'a NUL': () => post('X-A: \0', LENGTH) + CALL + SECOND,
			'two hosts': () => post('Host: evil.example', LENGTH) + CALL + SECOND,
			'a head of 20,000 bytes': () => post(`X-A: ${'a'.repeat(20000)}`, LENGTH) + CALL + SECOND,
			'a hundred fields': () => post(...Array.from({ length: 100 }, (_, i) => `X-${i}: a`), LENGTH) + CALL + SECOND,
		};
		for (const [name, bytes] of Object.entries(cases))
			test(`${name}: refused, and nothing after it is read`, async () => {
				const got = statuses(await say(bytes()));
				assert.equal(got.length, 1, `one answer: ${got}`);
				assert.ok(got[0] >= 400 && got[0] < 500, `${got}`);
			});

		test('a header that would add others on its way is refused', async () => {
			for (const value of ['a\r\nX-Injected: b', 'a\nX-Injected: b', 'a\0b', 'a\rb'])
				for (const name of ['Mcp-Name', 'Mcp-Session-Id', 'Mcp-Param-City', 'MCP-Protocol-Version', 'Last-Event-ID']) {
					const reply = await say(post(`${name}: ${value}`, `Content-Length: ${CALL.length}`, 'Connection: close') + CALL);
					assert.doesNotMatch(reply.bytes, /x-injected/i);
					assert.ok(value.startsWith('a\r\n') || statuses(reply)[0] === 400, `${name} ${JSON.stringify(value)}: ${reply.bytes}`);
				}
		});

		test('what is no strict JSON is refused, and no server hears of it', async () => {
			const bodies = {
				'invalid UTF-8': CALL.replace('reflect', 'refl\xff\xfect'), 'an overlong form': CALL.replace('reflect', '\xc0\xaf'),
				'a key twice': CALL.replace('"id":1', '"id":1,"id":2'), 'a nested key twice': CALL.replace('{}', '{"a":1,"a":2}'),
				'an escaped key twice': CALL.replace('{}', '{"a":1,"\\u0061":2}'),
				'half a surrogate pair': CALL.replace('reflect', '\\ud800'), 'two messages': CALL + CALL, deep: CALL.replace('{}', '['.repeat(5000) + ']'.repeat(5000)),
			};
			for (const [name, body] of Object.entries(bodies)) {
				const reply = await say(post(`Content-Length: ${body.length}`, 'Connection: close') + body);
				assert.equal(statuses(reply)[0], 400, `${name}: ${reply.bytes}`);
			}
			await othersGoOn();
		});
	});

	describe('a server that lies', () => {
		// libcurl passes over a chunk's extension, as RFC 9112 asks of who knows it not; we name no chunk on
		const passedOver = secure ? ['extension'] : [];
		for (const name of passedOver)
			test(`${name}: passed over, and goes nowhere`, async () => {
				const reply = await new RawClient(attacker, at('liar')).call(name);
				assert.deepEqual(reply.message, JSON.parse(answer(reply.message.id, 'smuggled')));
				assert.doesNotMatch(reply.body, /a=b/);
			});

		for (const name of Object.keys(LIES).filter((one) => !passedOver.includes(one)))
			test(`${name}: a clear error`, async () => {
				const reply = await new RawClient(attacker, at('liar')).call(name);
				assert.ok(reply.message?.error || reply.message?.result?.isError, `${reply.status} ${reply.body.slice(0, 300)}`);
				assert.doesNotMatch(reply.body, /smuggled/);
				assert.match(reply.body, /server liar/);
			});

		for (const name of Object.keys(ENDLESS))
			test(`${name}: ended in time, with bounded memory`, async () => {
				const call = new RawClient(attacker, at('liar')).post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } });
				await othersGoOn();
				const reply = await call;
				assert.equal(reply.status, 200, `${JSON.stringify(reply).slice(0, 300)}`);
				assert.match(reply.body.slice(-600), /zerogate/);
				assert.ok(Math.max(...memory()) < 160 * 1024, `a worker holds ${memory()} kB`);
				await until(() => liar.sockets.size === 0, 'the server to be left');
			});

		test('headers of a server stay its own', async () => {
			const reply = await new RawClient(attacker, at('liar')).call('reflect');
			assert.ok(reply.message.result, reply.body);
			assert.equal(reply.headers['set-cookie'], undefined);
		});
	});

	describe('a client that takes its time, or too much', () => {
		test('half-sent messages of one principal: its cap, and the others go on', async () => {
			const before = Math.max(...memory());
			await attacker.must('hoard', { name: 'bodies', ...door(), count: 64,
				head: post(`Content-Length: ${4 << 20}`), bytes: (4 << 20) - 100 });
			let told;
			await until(async () => { // most of them are answered, some before they have said all
				({ told } = await attacker.must('hoarded', { name: 'bodies' }));
				return told.filter((t) => t === 'held').length <= 20;
			}, 'the others to be refused');
			assert.ok(told.filter((t) => t === 'held').length >= 8, `held: ${told}`);
			assert.ok(told.every((t) => t === 'held' || t === 429 || t === 'ECONNRESET' || t === 'EPIPE' || t === 'closed'), `${told}`);
			assert.ok(Math.max(...memory()) - before < 200 * 1024, `a worker holds ${memory()} kB`);
			await othersGoOn();
			await attacker.must('unhoard', { name: 'bodies' });
			const raw = new RawClient(attacker, at('liar'));
			const big = { pad: 'a'.repeat(1 << 20) };
			await until(async () => (await raw.call('reflect', big)).message?.result, 'its own calls to be served again');
		});

		test('a thousand connections that say nothing, half a head, or half a body', async () => {
			const kinds = { silent: '', head: post().slice(0, 60), body: post('Content-Length: 1000') + '{"jsonrpc"' };
			const rounds = secure ? 9 : 1; // a handshake has 10 seconds, and this machine may be busy
			const names = Object.keys(kinds).flatMap((name) => Array.from({ length: rounds }, (_, i) => `${name} ${i}`));
			for (const name of names) {
				await attacker.must('hoard', { name, ...door(), count: 333 / rounds, head: kinds[name.split(' ')[0]], bytes: 0 });
				assert.deepEqual((await attacker.must('hoarded', { name })).told.filter((t) => t !== 'held'), [], name);
			}
			assert.ok(Math.max(...memory()) < 250 * 1024, `a worker holds ${memory()} kB`);
			await othersGoOn();
			// none of them is served for ever (ZG_HTTP_IDLE_SEC)
			await until(async () => (await Promise.all(names.map((name) => attacker.must('hoarded', { name }))))
				.every(({ open }) => open === 0), 'them to be left', 300000);
			await othersGoOn();
		});
	});
}
