// SPDX-License-Identifier: Apache-2.0
// allowed.test.mjs - what a profile allows works, with the programs that people
// use, and goes on working while the agent is reloaded, upgraded and killed:
// nothing here is secure by being broken.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, needs, quick, startAgent, until, within } from './agent.mjs';
import { freePort } from './servers.mjs';

const PYTHON = '/usr/bin/python3';
const GAP_MS = 1500; // of a flow that sends every few milliseconds, beyond that of one that nobody governs

const shell = (...command) => execFileSync(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

async function listening(server, ...at) {
	server.listen(...at);
	await once(server, 'listening');
	return server;
}

// A repository to clone, a certificate to trust, keys to log in with.
function makeFiles(dir) {
	const repo = path.join(dir, 'repo.git'), work = path.join(dir, 'work');
	shell('git', 'init', '-q', '--bare', '-b', 'main', repo);
	shell('git', 'init', '-q', '-b', 'main', work);
	fs.writeFileSync(path.join(work, 'hello'), 'hello from the repository\n');
	shell('git', '-C', work, 'add', 'hello');
	shell('git', '-C', work, '-c', 'user.name=t', '-c', 'user.email=t@example.invalid', 'commit', '-qm', 'hello');
	shell('git', '-C', work, 'push', '-q', repo, 'main');
	fs.writeFileSync(path.join(repo, 'git-daemon-export-ok'), '');
	shell('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', path.join(dir, 'key.pem'), '-out', path.join(dir, 'cert.pem'));
	for (const key of ['host', 'user'])
		shell('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path.join(dir, key));
	return repo;
}

// git's own CGI program behind Node's https: what a forge does.
function gitBackend(dir, request, response) {
	const url = new URL(request.url, 'https://localhost');
	const child = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], { stdio: ['pipe', 'pipe', 'inherit'],
		env: { ...process.env, GIT_PROJECT_ROOT: dir, PATH_INFO: url.pathname, QUERY_STRING: url.search.slice(1),
			REQUEST_METHOD: request.method, CONTENT_TYPE: request.headers['content-type'] ?? '',
			HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '', GIT_PROTOCOL: request.headers['git-protocol'] ?? '' } });
	const chunks = [];
	request.pipe(child.stdin);
	child.stdin.on('error', () => {});
	child.stdout.on('data', (chunk) => chunks.push(chunk));
	child.on('close', () => {
		const all = Buffer.concat(chunks), end = all.indexOf('\r\n\r\n');
		for (const line of all.subarray(0, end).toString().split('\r\n')) {
			const [name, value] = line.split(/: (.*)/);
			if (name === 'Status')
				response.statusCode = Number(value.split(' ')[0]);
			else
				response.setHeader(name, value);
		}
		response.end(all.subarray(end + 4));
	});
}

async function startSshd(dir, port) {
	fs.mkdirSync('/run/sshd', { recursive: true }); // where it locks itself in
	fs.copyFileSync(path.join(dir, 'user.pub'), path.join(dir, 'authorized'));
	fs.writeFileSync(path.join(dir, 'sshd_config'), `ListenAddress 127.0.0.1:${port}
HostKey ${dir}/host
AuthorizedKeysFile ${dir}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
AllowUsers root@127.0.0.1
`);
	const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', path.join(dir, 'sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
	let log = '';
	child.stderr.on('data', (chunk) => { log += chunk; });
	await until(() => /Server listening/.test(log) || (child.exitCode !== null && assert.fail(log)), 'sshd to listen');
	return child;
}

