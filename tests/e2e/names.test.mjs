// SPDX-License-Identifier: Apache-2.0
// names.test.mjs - host names from a workload: what may be asked, what is
// answered, and what an answer opens and for how long. The upstream server is
// the test's own, and lies where the test says so.
import assert from 'node:assert/strict';
import net from 'node:net';
import fs from 'node:fs';
import os from 'node:os';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until, within } from './agent.mjs';
import { RCODE, TYPE, encodeName, parse, query, startDns } from './dns.mjs';
import { startSink } from './servers.mjs';

const NOTHING = [['example', 'SOA', 'ns.example', 30]];
const SERVER = '192.0.2.53'; // any: it is never reached

// An answer of n addresses below 127.0.0.0/8
const many = (name, n, ttl) => ({ answer: Array.from({ length: n }, (_, i) => [name, 'A', `127.8.${i >> 8}.${i & 255}`, ttl]) });

const ZONE = {
	'api.test.example': { A: '127.0.0.5', AAAA: '::1', ttl: 3600 },
	'short.test.example': { A: '127.0.0.6', ttl: 1 },
	'stays.test.example': { A: '127.0.0.7', ttl: 1 },
	'meta.test.example': { A: '169.254.169.254' },
	'inside.test.example': { A: '10.1.2.3' },
	'public.far.example': { A: '127.0.0.9' },
	'db.corp.test.example': { A: '127.0.0.10' },
	'dup.test.example': { A: '127.0.0.5', ttl: 3600 },
};

function zone(q, over) {
	const name = q.name, named = (type, ...rows) => q.type === TYPE[type] ? { answer: rows } : { authority: NOTHING };
	switch (name) {
	case 'alias.test.example': // a chain, with records of others between
		return named('A', ['unasked.example', 'A', '127.0.0.66'], ['alias.test.example', 'CNAME', 'one.cdn.example'],
			['one.cdn.example', 'CNAME', 'two.cdn.example'], ['two.cdn.example', 'A', '127.0.0.8']);
	case 'cloak.test.example':
		return named('A', ['cloak.test.example', 'CNAME', 'in.cdn.example'], ['in.cdn.example', 'A', '169.254.169.254']);
	case 'loop.test.example':
		return named('A', ['loop.test.example', 'CNAME', 'pool.cdn.example'], ['pool.cdn.example', 'CNAME', 'loop.test.example']);
	case 'long.test.example':
		return named('A', ...Array.from({ length: 9 }, (_, i) => [i ? `c${i}.cdn.example` : name, 'CNAME', `c${i + 1}.cdn.example`]), ['c9.cdn.example', 'A', '127.0.0.8']);
	case 'big.test.example':
		return over === 'udp' ? { tc: true } : q.type === TYPE.A ? many(name, 30, 60) : { authority: NOTHING };
	case 'spoof.test.example': // the wrong id first, the right answer behind it
		return { id: q.message.readUInt16BE(0) ^ 1, answer: [[name, 'A', '127.0.0.66']], then: q.type === TYPE.A ? { answer: [[name, 'A', '127.0.0.12']] } : { authority: NOTHING } };
	case 'other.test.example': // another question's answer first
		return { question: 'evil.example', answer: [['evil.example', 'A', '127.0.0.66']], then: q.type === TYPE.A ? { answer: [[name, 'A', '127.0.0.13']] } : { authority: NOTHING } };
	case 'fails.test.example':
		return { rcode: RCODE.SERVFAIL };
	case 'slow.test.example':
		return { delay: 300, ...named('A', [name, 'A', '127.0.0.14']) };
	}
	const known = ZONE[name] ?? (/^n\d+\.wild\.example$/.test(name) ? { A: `127.9.${name.match(/\d+/)[0] >> 8}.${name.match(/\d+/)[0] & 255}`, ttl: 3600 } : undefined);
	if (!known)
		return { rcode: RCODE.NXDOMAIN, authority: NOTHING };
	const type = Object.keys(TYPE).find((t) => TYPE[t] === q.type);
	return known[type] ? { answer: [[name, type, known[type], known.ttl ?? 60]] } : { authority: NOTHING };
}

