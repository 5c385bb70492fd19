// SPDX-License-Identifier: Apache-2.0
// auth.test.mjs - a listener as an OAuth protected resource: the SDK's clients
// find the authorization server through the gateway's metadata, log in, and are
// let in; every other token is not, and no token ever reaches a server.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { TOOLS, needs, startAgent } from './agent.mjs';
import { Base, freePort, startServer } from './servers.mjs';

const SCOPE = 'mcp:use';
const BOB = 'version: v1\nrules:\n  - id: alice-only\n    match:\n      labels:\n        mcp.server: "*"\n        mcp.subject: "0:alice"\n    decision: ALLOW\n';

// The least that a client needs: metadata, registration, consent that is always
// given, and tokens for the resource that was asked for (RFC 8707).
class AuthorizationServer extends Base {
	codes = new Map();
	asked = [];

	get issuer() {
		return `http://127.0.0.1:${this.port}`;
	}
	async start() {
		this.keys = await generateKeyPair('ES256', { extractable: true });
		return this.open((req, res) => this.handle(req, res).catch((e) => res.writeHead(500).end(String(e))));
	}
	async jwks() {
		return JSON.stringify({ keys: [{ ...await exportJWK(this.keys.publicKey), kid: 'one', alg: 'ES256', use: 'sig' }] });
	}
	token(claims = {}, { header = {}, key = this.keys.privateKey } = {}) {
		const now = Math.floor(Date.now() / 1000);
		const all = { iss: this.issuer, sub: 'alice', scope: SCOPE, iat: now, exp: now + 600, ...claims };
		return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'at+jwt', ...header }).sign(key);
	}
	async handle(req, res) {
		const url = new URL(req.url, this.issuer);
		const chunks = [];
		for await (const chunk of req)
			chunks.push(chunk);
		const body = Buffer.concat(chunks).toString();
		const json = (value, status = 200) => res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(value));
		this.asked.push(url.pathname);
		if (url.pathname === '/.well-known/oauth-authorization-server')
			return json({ issuer: this.issuer, authorization_endpoint: `${this.issuer}/authorize`, token_endpoint: `${this.issuer}/token`,
				registration_endpoint: `${this.issuer}/register`, response_types_supported: ['code'], code_challenge_methods_supported: ['S256'],
				grant_types_supported: ['authorization_code'], token_endpoint_auth_methods_supported: ['none'], scopes_supported: [SCOPE] });
		if (url.pathname === '/jwks')
			return res.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(await this.jwks());
		if (url.pathname === '/register')
			return json({ ...JSON.parse(body), client_id: randomUUID() }, 201);
		if (url.pathname === '/authorize') {
			const code = randomUUID(), q = url.searchParams;
			this.codes.set(code, { challenge: q.get('code_challenge'), resource: q.get('resource'), scope: q.get('scope') });
			const to = new URL(q.get('redirect_uri'));
			to.searchParams.set('code', code);
			if (q.has('state'))
				to.searchParams.set('state', q.get('state'));
			return res.writeHead(302, { location: to.href }).end();
		}
		if (url.pathname !== '/token')
			return res.writeHead(404).end();
		const form = new URLSearchParams(body), given = this.codes.get(form.get('code'));
		const verified = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url') === given?.challenge;
		if (!verified || form.get('resource') !== given.resource)
			return json({ error: 'invalid_grant' }, 400);
		return json({ access_token: await this.token({ aud: given.resource, scope: given.scope ?? '' }), token_type: 'Bearer', expires_in: 600, scope: given.scope });
	}
}

