// SPDX-License-Identifier: Apache-2.0
// shadow.test.mjs - MCP servers that nobody registered, on ports that the
// profile allows: real servers and clients of the official SDKs cannot speak
// with each other, and whatever is not MCP can.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, quick, startAgent, until, within } from './agent.mjs';
import { freePort, startServer } from './servers.mjs';

const POLICY = `version: v1
rules:
  - id: allow-reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
`;
const INITIALIZE = { jsonrpc: '2.0', id: 0, method: 'initialize',
	params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } };

const seen = (agent, server) => agent.records().filter((r) => r.kind === 'shadow.mcp' && r.port === server.port);

describe('an MCP server that nobody registered, on an allowed port', needs(), () => {
	let agent, streams, answers, registered, inside, port;

	before(async () => {
		[streams, answers, registered] = await Promise.all([startServer(), startServer({ json: true }), startServer()]);
		port = await freePort(); // a proxy's
		agent = await startAgent({
			policy: POLICY,
			servers: [{ id: 'github', url: registered.url(), tools: TOOLS }],
			allow: [streams, answers, { port }].flatMap(({ port }) => [{ cidr: '127.0.0.1/32', port }, { cidr: '::1/128', port }]),
		});
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([streams, answers, registered].map((s) => s?.close()));
	});

	for (const sdk of [1, 2])
		for (const [how, host] of [['IPv4', '127.0.0.1'], ['IPv6', '[::1]']])
			test(`the client of SDK ${sdk} cannot initialize over ${how}`, async () => {
				for (const server of [streams, answers]) {
					const earlier = seen(agent, server).length;
					await quick(5000, 'the client learns of it at once', async () => {
						const started = performance.now();
						const { error } = await inside.do('connect', { url: server.url(host), sdk, client: `${sdk}` });
						assert.match(String(error?.cause), /ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET/, JSON.stringify(error));
						return performance.now() - started;
					});
					assert.deepEqual(server.requests, [], 'no whole request arrived');
					const record = await agent.record((r) => r.kind === 'shadow.mcp' && r.port === server.port &&
						seen(agent, server).length > earlier, 'shadow.mcp');
					assert.match(record.evidence, /method initialize|header M/i);
					assert.equal(record.outcome, 'reset');
					assert.equal(record.decision, 'DENY');
					assert.equal(record.layer, 'egress');
					assert.equal(record.profile, 'agent');
					assert.match(record.cgroup, /./);
				}
			});

	test('both ends are reset, at once', async () => {
		const arrives = new Promise((done) => streams.once('connection', done));
		await inside.must('open', { name: 'c', host: '127.0.0.1', port: streams.port });
		const far = await within(arrives, 'the connection');
		const closed = new Promise((done) => far.once('close', done));
		const body = JSON.stringify(INITIALIZE);
		await inside.do('send', { name: 'c', text: `POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}` });
		await within(closed, 'the server to be told');
		const { code } = await within(inside.must('ended', { name: 'c' }), 'the client to be told');
		assert.match(code, /ECONNABORTED|ECONNRESET|EPIPE/);
		assert.equal((await inside.must('received', { name: 'c' })).text, '');
	});

	test('a request that hides is answered, and the answer does not arrive', async () => {
		const request = { ...INITIALIZE, params: { junk: 'x'.repeat(20000), ...INITIALIZE.params } };
		const body = JSON.stringify({ params: request.params, ...request });
		const answer = await inside.do('raw', { host: '127.0.0.1', port: answers.port,
			bytes: `POST /mcp HTTP/1.1\r\nHost: x\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}` });
		assert.equal(answer.bytes ?? '', '', 'not a byte came back');
		assert.equal(answers.requests.length, 1, 'the server had it');
		await agent.record((r) => r.kind === 'shadow.mcp' && r.port === answers.port && r.layer === 'ingress', 'shadow.mcp of the answer');
		answers.requests.length = 0;
	});

	test('the stateless era is known by its headers and by its body', async () => {
		const bodies = [{ jsonrpc: '2.0', id: 1, method: 'server/discover', params: {} },
			{ jsonrpc: '2.0', id: 1, method: 'x', params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } } }];
		const tries = [{ headers: { 'mcp-method': 'tools/list' }, body: {} },
			{ headers: { 'mcp-protocol-version': '2026-07-28' }, body: {} }, ...bodies.map((body) => ({ body }))];
		for (const { headers = {}, body } of tries) {
			const { error } = await inside.do('fetch', { url: streams.url(), headers, body });
			assert.match(String(error?.code), /ECONNRESET|ECONNABORTED|EPIPE/, JSON.stringify(body));
		}
		assert.deepEqual(streams.requests, []);
	});

	test('nor through a proxy on an allowed port: by its request line, or in a tunnel', async (t) => {
		const proxy = http.createServer((request, response) => request.pipe(http.request(request.url, { method: request.method, headers: request.headers },
			(answer) => answer.pipe(response)).on('error', () => response.destroy())));
		const tunnels = [];
		proxy.on('connect', (request, socket) => {
			const [host, port] = request.url.split(':');
			const far = net.connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
			far.on('data', (b) => socket.write(b));
			socket.on('data', (b) => far.write(b));
			for (const s of [socket, far])
				s.on('error', () => {}).on('close', () => [socket, far].forEach((x) => x.destroy()));
			tunnels.push(socket);
		});
		proxy.on('clientError', (_, socket) => socket.destroy());
		const behind = await startServer({ json: true });
		proxy.listen(port, '127.0.0.1');
		await once(proxy, 'listening');
		t.after(async () => {
			tunnels.forEach((socket) => socket.destroy());
			proxy.closeAllConnections();
			proxy.close();
			await behind.close();
		});
		const body = JSON.stringify(INITIALIZE);
		const post = (target) => `POST ${target} HTTP/1.1\r\nHost: 127.0.0.1:${behind.port}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

		const answer = await inside.do('raw', { host: '127.0.0.1', port, bytes: post(behind.url()), timeout: 60000 });
		assert.match(String(answer.error?.code), /ECONNRESET|ECONNABORTED|EPIPE/, JSON.stringify(answer));

		await inside.must('open', { name: 'tunnel', host: '127.0.0.1', port });
		await inside.must('send', { name: 'tunnel', text: `CONNECT 127.0.0.1:${behind.port} HTTP/1.1\r\nHost: x\r\n\r\n` });
		await until(async () => (await inside.must('received', { name: 'tunnel' })).text.includes('200 OK'), 'the tunnel');
		await inside.do('send', { name: 'tunnel', text: post('/mcp') });
		const { code } = await within(inside.must('ended', { name: 'tunnel' }), 'the tunnel to end', 60000);
		assert.match(code, /ECONNABORTED|ECONNRESET|EPIPE/);
		assert.ok(!(await inside.must('received', { name: 'tunnel' })).text.includes('serverInfo'));
		assert.deepEqual(behind.requests, []);
		assert.equal((await agent.record((r) => r.kind === 'shadow.mcp' && r.port === port && /initialize/.test(r.evidence))).outcome, 'reset');
	});

	test('what is not MCP passes, on the same port', async () => {
		const page = await inside.must('fetch', { url: `http://127.0.0.1:${streams.port}/about-mcp`, method: 'GET' });
		assert.equal(page.status, 404);
		const rpc = await inside.must('fetch', { url: `http://127.0.0.1:${streams.port}/rpc`,
			body: { jsonrpc: '2.0', id: 1, method: 'eth_protocolVersion', params: [] } });
		assert.equal(rpc.status, 404);
		streams.requests.length = 0;
	});

	test('a registered server is served through the gateway, unseen', async () => {
		const { server } = await inside.must('connect', { url: registered.url(), client: 'registered' });
		assert.equal(server.name, 'fixture');
		await inside.tool('read_issue', { number: 1 }, { client: 'registered' });
		await inside.must('connect', { url: agent.url('github'), client: 'explicit' });
		await inside.tool('read_issue', { number: 2 }, { client: 'explicit' });
		assert.equal(registered.executed.read_issue, 2);
		assert.deepEqual(seen(agent, registered), []);
	});
});

describe('the same where the profile only wants to know', needs(), () => {
	let agent, server, inside;

	before(async () => {
		server = await startServer();
		agent = await startAgent({ policy: POLICY, allow: [{ cidr: '127.0.0.1/32', port: server.port }],
			more: '    shadow_mcp: {wire: audit}\n' });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	test('it is recorded, and it passes', async () => {
		const answer = await inside.must('connect', { url: server.url(), client: 'a' });
		assert.equal(answer.server.name, 'fixture');
		await inside.tool('read_issue', { number: 1 }, { client: 'a' });
		assert.equal(server.executed.read_issue, 1);
		const record = await agent.record((r) => r.kind === 'shadow.mcp' && r.port === server.port, 'shadow.mcp');
		assert.equal(record.outcome, 'passed');
		assert.match(record.evidence, /method initialize/);
	});
});