// A port that echoes on all of 127.0.0.0/8 and counts who came
async function startEcho() {
	const server = net.createServer((socket) => {
		server.count++;
		socket.on('data', (b) => socket.write(b));
		socket.on('error', () => {});
	});
	server.count = 0;
	await new Promise((done) => server.listen(0, '0.0.0.0', done));
	return { port: server.address().port, get count() { return server.count; }, close: () => new Promise((done) => {
		server.close(done);
		server.closeAllConnections?.();
		server.unref();
		done();
	}) };
}

// Asks as fast as it is answered, until it was refused often enough: how often
// it was answered with each code, and how long that took.
const FLOOD = `const socket = require('dgram').createSocket('udp4'), question = Buffer.from(process.argv[1], 'base64');
const started = performance.now(), codes = {};
let last = started;
const end = () => { console.log(JSON.stringify({ codes, seconds: (performance.now() - started) / 1000 })); process.exit(); };
socket.on('message', (m) => {
	last = performance.now();
	codes[m[3] & 15] = (codes[m[3] & 15] ?? 0) + 1;
	codes[2] >= 1000 || last - started > 300000 ? end() : socket.send(question);
});
const more = () => { for (let i = 0; i < 32; i++) socket.send(question); };
socket.on('error', () => {});
socket.connect(53, '192.0.2.53', () => {
	more();
	setInterval(() => performance.now() - last > 500 && more(), 100); // what a full socket lost
});`;

