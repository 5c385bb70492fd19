// SPDX-License-Identifier: Apache-2.0
// caching.test.mjs - what one principal was told is not told to another: nothing is
// kept, whatever the server says of keeping it, nobody on the way may keep it, and
// each request has the credentials of the one who made it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { needs, scene } from './agent.mjs';
import { messages } from './raw.mjs';
import { Base } from './servers.mjs';

const VERSION = '2026-07-28';
const _meta = { 'io.modelcontextprotocol/protocolVersion': VERSION, 'io.modelcontextprotocol/clientCapabilities': {} };
const READS = 'version: v1\nrules:\n  - id: reads\n    match: {labels: {mcp.action: read}}\n    decision: ALLOW\n';
const TOOL = { name: 'read_me', inputSchema: { type: 'object' } };

// A server that asks everybody to keep its answers, each of which is another.
async function startCacheable() {
	const server = new Base();
	server.seen = [];
	return server.open((req, res) => {
		const chunks = [];
		req.on('data', (chunk) => chunks.push(chunk));
		req.on('end', () => {
			const { id, method } = JSON.parse(Buffer.concat(chunks).toString());
			const n = server.seen.push(req.headers);
			const said = { text: `answer ${n} to ${req.headers.authorization ?? 'nobody'}` };
			const result = {
				'tools/list': { tools: [TOOL], _meta: { said } },
				'tools/call': { content: [{ type: 'text', ...said }] },
				'resources/read': { contents: [{ uri: 'file:///x', ...said }] },
			}[method];
			res.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'public, max-age=86400', etag: '"one"', vary: 'accept',
				'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT', expires: 'Fri, 01 Jan 2100 00:00:00 GMT' })
				.end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result, ttlMs: 86400000, cacheScope: 'public' } }));
		});
	}, http);
}

test('nothing is kept for anybody else, nor for the same one', needs(), async (t) => {
	const [server, through] = [await startCacheable(), await startCacheable()];
	t.after(() => through.close());
	const agent = await scene(t, { server, policy: READS, tools: { '*': { action: 'read' } }, workers: 1,
		servers: [{ id: 'through', url: through.url(), tools: { '*': { action: 'read' } }, passthrough: { authorization: true, reason: 'it knows its users' } }] });
	const people = { alice: await agent.inside(), bob: await agent.inside({ uid: 65532 }) };
	const ask = (who, method, params, id = 'github') => people[who].must('fetch', { url: agent.url(id),
		headers: { 'mcp-protocol-version': VERSION, 'mcp-method': method, ...(params.name ?? params.uri ? { 'mcp-name': params.name ?? params.uri } : {}),
			authorization: `Bearer of-${who}`, cookie: `of=${who}`, 'if-none-match': '"one"', 'if-modified-since': 'Mon, 01 Jan 2024 00:00:00 GMT' },
		body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } } });

	const asked = { 'tools/list': {}, 'tools/call': { name: 'read_me', arguments: {} }, 'resources/read': { uri: 'file:///x' } };
	for (const [method, params] of Object.entries(asked))
		for (const who of ['alice', 'bob', 'bob', 'alice']) {
			const reply = await ask(who, method, params);
			const n = server.seen.length;
			assert.equal(reply.status, 200, reply.body);
			assert.match(reply.body, new RegExp(`"answer ${n} to nobody"`), 'asked of the server, for this one');
			assert.equal(reply.headers['cache-control'], 'no-store');
			for (const name of ['etag', 'expires', 'last-modified', 'vary'])
				assert.equal(reply.headers[name], undefined, name);
			assert.equal(messages(reply)[0].result.cacheScope, 'private');
			for (const name of ['if-none-match', 'if-modified-since', 'cookie', 'authorization'])
				assert.equal(server.seen[n - 1][name], undefined, name);
		}
	assert.equal(server.seen.length, 4 * Object.keys(asked).length);

	// Where the entry passes credentials on: each request its own, whoever's call came before it
	for (let i = 0; i < 6; i++) {
		const who = i % 2 ? 'bob' : 'alice';
		const reply = await ask(who, 'tools/call', asked['tools/call'], 'through');
		assert.match(reply.body, new RegExp(`answer ${i + 1} to Bearer of-${who}"`));
	}
});
