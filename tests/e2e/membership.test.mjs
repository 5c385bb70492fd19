// SPDX-License-Identifier: Apache-2.0
// membership.test.mjs - who is governed, as cgroups appear and go: containers,
// units and run scopes, by the globs of a profile, with programs that dial in
// the first moment of their lives.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, needs, startAgent, until } from './agent.mjs';
import { startSink } from './servers.mjs';

const EPERM = 'Operation not permitted', ROUNDS = 20;

describe('membership', needs(), () => {
	let agent, sink;

	const at = (...parts) => path.join(agent.cgroup, ...parts);
	const governed = async () => (await agent.zg(['--json', 'status'])).rows[0].governed_cgroups;

	// Join, and dial at once: what a container's first process does. What bash says of it.
	async function born(folder, uid = CLIENT_UID) {
		const child = spawn('bash', ['-c', `echo $$ >${folder}/cgroup.procs && exec setpriv --reuid ${uid} --regid ${uid} --clear-groups bash -c ': <>/dev/tcp/127.0.0.1/${sink.port}'`],
			{ stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
		let said = '';
		child.stderr.on('data', (chunk) => { said += chunk; });
		await once(child, 'close');
		return said;
	}
	const make = (...parts) => {
		fs.mkdirSync(at(...parts));
		return at(...parts);
	};

	before(async () => {
		sink = await startSink();
		agent = await startAgent({
			more: '  boxes:\n    cgroups: ["docker/*", "system.slice/ai-*.service", "machine.slice/*.scope/payload"]\n',
			before: ({ cgroup }) => ['docker', 'system.slice'].forEach((name) => fs.mkdirSync(path.join(cgroup, name))),
		});
	});
	after(async () => {
		await agent?.stop();
		await sink?.close();
	});

	test('a container or unit that a glob names is governed from its first moment', async () => {
		for (let i = 0; i < ROUNDS; i++) {
			assert.match(await born(make('docker', `c0ffee${i}`)), new RegExp(EPERM), `container ${i}`);
			assert.match(await born(make('system.slice', `ai-${i}.service`), i % 2 ? 0 : CLIENT_UID), new RegExp(EPERM), `unit ${i}`);
		}
		assert.equal(sink.connections, 0);
		const record = await agent.record((r) => r.kind === 'kernel.deny' && r.port === sink.port && /docker/.test(r.cgroup), 'kernel.deny in a container');
		assert.equal(record.profile, 'boxes');
	});

	test('what it makes below itself is governed, as it is made', async () => {
		const box = make('docker', 'nested');
		for (let i = 0, folder = box; i < 5; i++) {
			folder = path.join(folder, `level-${i}`);
			fs.mkdirSync(folder);
			assert.match(await born(folder), new RegExp(EPERM), folder);
		}
		assert.equal(sink.connections, 0);
	});

	test('what no glob names is free', async () => {
		for (const parts of [['docker-proxy'], ['system.slice', 'ai-1.scope'], ['system.slice', 'sshd.service']])
			assert.equal(await born(make(...parts)), '', parts.join('/'));
		await until(() => sink.connections === 3, 'the connections of the free');
	});

	test('in folders that are new themselves the agent follows', async () => {
		const had = await governed();
		make('machine.slice');
		make('machine.slice', 'vm-1.scope');
		const payload = make('machine.slice', 'vm-1.scope', 'payload'), connections = sink.connections;
		await until(async () => await governed() > had, 'the new cgroup to be governed');
		assert.match(await born(payload), new RegExp(EPERM));
		assert.equal(await born(at('machine.slice', 'vm-1.scope')), '', 'the folder around it is not');
		await until(() => sink.connections === connections + 1, 'its connection');
	});

	test('cgroups that go are let go of, and their names are governed anew', async () => {
		const had = await governed();
		const names = Array.from({ length: 10 }, (_, i) => make('docker', `brief${i}`));
		await until(async () => await governed() === had + 10, 'ten more to be governed');
		names.forEach((name) => fs.rmdirSync(name));
		await until(async () => await governed() === had, 'them to be let go of');
		fs.mkdirSync(names[0]);
		assert.match(await born(names[0]), new RegExp(EPERM));
	});

	test('a run has a cgroup of its own, which ends with it', async () => {
		const runs = () => fs.readdirSync(at('zerogate.slice')).filter((name) => name.startsWith('run-'));
		const one = await agent.inside(), two = await agent.inside();
		assert.equal(runs().length, 2);
		assert.notEqual((await one.must('whoami')).cgroup, (await two.must('whoami')).cgroup);
		for (const worker of [one, two])
			assert.equal((await worker.do('dial', { host: '127.0.0.1', port: sink.port })).error?.code, 'EPERM');
		await Promise.all([one.end(), two.end()]);
		await until(() => runs().length === 0, 'the cgroups of the runs to go');
	});
});