describe('host names, from a workload', needs(), () => {
	let agent, dns, echo, inside;
	const allow = () => [
		{ host: 'api.test.example', port: echo.port, local: true },
		{ host: 'dup.test.example', port: echo.port, local: true },
		...['short', 'stays', 'alias', 'spoof', 'other', 'big', 'slow', 'cloak', 'loop', 'long', 'meta'].map((n) => ({ host: `${n}.test.example`, port: echo.port, local: true })),
		...['inside', 'fails', 'gone'].map((n) => ({ host: `${n}.test.example`, port: echo.port })),
		{ host: 'db.corp.test.example', port: echo.port, local: true },
		{ host: '*.far.example', port: echo.port, local: true },
		{ host: '*.cloudflare-dns.com', port: 443 },
		{ host: '*.wild.example', port: echo.port, local: true },
	];
	// Whoever asks on a busy machine may be told that the upstream server, which is this
	// process, did not answer in time. What is refused for another reason stays refused.
	const sure = async (verb, params, who = inside) => {
		for (let tries = 0; ; tries++) {
			const answer = await who.must(verb, { host: SERVER, ...params });
			if (Buffer.from(answer.bytes, 'base64')[3] % 16 !== RCODE.SERVFAIL || tries === 4)
				return answer;
		}
	};
	const ask = async (name, type = 'A', more = {}) => parse(Buffer.from((await sure('dns', { bytes: query(name, type, more).toString('base64'), ...more.how })).bytes, 'base64'));
	const values = (answer, type = TYPE.A) => answer.records.filter((r) => r.section === 1 && r.type === type).map((r) => r.value);
	const dial = (host) => inside.do('dial', { host, port: echo.port });
	const refused = async (host) => assert.equal((await dial(host)).error?.code, 'EPERM', host);

	before(async () => {
		dns = await startDns(zone);
		echo = await startEcho();
		const other = JSON.stringify([{ host: 'api.test.example', port: echo.port, local: true }]);
		agent = await startAgent({ allow: allow(), more: `  other:
    cgroups: ["other.slice"]
    allow: ${other}
dns: {upstream: ["127.0.0.1:${dns.port}"], ttl_min_sec: 0, grace_sec: 1}\n` });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await dns?.close();
		await echo?.close();
	});

	test('an allowed name is resolved, its address is reached by that and not before', async () => {
		await refused('127.0.0.5');
		assert.deepEqual(values(await ask('api.test.example')), ['127.0.0.5']);
		assert.equal((await dial('127.0.0.5')).remote, `127.0.0.5 ${echo.port}`);
		assert.equal((await inside.do('dial', { host: '127.0.0.5', port: dns.port })).error?.code, 'EPERM', 'another port');
		const record = await agent.record((r) => r.kind === 'name.resolve' && r.names === 'api.test.example');
		assert.equal(record.address, '127.0.0.5');
	});

	test('the record of a connection names every name that its address stands for', async () => {
		await ask('dup.test.example');
		await ask('api.test.example');
		const worker = await agent.inside();
		await worker.must('dial', { host: '127.0.0.5', port: echo.port });
		const record = await agent.record((r) => r.kind === 'name.use' && /dup/.test(r.names));
		assert.deepEqual(record.names.split(',').sort(), ['api.test.example', 'dup.test.example']);
	});

	for (const [how, params] of Object.entries({ 'UDP, unconnected': {}, 'UDP, connected': { connected: true }, 'UDP over IPv6': { host: '2001:db8::53' } }))
		test(`whatever server is asked (${how}), it seems to answer itself`, async () => {
			const host = params.host ?? SERVER;
			const { from, peer, bytes } = await sure('dns', { host, bytes: query('api.test.example', 'A').toString('base64'), ...params });
			assert.equal(from, `${host} 53`);
			assert.equal(peer ?? from, `${host} 53`);
			assert.deepEqual(values(parse(Buffer.from(bytes, 'base64'))), ['127.0.0.5']);
		});

	test('over TCP as well', async () => {
		const { bytes, peer } = await sure('dnstcp', { bytes: query('api.test.example', 'A').toString('base64') });
		assert.equal(peer, `${SERVER} 53`);
		assert.deepEqual(values(parse(Buffer.from(bytes, 'base64'))), ['127.0.0.5']);
	});

	test('the upstream server itself is out of reach', async () => {
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: dns.port })).error?.code, 'EPERM');
		assert.equal((await inside.do('udp', { host: '127.0.0.1', port: dns.port })).error?.code, 'EPERM');
	});

	test('real resolvers: getent (glibc), Node, c-ares, Python, dig', async () => {
		const ok = async (argv, pattern) => {
			const { code, stdout, stderr } = await inside.must('command', { argv });
			assert.equal(code, 0, stderr + stdout);
			assert.match(stdout, pattern);
		};
		await ok(['getent', 'ahostsv4', 'api.test.example'], /^127\.0\.0\.5\s+STREAM/);
		assert.ok((await inside.must('lookup', { name: 'api.test.example' })).addresses.some((a) => a.address === '127.0.0.5'));
		assert.deepEqual((await inside.must('resolve', { name: 'api.test.example' })).addresses, ['127.0.0.5']);
		if (fs.existsSync('/usr/bin/python3'))
			await ok(['/usr/bin/python3', '-c', 'import socket; print(socket.getaddrinfo("api.test.example", 1, socket.AF_INET)[0][4][0])'], /127\.0\.0\.5/);
		if (fs.existsSync('/usr/bin/dig'))
			await ok(['dig', '+short', '+tries=10', '@198.51.100.1', 'api.test.example'], /127\.0\.0\.5/);
	});

	test('happy eyeballs: a name of both families whose IPv6 side is down', async () => {
		const ways = [[agent.node, '-e', `const s = require('net').connect({ host: 'api.test.example', port: ${echo.port}, autoSelectFamily: true }, () => s.write('race'));
s.on('data', (b) => { console.log(String(b)); s.destroy(); }); s.on('error', (e) => console.log(e));`],
		['/usr/bin/python3', '-c', `import asyncio
async def main():
    reader, writer = await asyncio.open_connection('api.test.example', ${echo.port}, happy_eyeballs_delay=0.25)
    writer.write(b'race'); print((await reader.readexactly(4)).decode())
asyncio.run(main())`]];
		for (const argv of ways) {
			const { stdout, stderr } = await inside.must('command', { argv });
			assert.equal(stdout, 'race\n', stderr);
		}
	});

	test('AAAA', async () => {
		assert.deepEqual(values(await ask('api.test.example', 'AAAA'), TYPE.AAAA), ['00000000000000000000000000000001']);
	});

	test('a name that is not allowed does not exist, is not asked for, and is recorded', async () => {
		const answer = await ask('evil.example', 'A', { edns: 1232 });
		assert.equal(answer.rcode, RCODE.NXDOMAIN);
		assert.equal(answer.edns.data.readUInt16BE(4), 18, 'RFC 8914: prohibited');
		assert.equal(dns.asked('evil.example').length, 0);
		assert.equal((await inside.do('lookup', { name: 'evil.example' })).error?.code, 'ENOTFOUND');
		const record = await agent.record((r) => r.kind === 'name.refuse' && r.names === 'evil.example');
		assert.equal(record.decision, 'DENY');
		await refused('127.0.0.66');
	});

	test('a search list goes on to the domain that has the name', async () => {
		const env = { LOCALDOMAIN: 'nowhere.example corp.test.example', RES_OPTIONS: 'ndots:2' };
		const { code, stdout } = await inside.must('command', { argv: ['getent', 'ahostsv4', 'db'], env });
		assert.equal(code, 0);
		assert.match(stdout, /127\.0\.0\.10/);
	});

	test('a chain of aliases is followed from the question, and records of others are left out', async () => {
		const answer = await ask('alias.test.example');
		assert.deepEqual(values(answer), ['127.0.0.8']);
		assert.deepEqual(values(answer, TYPE.CNAME), ['one.cdn.example', 'two.cdn.example']);
		assert.ok((await dial('127.0.0.8')).connected);
		await refused('127.0.0.66');
	});

	for (const name of ['loop.test.example', 'long.test.example'])
		test(`${name}: a chain without an end is a failure`, async () => assert.equal((await ask(name)).rcode, RCODE.SERVFAIL));

	for (const name of ['meta.test.example', 'cloak.test.example', 'inside.test.example'])
		test(`${name}: stands for an address that it must not have`, async () => {
			const answer = await ask(name);
			assert.equal(answer.rcode, RCODE.SERVFAIL);
			assert.deepEqual(answer.records, []);
			await agent.record((r) => r.kind === 'name.refuse' && r.names === name);
			await refused('169.254.169.254');
			await refused('10.1.2.3');
		});

	test('wildcards: what is below, not the name itself, and no DNS over HTTPS service', async () => {
		assert.deepEqual(values(await ask('public.far.example')), ['127.0.0.9']);
		assert.equal((await ask('far.example')).rcode, RCODE.NXDOMAIN);
		assert.equal((await ask('mozilla.cloudflare-dns.com')).rcode, RCODE.NXDOMAIN);
		assert.match((await agent.record((r) => r.names === 'mozilla.cloudflare-dns.com')).reason, /HTTPS/);
		assert.equal((await ask('public.far.example.evil.example')).rcode, RCODE.NXDOMAIN);
	});

	test('only addresses are answered: no HTTPS records, no text, no pointers', async () => {
		for (const type of ['HTTPS', 'TXT', 'PTR', 64]) {
			const answer = await ask('api.test.example', type);
			assert.equal(answer.rcode, RCODE.NOERROR);
			assert.deepEqual(answer.records, []);
		}
		assert.equal((await ask('api.test.example', 'ANY')).rcode, RCODE.REFUSED);
		assert.equal((await ask('api.test.example', 'TXT', { cls: 3 })).rcode, RCODE.REFUSED);
		assert.ok(dns.asked('api.test.example').every((q) => q.type === TYPE.A || q.type === TYPE.AAAA));
	});

	test('negative answers pass, with the word of the zone', async () => {
		const gone = await ask('gone.test.example');
		assert.equal(gone.rcode, RCODE.NXDOMAIN);
		assert.equal(gone.records[0].type, TYPE.SOA);
		const none = await ask('alias.test.example', 'AAAA');
		assert.equal(none.rcode, RCODE.NOERROR);
		assert.equal(none.records[0].type, TYPE.SOA);
	});

	test('a forged answer is passed over for the true one', async () => {
		assert.deepEqual(values(await ask('spoof.test.example')), ['127.0.0.12']);
		assert.deepEqual(values(await ask('other.test.example')), ['127.0.0.13']);
		await refused('127.0.0.66');
	});

	test('a server that fails', async () => assert.equal((await ask('fails.test.example')).rcode, RCODE.SERVFAIL));

	test('an answer that was cut is asked for again over TCP; what is too long for a client is cut', async () => {
		const small = await ask('big.test.example');
		assert.ok(small.tc);
		assert.deepEqual(small.records, []);
		assert.equal(values(await ask('big.test.example', 'A', { edns: 1232 })).length, 30);
		assert.ok(dns.asked('big.test.example').some((q) => q.over === 'tcp'));
		const whole = await sure('dnstcp', { bytes: query('big.test.example', 'A').toString('base64') });
		assert.equal(values(parse(Buffer.from(whole.bytes, 'base64'))).length, 30);
		assert.ok((await dial('127.8.0.29')).connected);
	});

	test('odd questions: NUL and other bytes, long names, pointers, two questions, rubbish', async () => {
		const raw = (...labels) => Buffer.concat([...labels.map((l) => Buffer.concat([Buffer.from([l.length]), Buffer.from(l, 'latin1')])), Buffer.from([0])]);
		for (const labels of [['api\0evil', 'test', 'example'], ['api.test', 'example'], ['a b', 'test', 'example'], ['-api', 'test', 'example']])
			assert.equal((await ask('', 'A', { raw: raw(...labels) })).rcode, RCODE.NXDOMAIN, JSON.stringify(labels));
		const long = Array(4).fill('x'.repeat(63));
		assert.equal((await ask('', 'A', { raw: raw(...long) })).rcode, RCODE.FORMERR, '256 bytes');
		assert.equal((await ask('', 'A', { raw: Buffer.from([0xc0, 12]) })).rcode, RCODE.FORMERR, 'a pointer to itself');
		const two = query('api.test.example', 'A');
		two.writeUInt16BE(2, 4);
		const answer = parse(Buffer.from((await inside.must('dns', { host: SERVER, bytes: two.toString('base64') })).bytes, 'base64'));
		assert.equal(answer.rcode, RCODE.FORMERR);
		assert.equal((await inside.do('dns', { host: SERVER, bytes: Buffer.from('rubbish').toString('base64'), timeout: 300 })).error?.code, 'TIMEOUT');
		assert.ok(dns.seen.every((q) => /^[a-z0-9._-]+$/.test(q.name)), 'nothing odd went upstream');
		assert.deepEqual(values(await ask('API.Test.eXample')), ['127.0.0.5'], 'case is the client\'s own');
	});

	test('client options do not go upstream', async () => {
		await ask('api.test.example', 'A', { edns: 4096 });
		const sent = parse(dns.asked('api.test.example').at(-1).message);
		assert.equal(sent.edns.data.length, 0);
		assert.equal(sent.edns.bytes, 1232);
	});

	test('hundreds of questions at once, from many sockets', async () => {
		const names = Array.from({ length: 200 }, (_, i) => `n${i}.wild.example`);
		const answers = await Promise.all(names.map((n) => ask(n)));
		answers.forEach((a, i) => assert.deepEqual(values(a), [`127.9.0.${i}`], names[i]));
		assert.ok((await dial('127.9.0.123')).connected);
	});

	test('a wildcard covers a bounded number of names at a time', async () => {
		const answers = [];
		for (let i = 200; i < 262; i++)
			answers.push(await ask(`n${i}.wild.example`));
		assert.equal(answers.filter((a) => a.rcode === RCODE.NOERROR).length, 56, '256 in all');
		assert.ok(answers.slice(-6).every((a) => a.rcode === RCODE.SERVFAIL && !a.records.length));
		await refused('127.9.1.5');
	});

	test('who asks too often is refused beyond its rate, and others are answered meanwhile', async () => {
		const [flooder, other] = await Promise.all([agent.inside(), agent.inside({ args: ['--profile', 'other'] })]);
		const asked = dns.seen.length;
		let running = true;
		// a machine that has much else to do must not keep them below the rate
		for (const pid of [(await flooder.must('whoami')).pid, ...agent.pids('resolver')])
			os.setPriority(pid, -20);
		const flood = flooder.must('command', { argv: [agent.node, '-e', FLOOD, query('flood.evil.example', 'A').toString('base64')] }).finally(() => { running = false; });
		do {
			const { bytes } = await sure('dns', { bytes: query('api.test.example', 'A').toString('base64') }, other);
			assert.deepEqual(values(parse(Buffer.from(bytes, 'base64'))), ['127.0.0.5']);
		} while (running);
		const { codes, seconds } = JSON.parse((await flood).stdout);
		assert.ok(codes[RCODE.SERVFAIL] > 0, JSON.stringify(codes));
		assert.ok(codes[RCODE.NXDOMAIN] <= 1000 * (1 + seconds) + 1, `${codes[RCODE.NXDOMAIN]} in ${seconds} s`);
		assert.deepEqual(Object.keys(codes).map(Number).filter((c) => c !== RCODE.SERVFAIL && c !== RCODE.NXDOMAIN), []);
		assert.ok(dns.seen.slice(asked).every((q) => q.name === 'api.test.example'), 'none of it went upstream');
		const told = agent.records().filter((r) => r.kind === 'name.refuse' && r.names === 'flood.evil.example');
		assert.ok(told.length >= 1 && told.length <= 20 * (2 + seconds), `${told.length} records in ${seconds} s`);
	});

	test('the end of a name\'s time closes its address to new connections, and leaves open ones alone', async () => {
		await until(async () => { // it may be over before it is used
			await ask('stays.test.example');
			return !(await inside.do('open', { name: 'stays', host: '127.0.0.7', port: echo.port })).error;
		}, 'a connection by that name');
		await until(async () => (await dial('127.0.0.7')).error?.code === 'EPERM', 'the name to expire');
		await inside.must('say', { name: 'stays', text: 'after its time' });
		await until(async () => (await agent.zg(['status'])).code === 0, 'the agent');
		await until(async () => {
			assert.deepEqual(values(await ask('stays.test.example')), ['127.0.0.7']);
			return (await dial('127.0.0.7')).connected;
		}, 'its address to be open again');
	});

	test('a reload keeps what is still allowed and its connections, and closes what is withdrawn', async () => {
		await ask('api.test.example');
		await ask('public.far.example');
		await inside.must('open', { name: 'kept', host: '127.0.0.5', port: echo.port });
		await inside.must('open', { name: 'withdrawn', host: '127.0.0.9', port: echo.port });
		const text = fs.readFileSync(agent.config, 'utf8');
		fs.writeFileSync(agent.config, text.replace(JSON.stringify({ host: '*.far.example', port: echo.port, local: true }) + ',', ''));
		assert.equal((await agent.zg(['reload'])).code, 0);
		assert.match((await within(inside.must('ended', { name: 'withdrawn' }), 'the withdrawn connection to end')).code, /ECONNABORTED|ECONNRESET/);
		await refused('127.0.0.9');
		await inside.must('say', { name: 'kept', text: 'after the reload' });
		assert.equal((await ask('public.far.example')).rcode, RCODE.NXDOMAIN);
		assert.deepEqual(values(await ask('api.test.example')), ['127.0.0.5']);
		fs.writeFileSync(agent.config, text);
		assert.equal((await agent.zg(['reload'])).code, 0);
		assert.deepEqual(values(await ask('public.far.example')), ['127.0.0.9']);
	});

	test('the resolver killed: it is back, and its clients notice nothing but a pause', async () => {
		await agent.kill('resolver');
		await until(async () => {
			const { bytes } = await inside.do('dns', { host: SERVER, bytes: query('api.test.example', 'A').toString('base64'), timeout: 1000 });
			return bytes && values(parse(Buffer.from(bytes, 'base64'))).length === 1;
		}, 'the resolver to answer again');
	});

	test('the agent killed: nothing new is resolved or opened, open connections stay, and the next agent goes on', async () => {
		await ask('api.test.example');
		await inside.must('open', { name: 'over', host: '127.0.0.5', port: echo.port });
		await agent.kill();
		await agent.exited;
		assert.ok((await inside.do('dns', { host: SERVER, bytes: query('api.test.example', 'A').toString('base64'), timeout: 1000 })).error);
		await inside.must('say', { name: 'over', text: 'without an agent' });
		await refused('127.0.0.66');
		await agent.start();
		await inside.must('say', { name: 'over', text: 'with the next agent' });
		assert.deepEqual(values(await ask('api.test.example')), ['127.0.0.5']);
	});
});

