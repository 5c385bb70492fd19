// SPDX-License-Identifier: Apache-2.0
// sni.test.mjs - TLS that a profile passes on by its server name: the right name
// reaches the real server untouched, and nothing else arrives there at all.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';
import { TYPE, startDns } from './dns.mjs';
import { makeCa } from './pki.mjs';

const HELLOS = path.join(import.meta.dirname, '../fuzz/corpus/client_hello');
const MANY = 10 * 1024 * 1024;
const ZONE = { 'good.tls.example': '127.0.3.1', 'twin.tls.example': '127.0.3.1', 'other.tls.example': '127.0.3.2', 'plain.tls.example': '127.0.3.3' };

function zone(q) {
	const value = ZONE[q.name];
	return value && q.type === TYPE.A ? { answer: [[q.name, 'A', value, 60]] } : { authority: [['example', 'SOA', 'ns.example', 30]] };
}

// Echoes what it hears, and counts connections before TLS has begun.
async function startEcho(identity) {
	const echo = { connections: 0, server: tls.createServer({ ...identity, allowHalfOpen: true }, (socket) => {
		socket.pipe(socket);
		socket.on('error', () => {});
	}) };
	echo.server.on('connection', () => { echo.connections++; });
	echo.server.on('tlsClientError', () => {});
	echo.server.listen(0, '0.0.0.0');
	await once(echo.server, 'listening');
	echo.port = echo.server.address().port;
	return echo;
}

