// SPDX-License-Identifier: Apache-2.0
// server_names.test.mjs - servers registered by name: asked for by the agent
// itself, dialled where their name leads now, redirected to the gateway for
// workloads, and refused where a name leads into this machine or its networks.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needs, quick, startAgent, until } from './agent.mjs';
import { startDns } from './dns.mjs';
import { RawClient } from './raw.mjs';
import { Authority, startTls } from './tls_servers.mjs';

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
`;
const READS = { '*': { action: 'read' } };

describe('servers by name', needs(), () => {
	const zone = { 'api.corp.example': ['127.0.0.1', 1], 'moves.corp.example': ['127.0.0.1', 1], 'rebinds.example': ['127.0.0.1', 1],
		'private.example': ['10.1.2.3', 1], 'metadata.example': ['169.254.169.254', 1], 'linklocal.example': ['fe80::1', 1],
		'nat.example': ['64:ff9b::a00:1', 1], 'cgnat.example': ['100.64.1.1', 1], 'multicast.example': ['224.0.0.1', 1],
		'plain.corp.example': ['127.0.0.1', 1], 'twin.corp.example': ['127.0.0.1', 1] };
	let ca, leaf, dns, agent, inside, one, two, plain, delay = 0;

	const entry = (id, host, port, more = {}) => ({ id, url: `https://${host}:${port}/mcp`, tools: READS, ca_file: ca.file, ...more });
	const call = async (id, name = 'read_x') => (await new RawClient(inside, agent.url(id)).call(name)).message;
	const text = (message) => message.result.content[0].text;

	before(async () => {
		ca = new Authority();
		leaf = ca.issue(['DNS:*.corp.example', 'DNS:rebinds.example']);
		one = await startTls(leaf);
		two = await startTls(leaf, { host: '127.0.0.2', port: one.port });
		dns = await startDns((q) => {
			const [value, ttl] = zone[q.name] ?? [];
			const type = value?.includes(':') ? 28 : 1;
			return value === undefined ? undefined : { delay, ...(q.type === type ? { answer: [[q.name, type === 1 ? 'A' : 'AAAA', value, ttl]] } : { authority: [['example', 'SOA', 'ns.example', 30]] }) };
		});
		const { startServer } = await import('./servers.mjs');
		plain = await startServer({ json: true });
		agent = await startAgent({ policy: POLICY, workers: 2, allow: [{ cidr: '127.0.0.0/8', port: '1024-65535', proto: 'tcp' }],
			more: `dns: {upstream: ["127.0.0.1:${dns.port}"], ttl_min_sec: 0}\n`,
			servers: [entry('api', 'api.corp.example', one.port, { local: true }), entry('moves', 'moves.corp.example', one.port, { local: true }),
				entry('rebinds', 'rebinds.example', one.port),
				...['private', 'metadata', 'linklocal', 'nat', 'cgnat', 'multicast'].map((n) => entry(n, `${n}.example`, one.port, n === 'metadata' ? { local: true } : {})),
				{ id: 'plain', url: `http://plain.corp.example:${plain.port}/mcp`, tools: READS, local: true },
				{ id: 'twin', url: `http://twin.corp.example:${plain.port}/mcp`, tools: READS, local: true }] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([dns, one, two, plain].map((s) => s?.close()));
		ca?.close();
	});

	test('a call goes where the name leads, verified by the name', async () => {
		assert.equal(text(await call('api')), 'hello over 2.0');
		assert.ok(one.calls.at(-1).headers[':authority'].startsWith('api.corp.example'));
		const learned = await agent.record((r) => r.kind === 'name.resolve' && /api\.corp/.test(r.message));
		assert.match(learned.message, /127\.0\.0\.1/);
	});

	test('a name that leads into this machine or its networks opens nothing', async () => {
		const seen = one.seen.length;
		await Promise.all(['rebinds', 'private', 'metadata', 'linklocal', 'nat', 'cgnat', 'multicast'].map(async (id) => {
			const message = await call(id);
			assert.ok(message.result.isError, id);
			assert.match(text(message), /no address that may be dialled/);
			await agent.record((r) => r.kind === 'name.refuse' && r.message.startsWith(`${id}.example was refused`), `refusal of ${id}`);
		}));
		assert.equal(one.seen.length, seen);
	});

	test('workloads that dial the name are redirected, whatever else they may reach', async () => {
		// the resolver answers with what is in force
		await until(async () => !(await inside.do('fetch', { url: `http://plain.corp.example:${plain.port}/mcp`, body: {} }).catch((error) => ({ error }))).error
			&& !(await inside.do('fetch', { url: `http://twin.corp.example:${plain.port}/mcp`, body: {} }).catch((error) => ({ error }))).error, 'the names to be in force');
		const dialled = await new RawClient(inside, `http://plain.corp.example:${plain.port}/mcp`).open();
		assert.match(text((await dialled.call('read_issue', { number: 2 })).message), /issue 2/);
		assert.ok((await agent.record((r) => r.kind === 'call.outcome' && r.server === 'plain' && r.tool === 'read_issue')).transparent);
		// two names, one address: the name decides; without one of them, nobody is meant
		const twin = await new RawClient(inside, `http://twin.corp.example:${plain.port}/mcp`).open();
		assert.match(text((await twin.call('read_issue', { number: 2 })).message), /issue 2/);
		await agent.record((r) => r.kind === 'call.outcome' && r.server === 'twin' && r.tool === 'read_issue');
		const literal = await inside.do('fetch', { url: `http://127.0.0.1:${plain.port}/mcp`, headers: { host: 'other.example' }, body: {} });
		assert.equal(literal.status, 403);
	});

	test('a name that moves: the new address is opened and dialled', async () => {
		assert.equal(text(await call('moves')), 'hello over 2.0');
		zone['moves.corp.example'] = ['127.0.0.2', 1];
		await agent.record((r) => r.kind === 'name.resolve' && /moves\.corp.*127\.0\.0\.2/.test(r.message));
		await one.close();
		await until(async () => {
			const message = await call('moves');
			return message.result.content?.[0].text === 'hello over 2.0' && two.calls.length > 0;
		}, 'a call to the new address');
	});

	test('a call to a name that is not resolved yet waits for it, within bounds', async () => {
		delay = 800;
		zone['late.corp.example'] = ['127.0.0.2', 60];
		agent.register(entry('late', 'late.corp.example', one.port, { local: true }));
		assert.equal((await agent.zg(['reload'])).code, 0);
		assert.equal(text(await call('late')), 'hello over 2.0');
		delay = 0;
		agent.register(entry('nowhere', 'nowhere.corp.example', one.port));
		assert.equal((await agent.zg(['reload'])).code, 0);
		await quick(8000, 'an answer', async () => {
			const started = performance.now();
			assert.match(text(await call('nowhere')), /no address that may be dialled/);
			return performance.now() - started;
		}, 5);
	});

	test('what is known to lead nowhere is not waited for, and is found once it leads somewhere', async () => {
		// each worker has heard of these by now: one call of each may still wait
		for (const id of ['nowhere', 'private', 'rebinds'])
			await quick(1000, `a quick answer for ${id}`, async () => {
				const started = performance.now();
				assert.match(text(await call(id)), /no address that may be dialled/);
				return performance.now() - started;
			}, 20);
		await quick(2000, 'no call waits', async () => {
			const started = performance.now();
			const all = await Promise.all(Array.from({ length: 20 }, () => call('private')));
			assert.ok(all.every((m) => /no address/.test(text(m))));
			return performance.now() - started;
		});
		zone['nowhere.corp.example'] = ['127.0.0.2', 1];
		agent.register(entry('nowhere', 'nowhere.corp.example', one.port, { local: true }));
		assert.equal((await agent.zg(['reload'])).code, 0);
		await until(async () => (await call('nowhere')).result.content[0].text === 'hello over 2.0', 'the name to be asked for again');
	});

	test('files that were changed and not reloaded do not come into force by a new address', async () => {
		agent.register(entry('unasked', 'late.corp.example', 1));
		zone['late.corp.example'] = ['127.0.0.3', 1];
		const status = JSON.parse((await agent.zg(['--json', 'status'])).stdout);
		zone['moves.corp.example'] = ['127.0.0.4', 1];
		await agent.record((r) => r.kind === 'name.resolve' && /moves\.corp.*127\.0\.0\.4/.test(r.message));
		const now = await until(async () => {
			const one = JSON.parse((await agent.zg(['--json', 'status'])).stdout);
			return one.generation !== status.generation && one;
		}, 'what the new address brings into force');
		assert.equal(now.servers, status.servers);
		assert.equal(now.snapshot, status.snapshot);
	});
});