describe('profiles without host names, and in audit mode', needs(), () => {
	let agent, dns, sink;

	before(async () => {
		[dns, sink] = await Promise.all([startDns(zone), startSink()]);
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([dns?.close(), sink?.close()]);
	});

	test('no names: DNS is refused, with a reason that says so', async () => {
		agent = await startAgent({ more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n` });
		const inside = await agent.inside();
		assert.equal((await inside.do('udp', { host: SERVER, port: 53 })).error?.code, 'EPERM');
		const record = await agent.record((r) => r.kind === 'kernel.deny' && r.port === 53);
		assert.match(record.reason, /DNS/);
		await agent.stop();
		agent = undefined;
	});

	test('audit mode: a name that is not allowed is recorded and answered', async () => {
		agent = await startAgent({ allow: [{ host: 'api.test.example', port: sink.port, local: true }],
			more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n` });
		fs.writeFileSync(agent.config, fs.readFileSync(agent.config, 'utf8').replace('mode: enforce', 'mode: audit'));
		assert.equal((await agent.zg(['reload'])).code, 0);
		const inside = await agent.inside();
		const { bytes } = await inside.must('dns', { host: SERVER, bytes: query('public.far.example', 'A').toString('base64') });
		assert.equal(parse(Buffer.from(bytes, 'base64')).records[0].value, '127.0.0.9');
		const record = await agent.record((r) => r.kind === 'name.refuse' && r.names === 'public.far.example');
		assert.equal(record.outcome, 'answered');
	});
});

test('a hundred and ten profiles have host names', needs(), async (t) => {
	const profiles = Array.from({ length: 110 }, (_, i) =>
		`  p${i}:\n    cgroups: ["many/p${i}"]\n    allow: [{host: "h${i}.example", port: 443}]\n`);
	const agent = await startAgent({ more: `${profiles.join('')}dns: {upstream: ["192.0.2.53:53"]}\n` });
	t.after(() => agent.stop());
	const resolver = agent.pids('resolver');
	assert.equal(resolver.length, 1);
	assert.equal((await agent.zg(['reload'])).code, 0);
	await agent.record((r) => r.kind === 'policy.load' && r.seq > 1);
	assert.deepEqual(agent.pids('resolver'), resolver, agent.logText());
});