describe('a protected listener', needs(), () => {
	let agent, server, as, inside, port, url, resource;

	before(async () => {
		[server, as] = await Promise.all([startServer(), new AuthorizationServer().start()]);
		port = await freePort();
		const open = await freePort();
		const keys = fs.mkdtempSync('/tmp/zg-keys-');
		fs.writeFileSync(path.join(keys, 'keys.json'), await as.jwks());
		agent = await startAgent({
			policy: BOB, servers: [{ id: 'github', url: server.url(), risk_tags: ['prod'], tools: TOOLS }, { id: 'jira', url: server.url('[::1]'), tools: TOOLS }],
			allow: [{ cidr: '127.0.0.1/32', port: as.port }],
			listen: [`127.0.0.1:${open}`, `[::1]:${open}`, { address: `127.0.0.1:${port}`, auth: { resource: `http://127.0.0.1:${port}/`,
				issuers: [{ issuer: as.issuer, jwks_file: path.join(keys, 'keys.json') }], required_scopes: [SCOPE] } }],
		});
		agent.port = open;
		url = `http://127.0.0.1:${port}/github/mcp`;
		resource = url;
		inside = await agent.inside();
		after(() => fs.rmSync(keys, { recursive: true }));
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([server?.close(), as?.close()]);
	});

	const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } } };
	const post = (token, to = url) => inside.must('fetch', { url: to, body: initialize, headers: token ? { authorization: `Bearer ${token}` } : {} });

	test('its metadata say what it is and whose tokens it takes, at both places', async () => {
		const own = await inside.must('fetch', { url: `http://127.0.0.1:${port}/.well-known/oauth-protected-resource/github/mcp`, method: 'GET' });
		assert.equal(own.status, 200);
		assert.match(own.headers['content-type'], /^application\/json/);
		assert.deepEqual(JSON.parse(own.body), { resource, authorization_servers: [as.issuer], bearer_methods_supported: ['header'], scopes_supported: [SCOPE] });
		const root = await inside.must('fetch', { url: `http://127.0.0.1:${port}/.well-known/oauth-protected-resource`, method: 'GET' });
		assert.equal(JSON.parse(root.body).resource, `http://127.0.0.1:${port}/`);
		for (const [to, method, status] of [['/.well-known/oauth-protected-resource/nobody/mcp', 'GET', 404], ['/.well-known/oauth-protected-resource/github/mcp', 'POST', 405]])
			assert.equal((await inside.must('fetch', { url: `http://127.0.0.1:${port}${to}`, method, ...(method === 'POST' ? { body: {} } : {}) })).status, status);
		assert.equal((await inside.must('fetch', { url: `http://127.0.0.1:${agent.port}/.well-known/oauth-protected-resource`, method: 'GET' })).status, 404);
	});

	test('without a token: what to do, and no error', async () => {
		const { status, headers } = await post();
		assert.equal(status, 401);
		assert.equal(headers['www-authenticate'],
			`Bearer resource_metadata="http://127.0.0.1:${port}/.well-known/oauth-protected-resource/github/mcp", scope="${SCOPE}"`);
	});

	for (const sdk of [1, 2])
		test(`the SDK ${sdk}.x client finds the way, logs in and calls`, async () => {
			as.asked = [];
			const { server: who } = await inside.must('login', { url, sdk });
			assert.equal(who.name, 'fixture');
			assert.equal((await inside.tool('read_issue', { number: 1 })).content[0].text, 'issue 1: the build is slow');
			assert.deepEqual(['/register', '/authorize', '/token'].filter((step) => !as.asked.includes(step)), []);
			await inside.must('close');
			const { subject } = await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'read_issue' && r.subject);
			assert.equal(subject, '0:alice');
		});

	test('no token reaches the server', () => {
		assert.ok(server.requests.length > 0);
		for (const { headers } of server.requests)
			assert.equal(headers.authorization, undefined);
	});

	test('what is not for this server, not now, or not of this issuer is refused', async () => {
		const other = await generateKeyPair('ES256');
		const now = Math.floor(Date.now() / 1000);
		const unsigned = (claims) => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;
		const rows = {
			'for another server': await as.token({ aud: resource.replace('github', 'jira') }),
			'for the listener': await as.token({ aud: `http://127.0.0.1:${port}/` }),
			'for nobody': await as.token(),
			expired: await as.token({ aud: resource, exp: now - 120 }),
			'not valid yet': await as.token({ aud: resource, nbf: now + 300 }),
			'of another issuer': await as.token({ aud: resource, iss: 'https://evil.example' }),
			'of another key': await as.token({ aud: resource }, { key: other.privateKey }),
			'of another key, with its name': await as.token({ aud: resource }, { key: other.privateKey, header: { kid: 'two' } }),
			unsigned: unsigned({ iss: as.issuer, sub: 'alice', aud: resource, exp: now + 600, scope: SCOPE }),
			'no token': 'x',
			huge: `${await as.token({ aud: resource })}${'A'.repeat(9000)}`,
		};
		const arrived = server.requests.length;
		for (const [what, token] of Object.entries(rows)) {
			const { status, headers } = await post(token);
			assert.equal(status, 401, what);
			assert.match(headers['www-authenticate'], /^Bearer resource_metadata="[^"]+", error="invalid_token", error_description="[^"]+", scope="mcp:use"$/, what);
		}
		assert.equal(server.requests.length, arrived);
	});

	test('a scope that is not enough is told apart', async () => {
		const { status, headers } = await post(await as.token({ aud: resource, scope: 'mcp' }));
		assert.equal(status, 403);
		assert.match(headers['www-authenticate'], /error="insufficient_scope".*scope="mcp:use"/);
	});

	test('policy knows the subject, and a session is its own', async () => {
		const bob = await as.token({ aud: resource, sub: 'bob' });
		assert.match((await post(bob)).body, /denied/);
		const { status, headers } = await post(await as.token({ aud: resource }));
		assert.equal(status, 200);
		const list = (token) => inside.must('fetch', { url, body: { jsonrpc: '2.0', id: 2, method: 'tools/list' }, headers: {
			authorization: `Bearer ${token}`, 'mcp-session-id': headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' } });
		assert.equal((await list(bob)).status, 404, 'another subject does not have that session');
		const own = await list(await as.token({ aud: resource }));
		assert.equal(own.status, 200);
		assert.match(own.body, /"read_issue"/, 'a list holds what the subject may use');
	});

	test('a token is no substitute for attestation', async () => {
		const answer = await fetch(url, { method: 'POST', body: JSON.stringify(initialize), headers: {
			'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${await as.token({ aud: resource })}` } });
		assert.equal(answer.status, 403);
	});
});

describe('the keys of an issuer that is registered', needs(), () => {
	let agent, server, as, inside, url;

	before(async () => {
		[server, as] = await Promise.all([startServer(), new AuthorizationServer().start()]);
		const port = await freePort(), open = await freePort();
		url = `http://127.0.0.1:${port}/github/mcp`;
		agent = await startAgent({
			policy: BOB, servers: [{ id: 'github', url: server.url(), risk_tags: ['prod'], tools: TOOLS },
				{ id: 'idp', url: `http://127.0.0.1:${as.port}/jwks`, use: 'keys' }],
			listen: [`127.0.0.1:${open}`, { address: `127.0.0.1:${port}`, auth: { resource: `http://127.0.0.1:${port}/`,
				issuers: [{ issuer: as.issuer, server: 'idp' }], required_scopes: [SCOPE] } }],
		});
		agent.port = open;
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([server?.close(), as?.close()]);
	});

	const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } } };
	const post = (token, to = url) => inside.must('fetch', { url: to, body: initialize, headers: { authorization: `Bearer ${token}` } });
	const until = async (token, status) => {
		for (;;) { // one answer at a time: each comes from the gateway
			const answer = await post(token);
			if (answer.status === status)
				return answer;
			assert.ok([401, 503].includes(answer.status), `${answer.status} ${answer.body}`);
		}
	};

	test('are fetched from there, by the gateway, and let tokens in', async () => {
		const { server: from, message } = await agent.record((r) => r.kind === 'issuer.keys');
		assert.equal(from, 'idp');
		assert.match(message, /^new keys of an issuer were fetched from idp: \d+ bytes$/);
		await until(await as.token({ aud: url }), 200);
		assert.ok(as.asked.includes('/jwks'));
	});

	test('a key that nobody knows is looked for once in a while, not at the pace of tokens', async () => {
		const before = as.asked.filter((p) => p === '/jwks').length;
		const answers = await Promise.all(Array.from({ length: 20 }, async () => post(await as.token({ aud: url }, { header: { kid: 'unheard-of' } }))));
		assert.ok(answers.every(({ status }) => status === 401 || status === 503), JSON.stringify(answers.map((a) => a.status)));
		assert.ok(as.asked.filter((p) => p === '/jwks').length - before <= 2 + 1, 'at most one fetch of each worker');
	});

	test('it is no server: no call goes there, and no governed process is led there', async () => {
		const answer = await post(await as.token({ aud: url }), `http://127.0.0.1:${agent.port}/idp/mcp`);
		assert.match(answer.body, /may not use server 'idp'|is not registered|denied/);
		assert.equal(as.asked.filter((p) => p !== '/jwks').length, 0);
	});
});
