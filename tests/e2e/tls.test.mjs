// SPDX-License-Identifier: Apache-2.0
// tls.test.mjs - clients that dial https:// of a registered server: answered by
// the gateway under the local CA, without a word of configuration, by Node, curl
// and Python alike; and what is refused, and said, when something does not fit.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, startAgent, until } from './agent.mjs';
import { TYPE, startDns } from './dns.mjs';
import { makeCa } from './pki.mjs';
import { startServer } from './servers.mjs';

const NAME = 'mcp.tls.example', LATER = 'later.tls.example', PYTHON = '/usr/bin/python3';

const zone = (q) => /^[a-z]+\.tls\.example$/.test(q.name) && q.type === TYPE.A
	? { answer: [[q.name, 'A', '127.0.0.1', 60]] } : { authority: [['example', 'SOA', 'ns.example', 30]] };

const INIT = { jsonrpc: '2.0', id: 1, method: 'initialize',
	params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } } };
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

// What this machine has set is not what is tested here.
const SYSTEM = '/etc/ssl/certs/ca-certificates.crt';
for (const name of ['NODE_EXTRA_CA_CERTS', 'DENO_CERT', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'PIP_CERT',
	'AWS_CA_BUNDLE', 'CARGO_HTTP_CAINFO', 'NIX_SSL_CERT_FILE', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH'])
	delete process.env[name];

describe('https:// of a registered server', needs(), () => {
	let agent, dns, ca, named, literal, plain, inside;
	const url = (server, host = NAME) => server.url(host);
	const run = (file) => path.join(agent.dir, 'run', file);
	const rejected = (match, what) => agent.record((r) => r.kind === 'call.reject' && match(r), what);

	before(async () => {
		ca = makeCa();
		const identity = ca.server(`DNS:${NAME}`, `DNS:${LATER}`, 'IP:127.0.0.1');
		[named, literal, plain] = await Promise.all([startServer({ tls: identity }), startServer({ tls: identity, json: true }), startServer()]);
		dns = await startDns(zone);
		const base = { tools: TOOLS, risk_tags: ['prod'], ca_file: ca.file };
		agent = await startAgent({
			servers: [
				{ ...base, id: 'github', url: url(named), addresses: ['127.0.0.1'] },
				{ ...base, id: 'slack', url: url(literal, '127.0.0.1') },
				{ id: 'jira', url: plain.url(), tools: TOOLS },
			],
			allow: [NAME, LATER].map((host) => ({ host, port: 1, local: true })),
			more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n`,
		});
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([named, literal, plain, dns].map((s) => s?.close()));
		ca?.close();
	});

	test('an official client works as if the server itself answered', async () => {
		const { server } = await inside.must('connect', { url: url(named), client: 'a' });
		assert.equal(server.name, 'fixture');
		const { content } = await inside.tool('read_issue', { number: 7 }, { client: 'a' });
		assert.match(content[0].text, /issue 7/);
		const record = await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'read_issue' && r.server === 'github');
		assert.equal(record.transparent, 1);
		assert.equal(record.outcome, 'ok');
	});

	test('streams, progress and large results pass', async () => {
		await inside.must('connect', { url: url(named), client: 'b' });
		const { result, notes } = await inside.must('tool', { client: 'b', name: 'count_to', args: { n: 5 }, progress: true });
		assert.match(result.content[0].text, /counted to 5/);
		assert.equal(notes.length, 5);
		const big = await inside.tool('big', { bytes: 2000000 }, { client: 'b' });
		assert.equal(big.content[0].text.length, 2000000);
	});

	test('an address literal needs no server name', async () => {
		await inside.must('connect', { url: url(literal, '127.0.0.1'), client: 'c' });
		assert.match((await inside.tool('read_issue', { number: 8 }, { client: 'c' })).content[0].text, /issue 8/);
	});

	test('an unapproved write does not get through here either', async () => {
		const calls = named.executed.create_issue ?? 0;
		await inside.must('connect', { url: url(named), client: 'w' });
		const answer = await inside.do('tool', { client: 'w', name: 'create_issue', args: { title: 't' } });
		assert.ok(answer.error || answer.result.isError, JSON.stringify(answer));
		assert.equal(named.executed.create_issue ?? 0, calls);
	});

	test('the certificate is for this host, short-lived, and HTTP/1.1 is spoken', async () => {
		const answer = await inside.must('tls', { host: NAME, port: named.port, servername: NAME, alpn: ['h2', 'http/1.1'] });
		assert.equal(answer.names, `DNS:${NAME}`);
		assert.equal(answer.protocol, 'TLSv1.3');
		assert.equal(answer.alpn, 'http/1.1');
		assert.equal((await inside.must('tls', { host: NAME, port: named.port, servername: NAME, maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2');
	});

	test('a client of HTTP/2 alone, or of an old TLS, is told so', async () => {
		const h2 = await inside.do('tls', { host: NAME, port: named.port, servername: NAME, alpn: ['h2'] });
		assert.match(h2.error.code, /NO_APPLICATION_PROTOCOL/);
		const old = await inside.do('tls', { host: NAME, port: named.port, servername: NAME, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
		assert.match(old.error.code, /PROTOCOL_VERSION/);
		await rejected((r) => /handshake/.test(r.reason), 'of a failed handshake');
	});

	test('another server name is refused with the alert that says so, and recorded', async () => {
		const before = named.connections;
		const wrong = await inside.do('tls', { host: NAME, port: named.port, servername: 'evil.example', rejectUnauthorized: false });
		assert.match(wrong.error.code, /UNRECOGNIZED_NAME/);
		const record = await rejected((r) => /evil\.example/.test(r.reason));
		assert.equal(record.server, 'github');
		assert.equal(record.profile, 'agent');
		const none = await inside.do('tls', { host: NAME, port: named.port, servername: '', rejectUnauthorized: false });
		assert.match(none.error.code, /UNRECOGNIZED_NAME/);
		assert.equal(named.connections, before);
	});

	test('plain HTTP where the server speaks https, and the reverse', async () => {
		const answer = await inside.must('fetch', { url: url(named).replace('https', 'http'), body: INIT });
		assert.equal(answer.status, 400);
		assert.match(answer.body, /speaks https/);
		await rejected((r) => /speaks https/.test(r.reason));
		const tls = await inside.do('tls', { host: '127.0.0.1', port: plain.port, rejectUnauthorized: false });
		assert.match(tls.error.code, /HANDSHAKE_FAILURE/);
		assert.equal((await rejected((r) => /speaks plain http/.test(r.reason))).server, 'jira');
	});

	test('a client that does not believe the CA is recorded', async () => {
		const env = Object.fromEntries(['SSL_CERT_FILE', 'CURL_CA_BUNDLE'].map((name) => [name, SYSTEM]));
		const { code } = await inside.must('command', { argv: ['curl', '-s', url(named)], env });
		assert.equal(code, 60);
		await rejected((r) => /unknown ca/i.test(r.reason));
	});

	const json = JSON.stringify(INIT);
	test('curl, without an option', { skip: !fs.existsSync('/usr/bin/curl') }, async () => {
		const { code, stdout, stderr } = await inside.must('command', { argv: ['curl', '-sS', '--max-time', '10', ...Object.entries(HEADERS).flatMap(([k, v]) => ['-H', `${k}: ${v}`]), '-d', json, url(literal, '127.0.0.1')] });
		assert.equal(code, 0, stderr);
		assert.match(stdout, /"serverInfo"/);
	});

	test('Python, without an option', { skip: !fs.existsSync(PYTHON) }, async () => {
		const script = `import urllib.request as u
r = u.Request(${JSON.stringify(url(literal, '127.0.0.1'))}, data=${JSON.stringify(json)}.encode(), headers=${JSON.stringify(HEADERS)})
print(u.urlopen(r, timeout=10).read().decode())`;
		const { code, stdout, stderr } = await inside.must('command', { argv: [PYTHON, '-c', script] });
		assert.equal(code, 0, stderr);
		assert.match(stdout, /"serverInfo"/);
	});

	test('the CA is good for the registered hosts alone, and its key stays in the parent', async () => {
		const pem = fs.readFileSync(run('ca.pem'), 'utf8');
		const cert = new X509Certificate(pem);
		assert.ok(cert.ca);
		assert.match(fs.readFileSync(run('ca-bundle.pem'), 'utf8'), new RegExp(pem.split('\n')[5].replaceAll('+', '\\+')));
		for (const file of ['ca.pem', 'ca-bundle.pem'])
			assert.equal(fs.statSync(run(file)).mode & 0o777, 0o644);
		const key = path.join(agent.dir, 'state/keys/ca.key');
		assert.equal(fs.statSync(key).mode & 0o777, 0o600);
		assert.equal(fs.statSync(key).uid, 0);
		assert.equal((await inside.must('command', { argv: ['cat', key] })).code, 1);
	});

	test('variables that the user has set stay, and are not left to fail silently', async () => {
		const mine = path.join(agent.dir, 'mine.pem');
		fs.copyFileSync(ca.file, mine);
		process.env.SSL_CERT_FILE = mine;
		const { stdout, stderr } = await agent.zg(['run', '--', 'env']).finally(() => delete process.env.SSL_CERT_FILE);
		assert.match(stdout, new RegExp(`^SSL_CERT_FILE=${mine}$`, 'm'));
		assert.match(stdout, new RegExp(`^NODE_EXTRA_CA_CERTS=${run('ca.pem')}$`, 'm'));
		assert.match(stdout, new RegExp(`^GIT_SSL_CAINFO=${run('ca-bundle.pem')}$`, 'm'));
		assert.match(stderr, /SSL_CERT_FILE is set and stays; .*mine\.pem lacks .*ca\.pem/);
		assert.doesNotMatch(stderr, /GIT_SSL_CAINFO/);
		fs.appendFileSync(mine, fs.readFileSync(run('ca.pem')));
		process.env.SSL_CERT_FILE = mine;
		const silent = await agent.zg(['run', '--', 'true']).finally(() => delete process.env.SSL_CERT_FILE);
		assert.doesNotMatch(silent.stderr, /SSL_CERT_FILE/);
	});

	test('a variable that says what the system says anyway is replaced', { skip: !fs.existsSync(SYSTEM) }, async () => {
		process.env.PIP_CERT = process.env.NODE_EXTRA_CA_CERTS = SYSTEM;
		const { stdout, stderr } = await agent.zg(['run', '--', 'env']).finally(() => {
			delete process.env.PIP_CERT;
			delete process.env.NODE_EXTRA_CA_CERTS;
		});
		for (const name of ['PIP_CERT', 'NODE_EXTRA_CA_CERTS'])
			assert.match(stdout, new RegExp(`^${name}=${run('ca-bundle.pem')}$`, 'm'));
		assert.doesNotMatch(stderr, /is set and stays/);
	});

	test('workers that start anew answer too, and a reload adds hosts while older clients go on', async () => {
		await agent.kill('gateway');
		const fresh = () => inside.do('get', { url: url(literal, '127.0.0.1'), method: 'POST', headers: HEADERS, body: json });
		await until(async () => (await fresh()).status === 200, 'the gateway to answer again');
		const later = await startServer({ tls: ca.server(`DNS:${LATER}`) });
		try {
			const was = fs.readFileSync(run('ca.pem'), 'utf8');
			agent.register({ id: 'snowflake', url: later.url(LATER), addresses: ['127.0.0.1'], tools: TOOLS, ca_file: ca.file });
			assert.equal((await agent.zg(['reload'])).code, 0);
			assert.notEqual(fs.readFileSync(run('ca.pem'), 'utf8'), was);
			await until(async () => (await fresh()).status === 200, 'a client with the older CA to be served');
			const newer = await agent.inside();
			await newer.must('connect', { url: later.url(LATER) });
			assert.match((await newer.tool('read_issue', { number: 9 })).content[0].text, /issue 9/);
			const older = await inside.do('get', { url: later.url(LATER), method: 'POST', headers: HEADERS, body: json });
			assert.ok(older.error, 'what it loaded does not hold for a new host');
			await newer.end();
		} finally {
			await later.close();
		}
	});
});

test('where two servers share an address, the name in TLS says which is meant', needs(), async (t) => {
	const ca = makeCa(), names = { github: 'one.tls.example', slack: 'two.tls.example' };
	const server = await startServer({ tls: ca.server(...Object.values(names).map((n) => `DNS:${n}`)) });
	const dns = await startDns(zone);
	const agent = await startAgent({ more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n`,
		servers: Object.entries(names).map(([id, host]) => ({ id, url: server.url(host), tools: TOOLS, risk_tags: ['prod'], ca_file: ca.file, local: true })) });
	t.after(async () => {
		await agent.stop();
		await Promise.all([server.close(), dns.close()]);
		ca.close();
	});
	const inside = await agent.inside();
	for (const [id, host] of Object.entries(names)) {
		await until(async () => !(await inside.do('connect', { url: server.url(host), client: id })).error, `${host} to be known`);
		assert.match((await inside.tool('read_issue', { number: 3 }, { client: id })).content[0].text, /issue 3/);
		const record = await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'read_issue' && r.server === id);
		assert.equal(record.outcome, 'ok');
	}
});

test('without an https server nothing is set', needs(), async (t) => {
	const server = await startServer();
	const agent = await startAgent({ servers: [{ id: 'github', url: server.url(), tools: TOOLS }] });
	t.after(async () => {
		await agent.stop();
		await server.close();
	});
	const { stdout } = await agent.zg(['run', '--', 'env']);
	assert.doesNotMatch(stdout, /ca\.pem|ca-bundle\.pem/);
	assert.ok(!fs.existsSync(path.join(agent.dir, 'run/ca.pem')));
});
