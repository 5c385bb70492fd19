// SPDX-License-Identifier: Apache-2.0
// contain.test.mjs - `zerogate contain` and `resume`: at once, for everything,
// until a person lifts it, and by nobody who may not.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { CLIENT_UID, TOOLS, needs, quick, startAgent, until, within } from './agent.mjs';
import { startServer, startSink } from './servers.mjs';

const LIMIT = 1000; // ms, from the command's start to the last socket's end
const APPROVER = { uid: 65532, groups: 'adm' };

const closed = (socket) => new Promise((done) => socket.once('close', done));

describe('containment', needs(), () => {
	let agent, server, sink, inside;

	const contain = (...args) => agent.zg(['contain', 'agent', ...args]);
	const resume = (...args) => agent.zg(['resume', 'agent', ...args]);
	const dial = async () => (await inside.do('dial', { host: '127.0.0.1', port: sink.port })).error?.code;
	const status = async () => (await agent.zg(['--json', 'status'])).rows[0].contained;

	before(async () => {
		[server, sink] = await Promise.all([startServer(), startSink()]);
		agent = await startAgent({ servers: [{ id: 'github', url: server.url(), tools: TOOLS }],
			allow: [{ cidr: '127.0.0.1/32', port: sink.port }],
			more: '  watched:\n    cgroups: ["watched.slice"]\n    mode: audit\n' });
		inside = await agent.inside();
	});
	afterEach(() => agent.zg(['resume', 'agent']));
	after(async () => {
		await agent?.stop();
		await Promise.all([server, sink].map((s) => s?.close()));
	});

	test('a flood of denials does not keep it waiting', async () => {
		const loop = 'while :; do echo x >/dev/udp/192.0.2.1/9; done 2>/dev/null';
		const flood = spawn('setpriv', ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups',
			path.join(agent.bin, 'zerogate'), '--socket', agent.socket, 'run', '--',
			'bash', '-c', `for i in 1 2 3 4; do ${loop} & done; trap 'kill $(jobs -p)' TERM; wait`], { stdio: 'ignore', cwd: '/' });
		const ended = once(flood, 'close');
		const denials = async () => (await agent.zg(['--json', 'status'])).rows[0].denials;
		try {
			await until(async () => await denials() > 5000, 'the flood');
			await quick(2 * LIMIT, 'containment in a flood', async () => { // the flood has the CPUs, too
				assert.equal((await resume()).code, 0);
				const before = await denials();
				await until(async () => await denials() > before, 'the flood to go on');
				const started = performance.now();
				const { code, stderr } = await contain();
				assert.equal(code, 0, stderr);
				return performance.now() - started;
			});
		} finally {
			flood.kill('SIGTERM');
			await ended;
		}
	});

	test('every socket dies at once, nothing new opens, and resume lifts it', async () => {
		await inside.must('connect', { url: agent.url('github') });
		await until(() => server.requests.some((r) => r.method === 'GET'), 'the event stream');
		const containOnce = async () => {
			const arrives = once(sink, 'connection');
			await inside.must('open', { name: 'plain', host: '127.0.0.1', port: sink.port });
			await inside.must('open', { name: 'gateway', host: '127.0.0.1', port: agent.port });
			const [plain] = await arrives;
			const ends = Promise.all([closed(plain), inside.do('ended', { name: 'plain' }), inside.do('ended', { name: 'gateway' })]);
			const started = performance.now();
			const { code, stdout, stderr } = await contain('--reason', 'it behaves oddly');
			await within(ends, 'the sockets to end');
			const ms = performance.now() - started;
			assert.equal(code, 0, stderr);
			assert.match(stdout, /agent is contained: everything is denied to it; (\d+) sockets ended/);
			return ms;
		};
		let before;
		const ms = await quick(LIMIT, 'the end of all sockets', async () => {
			if (before !== undefined) { // once more
				assert.equal((await resume()).code, 0);
				await inside.must('connect', { client: `stream ${before}`, url: agent.url('github') });
				const streams = () => server.requests.filter((r) => r.method === 'GET').length;
				await until(() => streams() > before, 'the event stream');
			}
			before = server.requests.filter((r) => r.method === 'GET').length;
			return containOnce();
		});
		assert.equal(await dial(), 'EPERM');
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: agent.port })).error?.code, 'EPERM');
		assert.equal((await inside.do('udp', { host: '127.0.0.1', port: sink.port })).error?.code, 'EPERM');
		assert.equal(await status(), 'agent');
		const record = await agent.record((r) => r.kind === 'profile.contain' && r.reason === 'it behaves oddly', 'profile.contain');
		assert.equal(record.profile, 'agent');
		assert.equal(record.approver_uid, 0);
		assert.ok(record.approver_pid > 0 && record.count >= 3);
		const refused = await agent.record((r) => r.kind === 'kernel.deny' && r.port === sink.port, 'kernel.deny');
		assert.match(refused.reason, /contained/);
		console.log(`# all sockets ended ${Math.round(ms)} ms after the command began`);

		assert.equal((await resume('--reason', 'false alarm')).code, 0);
		assert.equal(await dial(), undefined);
		assert.equal(await status(), '');
		await agent.record((r) => r.kind === 'profile.resume' && r.reason === 'false alarm', 'profile.resume');
		await inside.must('connect', { client: 'again', url: agent.url('github') });
	});

	test('an approver may, another user may not, and a governed process never', async () => {
		const other = await agent.zg(['contain', 'agent'], { uid: 65532 });
		assert.equal(other.code, 1);
		assert.match(other.stderr, /only root and approvers/);
		assert.equal(await dial(), undefined);
		assert.equal((await agent.zg(['contain', 'agent'], APPROVER)).code, 0);
		assert.equal(await dial(), 'EPERM');
		assert.equal((await agent.record((r) => r.kind === 'profile.contain' && r.approver_uid === APPROVER.uid, 'by the approver')).profile, 'agent');
		for (const uid of [0, CLIENT_UID]) {
			const identity = uid ? ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--groups', 'adm'] : [];
			const run = spawn(path.join(agent.bin, 'zerogate'), ['--socket', agent.socket, 'run', '--', ...identity,
				path.join(agent.bin, 'zerogate'), '--socket', agent.socket, 'resume', 'agent'], { stdio: ['ignore', 'ignore', 'pipe'] });
			let stderr = '';
			run.stderr.on('data', (chunk) => { stderr += chunk; });
			const [code] = await once(run, 'close');
			assert.notEqual(code, 0);
			assert.match(stderr, /from outside governed cgroups|Operation not permitted/); // refused by it, or kept from it
			assert.equal(await status(), 'agent');
		}
		assert.equal((await agent.zg(['resume', 'agent'], APPROVER)).code, 0);
		assert.equal(await dial(), undefined);
	});

	test('it holds over a reload, over kill -9 of the agent, and over detach', async () => {
		assert.equal((await contain()).code, 0);
		assert.equal((await agent.zg(['reload'])).code, 0);
		assert.equal(await dial(), 'EPERM');

		// gone from the configuration, and back in it
		const whole = fs.readFileSync(agent.config, 'utf8');
		fs.writeFileSync(agent.config, whole.replace('  agent:\n', '  other:\n'));
		assert.equal((await agent.zg(['reload'])).code, 0);
		fs.writeFileSync(agent.config, whole);
		assert.equal((await agent.zg(['reload'])).code, 0);
		assert.equal(await dial(), 'EPERM');

		await agent.kill();
		assert.equal(await dial(), 'EPERM');
		await agent.start();
		assert.equal(await dial(), 'EPERM');
		assert.equal(await status(), 'agent');

		// nothing is enforced now, as after a reboot; then all of it is again
		assert.equal((await agent.zg(['detach'])).code, 0);
		await agent.exited;
		assert.ok(!fs.existsSync(path.join(agent.dir, 'bpf/zerogate')));
		await agent.start();
		assert.equal(await status(), 'agent');
		const later = await agent.inside();
		assert.equal((await later.do('dial', { host: '127.0.0.1', port: sink.port })).error?.code, 'EPERM');
		assert.equal((await resume()).code, 0);
		assert.equal((await later.do('dial', { host: '127.0.0.1', port: sink.port })).error, undefined);
		await agent.halt();
		await agent.start();
		assert.equal(await status(), '');
	});

	test('a profile in audit mode is denied too, and status names all that are contained', async () => {
		const slice = path.join(agent.cgroup, 'watched.slice');
		fs.mkdirSync(slice, { recursive: true });
		const probe = (script) => new Promise((done) => {
			const child = spawn('sh', ['-c', `echo $$ > ${slice}/cgroup.procs; exec ${agent.node} -e "${script}"`], { stdio: ['ignore', 'pipe', 'inherit'] });
			let out = '';
			child.stdout.on('data', (chunk) => { out += chunk; });
			child.on('close', () => done(out.trim()));
		});
		const script = `require('net').connect(${sink.port},'127.0.0.1').on('connect',function(){console.log('open');this.destroy()}).on('error',(e)=>console.log(e.code))`;
		await until(async () => (await agent.zg(['--json', 'status'])).rows[0].governed_cgroups >= 3, 'the new cgroup to be governed');
		assert.equal(await probe(script), 'open');
		assert.equal((await agent.zg(['contain', 'watched'])).code, 0);
		assert.equal(await probe(script), 'EPERM');
		assert.equal(await status(), 'watched');
		assert.equal((await contain()).code, 0);
		assert.equal(await status(), 'agent, watched');
		assert.equal((await agent.zg(['resume', 'watched'])).code, 0);
		assert.equal(await probe(script), 'open');
	});

	test('a folder of markers that is not root\'s alone is not believed', async () => {
		const folder = path.join(agent.dir, 'state/contained');
		await agent.halt();
		fs.chmodSync(folder, 0o777);
		await assert.rejects(agent.start(), /contained in the state folder is not root's alone/);
		fs.chmodSync(folder, 0o700);
		await agent.start();
		assert.equal(await status(), '');
	});

	test('a name that is no profile is refused, and those that exist are named', async () => {
		for (const name of ['nobody', '../agent', '.', '']) {
			const { code, stderr } = await agent.zg(['contain', name]);
			assert.equal(code, 2, name);
			assert.match(stderr, /there is no profile '.*'\n {2}profiles in force: agent, watched/);
		}
		assert.equal((await agent.zg(['contain'])).code, 2);
		assert.equal(await status(), '');
	});
});
