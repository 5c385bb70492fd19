// SPDX-License-Identifier: Apache-2.0
// strict.test.mjs - what a client may not send. Each is refused at the gateway
// with a clear error and a record, and the server never sees it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, startAgent } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const CALL = (args) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_issue","arguments":${args}}}`;
const GOOD = CALL('{"number":1}');

describe('strictness towards clients', needs(), () => {
	let agent, server, inside, session;

	before(async () => {
		server = await startServer();
		agent = await startAgent({ servers: [{ id: 'github', url: server.url(), tools: TOOLS }] });
		inside = await agent.inside();
		session = (await new RawClient(inside, agent.url('github')).open()).headers;
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	const send = (body, headers = {}, more = {}) => inside.do('fetch', { url: agent.url('github'), body, headers: { ...session, ...headers }, ...more });
	const refused = async (reply, what, status = /^4/) => {
		assert.match(String(reply.status), status, `${what}: ${JSON.stringify(reply).slice(0, 400)}`);
		assert.equal(server.requests.length, seen, `${what} arrived at the server`);
	};
	let seen;

	test('the same request in order is answered', async () => {
		const reply = await send(GOOD);
		assert.equal(reply.status, 200);
		assert.match(reply.body, /the build is slow/);
	});

	const deep = '['.repeat(100) + ']'.repeat(100);
	const bodies = {
		'a duplicate key': GOOD.replace('"id":1,', '"id":1,"id":2,'),
		'a duplicate key in the arguments': CALL('{"number":1,"number":2}'),
		'a duplicate key by escape': CALL('{"number":1,"n\\u0075mber":2}'),
		'depth': CALL(`{"number":${deep}}`),
		'text after the message': GOOD + ' {}',
		'no JSON': 'hello',
		'nothing': '',
		'half a message': GOOD.slice(0, -2),
		'a comment': '/* x */' + GOOD,
		'a batch': `[${GOOD}]`,
		'an empty batch': '[]',
		'a scalar': '"tools/call"',
		'another JSON-RPC version': GOOD.replace('"2.0"', '"1.0"'),
		'no method': '{"jsonrpc":"2.0","id":1,"params":{}}',
		'a method of the wrong type': '{"jsonrpc":"2.0","id":1,"method":["tools/call"]}',
		'a tool name of the wrong type': '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":{"x":1}}}',
		'no tool name': '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
		'an id that is an object': GOOD.replace('"id":1', '"id":{}'),
		'NUL by escape': CALL('{"number":1,"x":"\\u0000"}'),
		'a lone surrogate': CALL('{"number":1,"x":"\\ud800"}'),
		'a leading zero': CALL('{"number":01}'),
	};
	for (const [what, body] of Object.entries(bodies))
		test(`refused: ${what}`, async () => {
			seen = server.requests.length;
			await refused(await send(body), what);
		});

	test('refused: bytes that are not UTF-8', async () => {
		seen = server.requests.length;
		for (const bad of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
			const body = Buffer.concat([Buffer.from(CALL('{"number":1,"x":"')).subarray(0, -2), Buffer.from(bad), Buffer.from('"}}}')]);
			await refused(await send(undefined, {}, { base64: body.toString('base64') }), bad.join(' '));
		}
	});

	test('refused: a message over the limit, before all of it was read', async () => {
		seen = server.requests.length;
		const reply = await send(CALL(`{"number":1,"x":"${'y'.repeat(5 << 20)}"}`));
		if (!reply.error) // the connection may be closed under the client's hands
			await refused(reply, 'a huge body', /^4(00|13)/);
		assert.equal(server.requests.length, seen);
	});

	test('refused: another Content-Type, no Content-Type, an unknown protocol version, other methods', async () => {
		seen = server.requests.length;
		await refused(await send(GOOD, { 'content-type': 'text/plain' }), 'text/plain');
		await refused(await send(GOOD, { 'mcp-protocol-version': '1999-01-01' }), 'version');
		await refused(await send(undefined, {}, { method: 'PUT' }), 'PUT');
		await refused(await send(undefined, {}, { method: 'TRACE' }), 'TRACE', /^[45]/);
		await refused(await inside.do('fetch', { url: `http://127.0.0.1:${agent.port}/`, body: GOOD, headers: session }), 'no server in the path');
	});

	test('Origin: a page of another origin, local ones included, is refused with 403', async () => {
		seen = server.requests.length;
		for (const origin of ['http://evil.example', 'https://127.0.0.1.evil.example', 'null', 'http://localhost.evil.example', 'http://localhost:3000', 'file://'])
			await refused(await send(GOOD, { origin }), `Origin ${origin}`, /^403$/);
		assert.equal((await send(GOOD, { origin: `http://127.0.0.1:${agent.port}` })).status, 200);
		assert.equal((await send(GOOD, { origin: `http://localhost:${agent.port}` })).status, 200);
	});

	test('Host: a name that is not the gateway\'s is refused (DNS rebinding)', async () => {
		seen = server.requests.length;
		for (const host of ['evil.example', `evil.example:${agent.port}`, '127.0.0.1.evil.example', '127.0.0.1', `[127.0.0.1]:${agent.port}`, `[::1]x:${agent.port}`])
			await refused(await send(GOOD, { host }), `Host ${host}`);
		for (const host of [`localhost:${agent.port}`, `127.0.0.1:${agent.port}`, `[::1]:${agent.port}`])
			assert.equal((await send(GOOD, { host })).status, 200, host);
	});

	test('smuggling: two lengths, or a length beside chunks, is refused', async () => {
		seen = server.requests.length;
		const head = `POST /github/mcp HTTP/1.1\r\nHost: 127.0.0.1:${agent.port}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Session-Id: ${session['mcp-session-id']}\r\n`;
		for (const bad of [`Content-Length: 5\r\nContent-Length: ${GOOD.length}\r\n`, `Transfer-Encoding: chunked\r\nContent-Length: ${GOOD.length}\r\n`,
			`Content-Length: -1\r\n`, `Content-Length: ${GOOD.length}, 5\r\n`, 'X'.repeat(40000) + ': y\r\n']) {
			const answer = await inside.do('raw', { host: '127.0.0.1', port: agent.port, bytes: `${head}${bad}Connection: close\r\n\r\n${GOOD}` });
			assert.ok(answer.error || answer.bytes === '' || /^HTTP\/1\.[01] [45]/.test(answer.bytes), `${bad.slice(0, 60)}: ${answer.bytes}`);
			assert.equal(server.requests.length, seen, bad.slice(0, 60));
		}
	});

	test('paths that are spelled in odd ways are not followed', async () => {
		seen = server.requests.length;
		for (const target of ['/../github/mcp', '/github/../github/mcp', '//github/mcp', '/github%2fmcp', '/%67ithub/mcp', '/github/mcp/', '/github/mcp?x=1', '*']) {
			const { bytes } = await inside.must('raw', { host: '127.0.0.1', port: agent.port, bytes: `POST ${target} HTTP/1.1\r\nHost: 127.0.0.1:${agent.port}\r\n`
				+ `Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: ${GOOD.length}\r\nConnection: close\r\n\r\n${GOOD}` });
			assert.match(bytes, /^HTTP\/1\.1 4/, target);
			assert.equal(server.requests.length, seen, target);
		}
	});

	test('refusals are records', async () => {
		assert.ok(await agent.record((r) => r.kind === 'call.reject' && r.reason));
	});

	test('a header never outvotes the body', async () => {
		const reply = await send(CALL('{"number":1}').replace('read_issue', 'create_issue'), { 'mcp-name': 'read_issue', 'mcp-method': 'tools/list' });
		assert.doesNotMatch(reply.body, /the build is slow/);
		assert.equal(server.executed.create_issue, undefined);
	});

	test('and the gateway still works', async () => {
		assert.match((await send(GOOD)).body, /the build is slow/);
	});
});
