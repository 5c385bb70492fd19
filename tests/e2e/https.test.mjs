// SPDX-License-Identifier: Apache-2.0
// https.test.mjs - servers behind TLS: who is believed and who is not, what is
// shown to them, where redirects may lead, and what a hostile one can do.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { Authority, startTls } from './tls_servers.mjs';

const POLICY = `version: v1
rules:
  - id: reads
    match: {labels: {mcp.action: read}}
    decision: ALLOW
  - id: short
    match: {labels: {mcp.tool: ["hang", "trickle", "endless_sse", "endless_event", "comments"]}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 2}
`;
const READS = { '*': { action: 'read' } };

function secret(agent, name, value, mode = 0o600) {
	const file = path.join(agent.dir, 'etc/servers', name);
	fs.writeFileSync(file, value, { mode });
	fs.chmodSync(file, mode);
	return file;
}

describe('https servers', needs(), () => {
	const close = [];
	let ca, other, agent, inside, s, leaf;

	const start = async (...args) => {
		const server = await startTls(...args);
		close.push(server);
		return server;
	};
	const entry = (id, server, more = {}) => ({ id, url: `https://localhost:${server.port}/mcp`, addresses: ['127.0.0.1'], tools: READS,
		ca_file: ca.file, ...more, ...(more.addresses === null ? { addresses: undefined } : {}) });
	const client = (id) => new RawClient(inside, agent.url(id));
	const call = async (id, tool = 'read_x') => (await client(id).call(tool)).message;
	const refused = async (id, what, tool) => {
		const message = await call(id, tool);
		assert.ok(message.result?.isError, JSON.stringify(message));
		assert.match(message.result.content[0].text, what);
		return message.result.content[0].text;
	};

	before(async () => {
		ca = new Authority('private CA');
		other = new Authority('other CA');
		leaf = ca.issue(['DNS:localhost', 'IP:127.0.0.1']);
		s = {
			h2: await start(leaf),
			h1: await start(leaf, { h2: false }),
			name: await start(ca.issue(['DNS:other.example'])),
			expired: await start(ca.issue(['DNS:localhost'], { past: true })),
			foreign: await start(other.issue(['DNS:localhost'])),
			mtls: await start(leaf, { tls: { requestCert: true, rejectUnauthorized: true, ca: fs.readFileSync(ca.file) } }),
			old: await start(leaf, { tls: { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } }),
			evil: await start(leaf, { act: misbehave }),
			evil1: await start(leaf, { h2: false, act: misbehave }),
		};
		const pin = leaf.pin, wrong = other.issue(['DNS:x']).pin;
		const mine = ca.issue(['DNS:client']);
		agent = await startAgent({ policy: POLICY, workers: 1, servers: [
			entry('h2', s.h2), entry('h1', s.h1), entry('name', s.name), entry('expired', s.expired), entry('foreign', s.foreign),
			entry('old', s.old), entry('evil', s.evil), entry('evil1', s.evil1),
			{ ...entry('mtls', s.mtls), auth: { client_cert_file: mine.certFile, client_key_file: mine.keyFile } },
		] });
		for (const [id, server, more] of [['pinned', s.h2, { pins: [wrong, pin] }], ['mispinned', s.h1, { pins: [wrong] }]]) {
			const one = await start(leaf, { h2: server === s.h2 });
			agent.register(entry(id, one, more));
			s[id] = one;
		}
		assert.equal((await agent.zg(['reload'])).code, 0);
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all(close.map((c) => c.close()));
		ca?.close();
		other?.close();
	});

	function misbehave(name, req, res, message) {
		const pour = (piece, before = '') => {
			res.writeHead(200, { 'content-type': 'text/event-stream' });
			const more = () => {
				while (!res.destroyed && !res.writableEnded && res.write(piece));
			};
			res.on('drain', more);
			res.on('error', () => {});
			if (before)
				res.write(before);
			more();
		};
		const acts = {
			headers() {
				res.writeHead(200, { 'content-type': 'application/json', ...Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-h${i}`, 'a'.repeat(200)])) });
				res.end('{}');
			},
			flood() {
				res.writeHead(200, { 'content-type': 'application/json' });
				const chunk = Buffer.alloc(1 << 20, 'a');
				const more = () => {
					while (!res.destroyed && !res.writableEnded && res.write(chunk));
				};
				res.on('drain', more);
				res.on('error', () => {});
				more();
			},
			hang() {},
			endless_sse: () => pour('data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"again"}}\n\n'.repeat(100)),
			comments: () => pour(': nothing\n\n'.repeat(5000)),
			endless_event: () => pour(' '.repeat(65536), 'data: '),
			trickle() {
				res.writeHead(200, { 'content-type': 'application/json' });
				const timer = setInterval(() => res.destroyed ? clearInterval(timer) : res.write(' '), 50);
				res.on('close', () => clearInterval(timer));
				res.on('error', () => {});
			},
			reset() {
				(req.stream?.session ?? req.socket).destroy();
			},
			slash() {
				if (req.url !== '/mcp')
					return false;
				res.writeHead(message.params.arguments.status ?? 308, { location: message.params.arguments.to ?? '/mcp/' }).end('moved');
			},
			around() {
				res.writeHead(307, { location: `${req.url}x` }).end();
			},
		};
		if (!acts[name])
			return false;
		return acts[name]() !== false;
	}

	test('HTTP/2 where the server offers it, else HTTP/1.1; JSON and streams', async () => {
		assert.equal((await call('h2')).result.content[0].text, 'hello over 2.0');
		assert.equal((await call('h1')).result.content[0].text, 'hello over 1.1');
		for (const id of ['h2', 'h1'])
			assert.deepEqual((await client(id).call('stream')).all.map((m) => m.params?.data ?? m.result.content[0].text), ['one', 'two']);
	});

	test('connections are used again, also for calls at the same time', async () => {
		await call('h2');
		const before = s.h2.connections;
		for (let i = 0; i < 5; i++)
			await call('h2');
		assert.equal(s.h2.connections, before);
		const many = await Promise.all(Array.from({ length: 20 }, () => call('h2')));
		assert.ok(many.every((m) => m.result.content[0].text === 'hello over 2.0'));
	});

	test('whoever is not who was registered gets nothing', async () => {
		await refused('name', /certificate is for another name/);
		await refused('expired', /certificate has expired/);
		await refused('foreign', /is not trusted.*(self-signed|unable to get)/);
		await refused('old', /no TLS could be agreed on/);
		for (const id of ['name', 'expired', 'foreign', 'old'])
			assert.equal(s[id].seen.length, 0, id);
		assert.equal((await call('h2')).result.content[0].text, 'hello over 2.0');
	});

	test('a pinned key, and another one that the CA has signed as well', async () => {
		assert.equal((await call('pinned')).result.content[0].text, 'hello over 2.0');
		await refused('mispinned', /another key than those that are pinned/);
		assert.equal(s.mispinned.seen.length, 0);
	});

	test('a client certificate', async () => {
		assert.equal((await call('mtls')).result.content[0].text, 'hello over 2.0');
		assert.equal(s.mtls.calls.at(-1).peer, 'leaf');
	});

	test('redirects within the origin are followed, once executed', async () => {
		for (const id of ['evil', 'evil1']) {
			const server = s[id], before = server.executions;
			assert.match((await client(id).call('slash')).message.result.content[0].text, /^hello/);
			assert.equal(server.executions, before + 1);
			assert.equal(server.calls.at(-1).path, '/mcp/');
			assert.match((await client(id).call('slash', { status: 307, to: `https://localhost:${server.port}/else?a=b` })).message.result.content[0].text, /^hello/);
			assert.equal(server.calls.at(-1).path, '/else?a=b');
			await refused(id, /redirects too often/, 'around');
		}
	});

	test('redirects elsewhere are not', async () => {
		const to = async (status, location, what) => {
			const { message } = await client('evil').call('slash', { status, to: location });
			assert.ok(message.result.isError);
			assert.match(message.result.content[0].text, what);
			assert.doesNotMatch(message.result.content[0].text, /token=secret/);
		};
		await to(307, `https://localhost:${s.h2.port}/mcp?token=secret`, new RegExp(`redirects to https://localhost:${s.h2.port}, which is not`));
		await to(308, `http://localhost:${s.evil.port}/mcp`, /redirects to http:\/\/localhost/);
		await to(308, '//evil.example/x', /redirects to https:\/\/evil\.example:443/);
		await to(308, `https://user:token=secret@localhost:${s.evil.port}/mcp`, /redirects to https:\/\/localhost/);
		for (const status of [301, 302, 303])
			await to(status, '/mcp/', /redirects a call by a status that turns it into another/);
		await to(307, 'http://[', /no URL/);
		await to(307, 'javascript:alert(1)', /redirects/);
	});

	test('endless headers, floods, hangs, trickles and resets end in bounds', async () => {
		for (const id of ['evil', 'evil1']) {
			for (const [tool, what] of [['headers', /server evil/], ['flood', /larger than 16 MiB|too large/], ['hang', /cut after 2 seconds/], ['trickle', /cut after 2 seconds/],
				['endless_sse', /cut after 2 seconds/], ['comments', /cut after 2 seconds/], ['endless_event', /too large|cut after 2 seconds/], ['reset', /closed the connection|stream/i]])
				await refused(id, what, tool);
			assert.match((await call(id)).result.content[0].text, /^hello/);
		}
		for (const pid of agent.pids('gateway')) {
			const rss = Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
			assert.ok(rss < 300000, `${rss} kB`);
		}
	});

	test('a handshake that stalls ends, and holds nobody up', async () => {
		const sockets = new Set();
		const stall = net.createServer((socket) => {
			sockets.add(socket);
			socket.on('error', () => {});
		}).listen(0, '127.0.0.1');
		await once(stall, 'listening');
		try {
			agent.register(entry('stall', { port: stall.address().port }));
			assert.equal((await agent.zg(['reload'])).code, 0);
			const waits = refused('stall', /in time|cut after/, 'hang');
			await until(() => sockets.size > 0, 'the handshake');
			assert.equal((await call('h2')).result.content[0].text, 'hello over 2.0');
			await waits;
		} finally {
			for (const socket of sockets)
				socket.destroy();
			stall.close();
		}
	});

	test('credentials: bearer and header from files, anew with each reload, never the client\'s own', async () => {
		const server = await start(leaf), id = 'cred';
		secret(agent, 'token', 'first-secret-token\n');
		secret(agent, 'api', 'key-secret');
		const registered = entry(id, server, { auth: [{ bearer_file: 'token' }, { header: 'X-Api-Key', value_file: path.join(agent.dir, 'etc/servers/api') }] });
		agent.register(registered);
		assert.equal((await agent.zg(['reload'])).code, 0);
		const raw = client(id);
		raw.headers = { authorization: 'Bearer of-the-client', cookie: 'a=b', 'x-api-key': 'mine' };
		await raw.call('read_x');
		assert.equal(server.calls.at(-1).headers.authorization, 'Bearer first-secret-token');
		assert.equal(server.calls.at(-1).headers['x-api-key'], 'key-secret');
		assert.equal(server.calls.at(-1).headers.cookie, undefined);
		const port = server.calls.at(-1).remote;
		secret(agent, 'token', 'second-secret-token');
		assert.equal((await agent.zg(['reload'])).code, 0);
		await raw.call('read_x');
		assert.equal(server.calls.at(-1).headers.authorization, 'Bearer second-secret-token');
		assert.notEqual(server.calls.at(-1).remote, port, 'no connection serves two credentials');
		for (const [value, mode, what] of [['a\nb', 0o600, /not one line/], ['', 0o600, /empty/], ['good', 0o644, /others than root can read it/]]) {
			secret(agent, 'token', value, mode);
			const reload = await agent.zg(['reload']);
			assert.equal(reload.code, 1);
			assert.match(reload.stdout + reload.stderr, what);
			assert.match(reload.stdout + reload.stderr, /servers\/token/);
			await raw.call('read_x');
			assert.equal(server.calls.at(-1).headers.authorization, 'Bearer second-secret-token');
		}
		fs.rmSync(path.join(agent.dir, 'etc/servers/token'));
		assert.equal((await agent.zg(['reload'])).code, 1);
		agent.register({ ...registered, auth: undefined, passthrough: { authorization: true, reason: 'the server knows its users' } });
		assert.equal((await agent.zg(['reload'])).code, 0);
		await raw.call('read_x');
		assert.equal(server.calls.at(-1).headers.authorization, 'Bearer of-the-client');
		await agent.record((r) => /knows its users/.test(r.message ?? ''), 'the passthrough, in the audit');
		const told = agent.logText() + JSON.stringify(agent.records());
		assert.doesNotMatch(told, /secret-token|key-secret|of-the-client/);
	});
});

describe('https servers and the service\'s own files', needs(), () => {
	test('credentials of the service, and a CA for all servers', async (t) => {
		const ca = new Authority(), other = new Authority('other');
		const credentials = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-credentials-'));
		const good = await startTls(ca.issue(['DNS:localhost'])), foreign = await startTls(other.issue(['DNS:localhost'])), narrow = await startTls(ca.issue(['DNS:localhost']));
		let agent;
		t.after(async () => {
			await agent?.stop();
			await Promise.all([good, foreign, narrow].map((s) => s.close()));
			fs.rmSync(credentials, { recursive: true, force: true });
			ca.close();
			other.close();
		});
		const given = (value) => fs.writeFileSync(path.join(credentials, 'api.token'), value, { mode: 0o440 });
		const entry = (id, server, more) => ({ id, url: `https://localhost:${server.port}/mcp`, addresses: ['127.0.0.1'], tools: READS, ...more });
		given('service-token\n');
		agent = await startAgent({ policy: POLICY, workers: 1, more: `tls: {ca_file: ${ca.file}}\n`, env: { CREDENTIALS_DIRECTORY: credentials },
			servers: [entry('good', good, { auth: { bearer_file: 'credential:api.token' } }), entry('foreign', foreign, { ca_file: other.file }),
				entry('narrow', narrow, { ca_file: other.file })] });
		const inside = await agent.inside();
		const call = async (id) => (await new RawClient(inside, agent.url(id)).call('read_x')).message.result.content[0].text;
		assert.equal(await call('good'), 'hello over 2.0');
		assert.equal(good.calls.at(-1).headers.authorization, 'Bearer service-token');
		// an entry's own CA is instead of that for all
		assert.equal(await call('foreign'), 'hello over 2.0');
		assert.match(await call('narrow'), /is not trusted/);
		assert.equal(narrow.seen.length, 0);
		agent.register(entry('foreign', foreign));
		given('another-token');
		assert.equal((await agent.zg(['reload'])).code, 0);
		assert.match(await call('foreign'), /is not trusted/);
		assert.equal(await call('good'), 'hello over 2.0');
		assert.equal(good.calls.at(-1).headers.authorization, 'Bearer another-token');
		fs.rmSync(path.join(credentials, 'api.token'));
		const reload = await agent.zg(['reload']);
		assert.equal(reload.code, 1);
		assert.match(reload.stdout + reload.stderr, /api\.token/);
		assert.equal(await call('good'), 'hello over 2.0');
		assert.doesNotMatch(agent.logText() + JSON.stringify(agent.records()), /service-token|another-token/);
	});
});