describe('what the profile allows', needs(), () => {
	const ports = {};
	let dir, agent, web, forge, sshd, clock, echo, unixEcho;

	before(async () => {
		dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-allowed-'));
		fs.chmodSync(dir, 0o755);
		makeFiles(dir);
		for (const name of ['web', 'forge', 'ssh', 'clock', 'echo'])
			ports[name] = await freePort();
		web = await listening(http.createServer((_, response) => response.end('hello from the web\n')), ports.web, '127.0.0.1');
		forge = await listening(https.createServer({ key: fs.readFileSync(path.join(dir, 'key.pem')), cert: fs.readFileSync(path.join(dir, 'cert.pem')) },
			(request, response) => gitBackend(dir, request, response)), ports.forge, '127.0.0.1');
		sshd = await startSshd(dir, ports.ssh);
		clock = dgram.createSocket('udp4');
		clock.on('message', (message, from) => clock.send(Buffer.concat([Buffer.from([0x24]), message.subarray(1)]), from.port, from.address));
		clock.bind(ports.clock, '127.0.0.1');
		await once(clock, 'listening');
		echo = await listening(net.createServer((socket) => {
			socket.on('error', () => {});
			socket.on('data', (chunk) => {
				echo.emit('bytes', socket.remotePort, chunk);
				socket.write(chunk);
			});
		}), ports.echo, '127.0.0.1');
		fs.mkdirSync(path.join(dir, 'pg'));
		unixEcho = await listening(net.createServer((socket) => socket.on('error', () => {}).pipe(socket)), path.join(dir, 'pg/.s.PGSQL.5432'));
		fs.chmodSync(path.join(dir, 'pg/.s.PGSQL.5432'), 0o777);
		agent = await startAgent({ allow: [
			...['web', 'forge', 'ssh', 'echo'].map((name) => ({ cidr: '127.0.0.1/32', port: ports[name] })),
			{ cidr: '127.0.0.1/32', port: ports.clock, proto: 'udp' },
			{ unix: `${dir}/pg/*` },
		] });
	});
	after(async () => {
		await agent?.stop();
		sshd?.kill();
		for (const server of [web, forge, echo, unixEcho]) {
			server?.closeAllConnections?.();
			server?.close();
		}
		clock?.close();
		fs.rmSync(dir, { recursive: true, force: true });
	});

	// As an ordinary user, below `zerogate run`; fails with what the program said.
	async function inside(...command) {
		const { code, stdout, stderr } = await agent.zg(['run', '--', ...command], { uid: CLIENT_UID, cwd: '/' });
		assert.equal(code, 0, `${command.join(' ')}: ${stdout}${stderr}`);
		return stdout;
	}
	const folder = () => {
		const made = fs.mkdtempSync(path.join(dir, 'clone-'));
		fs.chownSync(made, CLIENT_UID, CLIENT_UID);
		return path.join(made, 'here');
	};
	const cloned = (where) => assert.equal(fs.readFileSync(path.join(where, 'hello'), 'utf8'), 'hello from the repository\n');

	test('curl', async () => {
		assert.equal(await inside('curl', '-sS', `http://127.0.0.1:${ports.web}/`), 'hello from the web\n');
	});

	test('git over https', async () => {
		const where = folder();
		await inside('env', `GIT_SSL_CAINFO=${dir}/cert.pem`, 'git', 'clone', '-q', `https://127.0.0.1:${ports.forge}/repo.git`, where);
		cloned(where);
	});

	test('git over ssh', async () => {
		const where = path.join(dir, 'by-ssh');
		const ssh = `ssh -F none -p ${ports.ssh} -i ${dir}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR`;
		// ssh wants a user that has an account
		const { code, stderr } = await agent.zg(['run', '--', 'git', '-c', `core.sshCommand=${ssh}`, 'clone', '-q', `root@127.0.0.1:${dir}/repo.git`, where], { cwd: '/' });
		assert.equal(code, 0, stderr);
		cloned(where);
	});

	test('Node', async () => {
		assert.equal(await inside(agent.node, '-e', `fetch('http://127.0.0.1:${ports.web}/').then((r) => r.text()).then((t) => process.stdout.write(t))`), 'hello from the web\n');
	});

	test('Python', async () => {
		assert.equal(await inside(PYTHON, '-c', `import urllib.request as u; print(u.urlopen('http://127.0.0.1:${ports.web}/').read().decode(), end='')`), 'hello from the web\n');
	});

	test('happy eyeballs: the family that is refused costs nothing', async () => {
		// both at once, the first a quarter of a second ahead, as Go and browsers do
		const race = `import asyncio
async def main():
    reader, writer = await asyncio.open_connection('localhost', ${ports.echo}, happy_eyeballs_delay=0.25)
    writer.write(b'race'); print((await reader.readexactly(4)).decode(), end='')
asyncio.run(main())`;
		await quick(5000, 'a connection', async () => {
			const started = performance.now();
			assert.equal(await inside(PYTHON, '-c', race), 'race');
			return performance.now() - started;
		});
		assert.equal(await inside('curl', '-sS', `http://localhost:${ports.web}/`), 'hello from the web\n');
	});

	test('a question and its answer by datagram, as NTP does it', async () => {
		const ask = `import socket
for connected in (False, True):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60); q = b'\\x23' + bytes(47)
    if connected:
        s.connect(('127.0.0.1', ${ports.clock})); s.send(q)
    else:
        s.sendto(q, ('127.0.0.1', ${ports.clock}))
    a, who = s.recvfrom(64); assert a[0] == 0x24 and len(a) == 48 and who == ('127.0.0.1', ${ports.clock})
print('told', end='')`;
		assert.equal(await inside(PYTHON, '-c', ask), 'told');
	});

	test('a database by its unix socket', async () => {
		const ask = `import socket
s = socket.socket(socket.AF_UNIX); s.connect('${dir}/pg/.s.PGSQL.5432'); s.send(b'select 1'); print(s.recv(64).decode(), end='')`;
		assert.equal(await inside(PYTHON, '-c', ask), 'select 1');
	});

	test('a megabyte each way arrives whole', async () => {
		const big = `import socket, os, threading
s = socket.create_connection(('127.0.0.1', ${ports.echo})); data = os.urandom(1 << 20); got = b''
t = threading.Thread(target=s.sendall, args=(data,)); t.start()
while len(got) < len(data):
    got += s.recv(65536)
t.join(); print(got == data, end='')`;
		assert.equal(await inside(PYTHON, '-c', big), 'True');
	});

	test('connections go on through reload, upgrade and kill -9 of the agent', async (t) => {
		// one number a line by TCP, a unix socket and datagrams, the next one when the last came back: a gap anywhere is seen
		const pump = `import socket, sys, time
s = socket.create_connection(('127.0.0.1', ${ports.echo})); f = s.makefile('rb'); n = 0
x = socket.socket(socket.AF_UNIX); x.connect('${dir}/pg/.s.PGSQL.5432'); y = x.makefile('rb')
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(30); u.connect(('127.0.0.1', ${ports.clock}))
while True:
    line = b'%d\\n' % n
    s.sendall(line); x.sendall(line); u.send(b'?' + line)
    assert f.readline() == line and y.readline() == line and u.recv(64) == b'$' + line
    n += 1; time.sleep(0.005)`;
		const flowOf = new Map();
		echo.on('bytes', (port) => {
			const now = performance.now(), flow = flowOf.get(port) ?? { last: now, longest: 0, count: 0 };
			flow.longest = Math.max(flow.longest, now - flow.last);
			flow.last = now;
			flow.count++;
			flowOf.set(port, flow);
		});
		// what the machine itself keeps waiting
		const free = spawn(PYTHON, ['-c', pump], { stdio: 'ignore' });
		await until(() => flowOf.size === 1, 'a flow that nobody governs');
		const [control] = flowOf.values();
		const child = spawn('setpriv', ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups',
			path.join(agent.bin, 'zerogate'), '--socket', agent.socket, 'run', '--', PYTHON, '-c', pump], { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
		let errors = '';
		child.stderr.on('data', (chunk) => { errors += chunk; });
		const ended = once(child, 'exit');
		t.after(() => [child, free].forEach((one) => one.kill('SIGKILL')));
		await until(() => flowOf.size === 2, 'a flow that is governed');
		const [, flow] = flowOf.values();
		const flows = async (what) => {
			const from = flow.count;
			await within(Promise.race([until(() => flow.count > from + 20, `bytes after ${what}`), ended.then(() => assert.fail(`${what}: ${errors}`))]), what);
		};
		await flows('the start');
		for (let i = 0; i < 3; i++) {
			assert.equal((await agent.zg(['reload'])).code, 0);
			await flows('a reload');
		}
		// upgrade: another file, the same pins
		const upgraded = path.join(agent.dir, 'upgraded');
		fs.mkdirSync(upgraded);
		for (const name of ['zerogated', 'zerogate'])
			fs.copyFileSync(path.join(agent.bin, name), path.join(upgraded, name));
		await agent.halt();
		await flows('the end of the old agent');
		agent.bin = upgraded;
		await agent.start();
		await flows('an upgrade');
		for (let i = 0; i < 2; i++) {
			await agent.kill('parent');
			await agent.exited;
			await flows('kill -9');
			await agent.start();
			await flows('the restart');
		}
		child.kill('SIGKILL');
		free.kill('SIGKILL');
		await ended;
		echo.removeAllListeners('bytes');
		assert.ok(flow.longest < GAP_MS + control.longest, `the longest silence was ${Math.round(flow.longest)} ms, of a free flow ${Math.round(control.longest)} ms`);
		const denied = agent.records().filter((r) => r.kind === 'kernel.deny' && r.port === ports.echo && r.address === '127.0.0.1');
		assert.deepEqual(denied, []);
	});
});
