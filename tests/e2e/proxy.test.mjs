// SPDX-License-Identifier: Apache-2.0
// proxy.test.mjs - servers that are dialled by way of a corporate proxy: what it
// is told, what it can refuse, who is dialled without it, and that nobody but
// the gateway is let to it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { startDns } from './dns.mjs';
import { RawClient } from './raw.mjs';
import { freePort, startServer } from './servers.mjs';
import { Authority, startProxy, startTls } from './tls_servers.mjs';

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
`;
const READS = { '*': { action: 'read' } };
const FAR = '203.0.113.7'; // documentation: nobody is there

describe('a corporate proxy', needs(), () => {
	const zone = { 'proxy.corp.example': '127.0.0.1' };
	let ca, other, far, foreign, near, plain, dns, proxy, agent, inside, answer;

	const entry = (id, host, port, more = {}) => ({ id, url: `https://${host}:${port}/mcp`, tools: READS, ca_file: ca.file, addresses: [FAR], ...more });
	const client = (id) => new RawClient(inside, agent.url(id));
	const call = async (id, args) => (await client(id).call('read_x', args)).message;
	const text = (message) => message.result.content[0].text;
	const login = (value, mode = 0o600) => {
		const file = path.join(agent.dir, 'etc/proxy.login');
		fs.writeFileSync(file, value, { mode });
		fs.chmodSync(file, mode);
	};

	before(async () => {
		ca = new Authority();
		other = new Authority('other');
		const leaf = ca.issue(['DNS:api.far.example', 'DNS:tool.internal', 'DNS:named.far.example', 'DNS:localhost']);
		far = await startTls(leaf);
		foreign = await startTls(other.issue(['DNS:foreign.far.example']));
		near = await startTls(leaf);
		plain = await startServer({ json: true });
		dns = await startDns((q) => zone[q.name] === undefined ? undefined
			: q.type === 1 ? { answer: [[q.name, 'A', zone[q.name], 1]] } : { authority: [['example', 'SOA', 'ns.example', 30]] });
		const lead = (target) => `127.0.0.1:${target.split(':')[1]}`;
		proxy = await startProxy({ port: await freePort(), map: lead, answer: (req) => answer?.(req), authorization: `Basic ${Buffer.from('agent:pass:word').toString('base64')}` });
		agent = await startAgent({ policy: POLICY, workers: 1, allow: [{ cidr: '127.0.0.0/8', port: '1024-65535', proto: 'tcp' }],
			more: `dns: {upstream: ["127.0.0.1:${dns.port}"], ttl_min_sec: 0}
proxy: {url: "http://proxy.corp.example:${proxy.port}", no_proxy: ["*.internal", "192.0.2.0/24"]}
`,
			servers: [entry('api', 'api.far.example', far.port), entry('pinned', 'named.far.example', far.port, { addresses: ['203.0.113.9'], pins: [other.issue(['DNS:x']).pin] }),
				entry('foreign', 'foreign.far.example', foreign.port), entry('internal', 'tool.internal', near.port, { addresses: ['127.0.0.1'] }),
				entry('block', 'blocked.example', 9, { addresses: ['192.0.2.5'] }),
				entry('literal', '127.0.0.2', near.port, { addresses: undefined }),
				{ id: 'plain', url: plain.url('127.0.0.1'), tools: READS },
				{ id: 'plainfar', url: `http://plain.far.example:${plain.port}/mcp`, addresses: ['203.0.113.8'], tools: READS, proxy: true }] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([far, foreign, near, plain, dns, proxy].map((s) => s?.close()));
		ca?.close();
		other?.close();
	});

	test('without credentials it refuses: the status is told, its words are not', async () => {
		assert.match(text(await call('api')), /the proxy wants other credentials.*407/);
		assert.equal(far.seen.length, 0);
	});

	test('with credentials there is a tunnel, and the server is verified as without one', async () => {
		login('agent:pass:word\n');
		fs.writeFileSync(agent.config, fs.readFileSync(agent.config, 'utf8').replace('no_proxy:', 'credentials_file: proxy.login, no_proxy:'));
		const reload = await agent.zg(['reload']);
		assert.equal(reload.code, 0, reload.stdout + reload.stderr);
		assert.equal(text(await call('api')), 'hello over 2.0');
		const asked = proxy.seen.at(-1);
		assert.equal(asked.target, `api.far.example:${far.port}`);
		assert.deepEqual(Object.keys(asked.headers).filter((h) => !['host', 'proxy-authorization', 'proxy-connection', 'user-agent'].includes(h)), []);
		assert.equal(far.calls.at(-1).headers['proxy-authorization'], undefined);
		const tunnels = proxy.seen.length;
		assert.equal(text(await call('api')), 'hello over 2.0');
		assert.equal(proxy.seen.length, tunnels, 'a tunnel is used again');
		assert.match(text(await call('foreign')), /is not trusted/);
		assert.match(text(await call('pinned')), /another key than those that are pinned/);
		assert.equal(foreign.seen.length, 0);
	});

	test('no_proxy, private addresses and plain servers are dialled without it', async () => {
		const tunnels = proxy.seen.length;
		assert.equal(text(await call('internal')), 'hello over 2.0');
		assert.match(text(await client('plain').open().then((c) => c.call('read_issue', { number: 3 })).then((r) => r.message)), /issue 3/);
		assert.match(text(await call('literal')), /cannot be reached/);
		assert.match(text(await call('block')), /cannot be reached|did not take/);
		assert.equal(proxy.seen.length, tunnels);
	});

	test('a plain server goes through it where its entry says so', async () => {
		assert.equal(text(await call('plainfar')), 'by the proxy');
		assert.equal(proxy.seen.at(-1).target, `http://plain.far.example:${plain.port}/mcp`);
		assert.ok(proxy.seen.at(-1).authorization);
	});

	test('the gate lets the gateway to the proxy alone, and workloads not at all', async () => {
		const before = proxy.seen.length;
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: proxy.port })).error?.code, 'EPERM');
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: near.port })).error, undefined);
		assert.equal(proxy.seen.length, before);
	});

	test('a workload that dials the registered address is redirected, and goes through it', async () => {
		const raw = await new RawClient(inside, `http://203.0.113.8:${plain.port}/mcp`);
		raw.headers = { host: `plain.far.example:${plain.port}` };
		const before = proxy.seen.length;
		assert.equal(text((await raw.call('read_x')).message), 'by the proxy');
		assert.equal(proxy.seen.length, before + 1);
	});

	test('refusals, broken answers and a proxy that is down end in one clear error each', async () => {
		const acts = [
			['HTTP/1.1 403 Forbidden\r\ncontent-length: 20\r\n\r\nsecret words of mine', /the proxy refused with status 403/],
			['HTTP/1.1 502 Bad Gateway\r\n\r\nsecret words', /the proxy refused with status 502/],
			['', /the proxy closed the connection/],
			['nonsense\r\n\r\n', /the proxy|cannot be reached/],
			[`HTTP/1.1 200 OK\r\n${'x-h: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(4000)}\r\n`, /no TLS could be agreed on/],
		];
		for (const [raw, what] of acts) {
			answer = () => raw;
			const message = await call('foreign');
			assert.ok(message.result.isError);
			assert.match(text(message), what);
			assert.doesNotMatch(text(message), /secret words/);
		}
		answer = undefined;
		const { port } = proxy;
		await proxy.close();
		assert.match(text(await call('foreign')), /the proxy refused the connection/);
		proxy = await startProxy({ port, map: (target) => `127.0.0.1:${target.split(':')[1]}` });
		await until(async () => text(await call('api')) === 'hello over 2.0', 'the proxy is back');
		assert.doesNotMatch(agent.logText() + JSON.stringify(agent.records()), /pass:word|YWdlbnQ6cGFzczp3b3Jk/);
	});

	test('credentials that others can read, or that are not user:password, are refused', async () => {
		for (const [value, mode, what] of [['a:b', 0o644, /others than root can read it/], ['nocolon', 0o600, /not "user:password"/], ['a:b\nc', 0o600, /not one line/]]) {
			login(value, mode);
			const reload = await agent.zg(['reload']);
			assert.equal(reload.code, 1);
			assert.match(reload.stdout + reload.stderr, what);
		}
	});
});