describe('TLS passed on by its server name', needs(), () => {
	let agent, dns, ca, echo, inside;
	const port = () => echo.port;
	const dial = (servername, more = {}) => inside.do('tls', { host: '127.0.3.1', port: port(), servername, ca: ca.pem, ...more });
	const denied = (match) => agent.record((r) => r.kind === 'tls.deny' && match(r));
	// reset, and the server has not even seen a connection
	async function refused(attempt, match) {
		const before = echo.connections;
		const answer = await attempt();
		assert.match(answer.error?.code ?? 'no error', /ECONNRESET|EPIPE/, JSON.stringify(answer));
		const record = await denied(match);
		assert.equal(record.decision, 'DENY');
		assert.equal(record.profile, 'agent');
		assert.match(record.cgroup, /zerogate\.slice\/run-/);
		assert.equal(echo.connections, before);
	}

	before(async () => {
		ca = makeCa();
		echo = await startEcho(ca.server('DNS:good.tls.example', 'DNS:twin.tls.example', 'DNS:other.tls.example'));
		dns = await startDns(zone);
		agent = await startAgent({
			allow: [...['good', 'twin', 'other'].map((n) => ({ host: `${n}.tls.example`, port: echo.port, local: true, tls: true })),
				{ host: 'plain.tls.example', port: echo.port, local: true }],
			more: `    tls: {sni: verify}\ndns: {upstream: ["127.0.0.1:${dns.port}"]}\n`,
		});
		inside = await agent.inside();
		for (const name of Object.keys(ZONE))
			await inside.must('lookup', { name, family: 4 });
	});
	after(async () => {
		await agent?.stop();
		await dns?.close();
		echo?.server.close();
		ca?.close();
	});

	test('the right name reaches the real server, and 10 MB are the same both ways', async () => {
		const answer = await inside.must('tls', { host: 'good.tls.example', port: port(), servername: 'good.tls.example', ca: ca.pem, bytes: MANY });
		assert.equal(answer.got, MANY);
		assert.ok(answer.same, 'what came back is what was sent');
		assert.ok(answer.ended, 'the server ended it in good order');
		assert.match(answer.names, /DNS:good\.tls\.example/, 'the real server\'s certificate');
		const record = await agent.record((r) => r.kind === 'tls.pass' && r.names === 'good.tls.example');
		assert.equal(record.outcome, 'ok');
		assert.ok(record.sent_bytes > MANY && record.received_bytes > MANY, 'TLS included');
		assert.match(record.cgroup, /zerogate\.slice\/run-/);
		assert.equal(record.port, port());
		await agent.record((r) => r.kind === 'name.use' && /good\.tls\.example/.test(r.names));
	});

	test('many at once', async () => {
		const answers = await Promise.all(Array.from({ length: 20 }, () => inside.must('tls', { host: 'good.tls.example', port: port(),
			servername: 'good.tls.example', ca: ca.pem, bytes: 200000 })));
		assert.ok(answers.every((a) => a.same && a.got === 200000));
	});

	test('another name of the same address is as good', async () => {
		assert.ok((await inside.must('tls', { host: '127.0.3.1', port: port(), servername: 'twin.tls.example', ca: ca.pem, bytes: 10 })).same);
	});

	test('an allowed name that stands for another address', () =>
		refused(() => dial('other.tls.example'), (r) => r.names === 'other.tls.example'));

	test('a name that is not allowed', () =>
		refused(() => dial('evil.example', { rejectUnauthorized: false }), (r) => r.names === 'evil.example'));

	test('a name that is allowed, but not as TLS', () =>
		refused(() => dial('plain.tls.example', { rejectUnauthorized: false }), (r) => r.names === 'plain.tls.example'));

	test('no name', () =>
		refused(() => dial('', { rejectUnauthorized: false }), (r) => /names no server/.test(r.reason)));

	test('no TLS', () =>
		refused(() => inside.do('raw', { host: '127.0.3.1', port: port(), bytes: 'GET / HTTP/1.1\r\nHost: good.tls.example\r\n\r\n' }), (r) => /not TLS/.test(r.reason)));

	test('an encrypted ClientHello, real or not', async () => {
		const bytes = fs.readFileSync(path.join(HELLOS, 'ech_good')).toString('latin1');
		await refused(() => inside.do('raw', { host: '127.0.3.1', port: port(), bytes }), (r) => /ECH/.test(r.reason));
	});

	test('a hello that never ends is not waited for', async () => {
		const before = echo.connections;
		const answer = await inside.do('raw', { host: '127.0.3.1', port: port(), bytes: '\x16\x03\x01\x02\x00\x01' });
		assert.equal(answer.error?.code, 'ECONNRESET');
		await denied((r) => /in time/.test(r.reason));
		assert.equal(echo.connections, before);
	});

	test('a hello in many pieces is read all the same', async () => {
		const before = echo.connections;
		const hello = fs.readFileSync(path.join(HELLOS, 'openssl_good'));
		const name = 'pieces';
		await inside.must('open', { name, host: '127.0.3.1', port: port() });
		for (let at = 0; at < hello.length; at += 40)
			await inside.must('send', { name, text: hello.subarray(at, at + 40).toString('latin1'), encoding: 'latin1' });
		await until(() => echo.connections > before, 'the server to be called');
		await until(async () => (await inside.must('received', { name })).text.startsWith('\x16'), 'its answer');
	});

	test('what is not TLS is allowed as it was, and by no other port', async () => {
		const before = echo.connections;
		assert.ok((await inside.do('dial', { host: '127.0.3.3', port: port() })).connected);
		await until(() => echo.connections > before, 'the connection');
		assert.equal((await inside.do('dial', { host: '127.0.3.1', port: dns.port })).error?.code, 'EPERM');
	});

	test('curl goes through, and is refused by another name', { skip: !fs.existsSync('/usr/bin/curl') }, async () => {
		const to = `good.tls.example:${port()}:127.0.3.1`, wrong = `other.tls.example:${port()}:127.0.3.1`;
		const curl = (resolve, name) => inside.must('command', { argv: ['curl', '-sv', '--max-time', '5', '--cacert', ca.file, '--resolve', resolve, `telnet://${name}:${port()}`.replace('telnet', 'https')] });
		assert.match((await curl(to, 'good.tls.example')).stderr, /SSL certificate verify ok/);
		assert.equal((await curl(wrong, 'other.tls.example')).code, 35);
	});

	test('a server that is not there is a reset, and recorded', async () => {
		await new Promise((done) => {
			echo.server.close(done);
			echo.server.closeAllConnections?.();
			for (const s of echo.sockets ?? [])
				s.destroy();
			done();
		});
		const answer = await dial('good.tls.example');
		assert.match(answer.error?.code, /ECONNRESET|EPIPE/);
		await agent.record((r) => r.kind === 'tls.pass' && r.outcome === 'upstream_error');
	});

});
