// SPDX-License-Identifier: Apache-2.0
// learn.test.mjs - from audit mode to an allowlist: what `zerogate network
// learn` prints is put into zerogate.yaml, and the same traffic then passes in
// enforce mode, and nothing else.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, repo, startAgent, within } from './agent.mjs';
import { freePort, startSink } from './servers.mjs';

const METADATA = '169.254.169.254';

async function fetchFrom(port) {
	const socket = net.connect(port, '127.0.0.1');
	let text = '';
	socket.on('data', (chunk) => { text += chunk; });
	socket.on('error', () => {});
	await within(once(socket, 'close'), 'the served connection to end');
	return text;
}

describe('network learn', needs(), () => {
	let agent, inside, learned, port, local, service;
	const sinks = [];

	// The traffic of a workload; which of it was refused.
	async function traffic() {
		const refused = [];
		for (const host of ['127.0.0.1', '::1'])
			for (const sink of sinks)
				if ((await inside.do('dial', { host, port: sink.port })).error?.code === 'EPERM')
					refused.push(`${host} ${sink.port}`);
		if ((await inside.do('dial', { path: local })).error)
			refused.push(local);
		if ((await inside.do('udp', { host: '127.0.0.1', port: sinks[0].port })).error)
			refused.push('udp');
		if ((await inside.do('serve', { name: 'service', host: '127.0.0.1', port })).error)
			refused.push('serve');
		else if (await fetchFrom(port) !== 'served')
			refused.push('served');
		await inside.do('stop', { name: 'service' }).catch(() => {});
		return refused;
	}

	before(async () => {
		sinks.push(await startSink(), await startSink());
		port = await freePort();
		agent = await startAgent({ mode: 'audit' });
		local = path.join(agent.dir, 'service.sock');
		service = net.createServer((socket) => socket.end()).listen(local);
		await once(service, 'listening');
		fs.chmodSync(local, 0o777);
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		service?.close();
		await Promise.all(sinks.map((s) => s.close()));
	});

	test('what audit mode let pass is printed as entries', async () => {
		assert.deepEqual(await traffic(), []);
		await inside.do('raw', { host: METADATA, port: 80, timeout: 200 }).catch(() => {});
		await agent.record((r) => r.kind === 'kernel.would_deny' && r.address === METADATA, 'would_deny of the metadata address');
		await agent.record((r) => r.kind === 'kernel.would_deny' && r.port === port && r.layer === 'bind', 'would_deny of bind');
		const { code, stdout, stderr } = await agent.zg(['network', 'learn', '--profile', 'agent']);
		assert.equal(code, 0, stderr);
		learned = stdout;
		const ports = sinks.map((s) => s.port).sort((a, b) => a - b);
		const list = ports[1] === ports[0] + 1 ? `"${ports[0]}-${ports[1]}"` : ports.join(', ');
		for (const cidr of ['127.0.0.1/32', '::1/128'])
			assert.ok(stdout.includes(`      - {cidr: "${cidr}", port: [${list}]} # `), stdout);
		assert.ok(stdout.includes(`      - {cidr: "127.0.0.1/32", port: [${sinks[0].port}], proto: udp} # 1 times, by node`), stdout);
		// judged on Linux 6.7 and later
		assert.equal(stdout.includes(`      - {unix: "${local}"} # 1 times, by node`), agent.records().some((r) => r.path === local), stdout);
		assert.match(stdout, new RegExp(`    listen:\\n      - \\{from: "127.0.0.1/32", port: \\[${port}\\]\\} # `));
	});

	test('what hands out credentials is a comment with a warning', () => {
		const lines = learned.split('\n').filter((l) => l.includes(METADATA));
		assert.equal(lines.length, 1, learned);
		assert.match(lines[0], /^ {6}# - \{cidr: "169\.254\.169\.254\/32", port: \[80\]\} # .*WARNING/);
	});

	test('the folder alone says the same, and --since leaves out what is older', async () => {
		const offline = await agent.zg(['network', 'learn', '--profile', 'agent', '--audit', path.join(agent.dir, 'state/audit')]);
		assert.equal(offline.code, 0, offline.stderr);
		assert.equal(offline.stdout, learned);
		assert.equal((await agent.zg(['network', 'learn', '--since', '1h'])).stdout, learned);
		for (const args of [['--since', '2999-01-01'], ['--profile', 'other']])
			assert.match((await agent.zg(['network', 'learn', ...args])).stdout, /^# nothing was recorded/);
		assert.equal((await agent.zg(['network', 'learn', '--since', 'yesterday'])).code, 2);
		assert.equal((await agent.zg(['network', 'learn', '--audit', '/nonexistent'])).code, 2);
	});

	test('pasted into zerogate.yaml it loads, and allows that traffic and no other', async () => {
		const text = fs.readFileSync(agent.config, 'utf8');
		const entries = learned.slice(learned.indexOf('    allow:'));
		fs.writeFileSync(agent.config, text.replace('mode: audit', 'mode: enforce').replace(/ {4}allow: .*\n/, entries));
		const { code, stderr } = await agent.zg(['reload']);
		assert.equal(code, 0, stderr);
		assert.deepEqual(await traffic(), []);
		const other = await startSink();
		assert.equal((await inside.do('dial', { host: '127.0.0.1', port: other.port })).error?.code, 'EPERM');
		assert.match((await inside.do('raw', { host: METADATA, port: 80 })).error?.code ?? '', /EPERM/);
		await other.close();
	});
});

// Records as the ledger writes them, without an agent.
describe('network learn, by record', () => {
	const bin = path.join(process.env.ZG_BUILD ?? path.join(repo, 'build'), 'zerogate');
	const gate = (reason, more) => ({ kind: 'kernel.would_deny', profile: 'agent', comm: 'app', pid: 7, protocol: 'tcp', address: '192.0.2.1', port: 5432, reason, layer: 'connect', ...more });
	const name = (names, reason) => ({ kind: 'name.refuse', profile: 'agent', comm: 'app', names, reason, outcome: 'answered', count: 2 });
	const packet = (reason, more) => gate(reason, { pid: undefined, comm: undefined, layer: 'ingress', ...more });
	// the sentences that stand in records, by their names in include/tbl
	const texts = (table) => Object.fromEntries([...fs.readFileSync(path.join(repo, 'include/tbl', table), 'utf8')
		.matchAll(/^X\((\w+), "(.*)"\)/gm)].map(([, key, text]) => [key, text]));
	const { NO_RULE, NO_IDENTITY, INBOUND, BIND, UNIX, UNIX_CONTROL, RULE_DENY, OPTION, RESOLVER } = texts('gate_reason.h');
	const { NOT_ALLOWED, ODD, LOCAL } = texts('name_reason.h');

	function learn(records, ...args) {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-learn-'));
		try {
			fs.writeFileSync(path.join(dir, '000000000001.jsonl'),
				records.map((r, i) => JSON.stringify({ seq: i + 1, time: `2026-01-02T03:04:05.00000000${i % 10}Z`, ...r }) + '\n').join('') + '{"half a li');
			const { status, stdout, stderr } = spawnSync(bin, ['network', 'learn', '--audit', dir, ...args], { encoding: 'utf8' });
			assert.equal(status, 0, stderr);
			// whatever is printed loads, once it says which cgroups
			const config = path.join(dir, 'zerogate.yaml');
			fs.mkdirSync(path.join(dir, 'policies'));
			fs.mkdirSync(path.join(dir, 'servers'));
			fs.writeFileSync(path.join(dir, 'policies/p.yaml'), 'version: v1\nrules: []\n');
			const profiles = stdout.startsWith('# nothing') ? 'profiles: {agent: {cgroups: ["agent.slice"]}}' : stdout.replace(/^ {2}"(\w+)":$/gm, '  $1:\n    cgroups: ["$1.slice"]');
			fs.writeFileSync(config, `version: v1\nlisten: ["127.0.0.1:7411"]\n${profiles}`);
			const check = spawnSync(bin, ['policy', 'check', '--config', config], { encoding: 'utf8' });
			assert.equal(check.status, 0, `${check.stdout}${check.stderr}${stdout}`);
			return stdout.split('\n').filter((l) => /^ {4}/.test(l)).map((l) => l.trim());
		} finally {
			fs.rmSync(dir, { recursive: true });
		}
	}

	for (const [what, records, lines] of [
		['ports of one address are merged, neighbours as a range, each counted',
			[5432, 5433, 5434, 80, 80].map((port) => gate(NO_RULE, { port })),
			['allow:', '- {cidr: "192.0.2.1/32", port: [80, "5432-5434"]} # 5 times, by app']],
		['protocols stand apart',
			[gate(NO_IDENTITY, { port: 53 }), gate(NO_IDENTITY, { port: 123, protocol: 'udp', address: '2001:db8::1' })],
			['allow:', '- {cidr: "192.0.2.1/32", port: [53]} # 1 times, by app', '- {cidr: "2001:db8::1/128", port: [123], proto: udp} # 1 times, by app']],
		['more ranges than one address can have are a comment that says so',
			Array.from({ length: 17 }, (_, i) => gate(NO_RULE, { port: 1000 + 2 * i })),
			['allow:', `- {cidr: "192.0.2.1/32", port: [${Array.from({ length: 16 }, (_, i) => 1000 + 2 * i).join(', ')}]} # 16 times, by app`,
				'# - {cidr: "192.0.2.1/32", port: [1032]} # 1 times, by app; more port ranges than one address can have: widen one of those above']],
		['the name that an address was learned by is what is allowed',
			[gate(NO_RULE, { port: 443, names: 'api.example, other.example' })],
			['allow:', '- {host: "api.example", port: [443]} # 1 times, by app']],
		['a name that was refused is proposed, and says that its port is a guess',
			[name('api.example', NOT_ALLOWED)],
			['allow:', '- {host: "api.example", port: [443]} # 3 times, by app; asked for by name only: the port is a guess']],
		['a name that was dialled has its ports',
			[name('api.example', NOT_ALLOWED), gate(NO_RULE, { port: 8443, names: 'api.example' })],
			['allow:', '- {host: "api.example", port: [8443]} # 1 times, by app']],
		['names that are something else are not entries, or not without a warning',
			[name('x'.repeat(64) + '.example', NOT_ALLOWED), name('a.example', ODD),
				name('printer.example', LOCAL)],
			['# allow:', '# - {host: "printer.example", port: [443], local: true} # 3 times, by app; WARNING: the name stood for a local address',
				'# no entry can allow 3 refusals of app: a host name that is not an ordinary one', `# no entry can allow 3 refusals of app: ${ODD}`]],
		['unix sockets by path and by abstract name',
			[gate(UNIX, { path: '/run/postgresql/.s.PGSQL.5432', protocol: 'other', port: 0 }), gate(UNIX, { path: '@app', protocol: 'other', port: 0 }), gate(UNIX, { path: '/run/x*', protocol: 'other', port: 0 })],
			['allow:', '- {unix: "/run/postgresql/.s.PGSQL.5432"} # 1 times, by app', '- {unix: "@app"} # 1 times, by app',
				'# no entry can allow 1 refusals of app: a unix socket whose name no entry can hold']],
		['a socket that starts processes is a comment with a warning',
			[gate(UNIX_CONTROL, { path: '/run/docker.sock', protocol: 'other', port: 0 })],
			['# allow:', '# - {unix: "/run/docker.sock"} # 1 times, by app; WARNING: whoever reaches this socket can start processes outside the gate']],
		['an address that hands out credentials is a comment with a warning',
			[gate(RULE_DENY, { address: '169.254.169.254', port: 80 })],
			['# allow:', '# - {cidr: "169.254.169.254/32", port: [80]} # 1 times, by app; WARNING: hands out credentials or resolves names past the gate']],
		['what was dialled by others is served, not dialled',
			[gate(BIND, { port: 8080, address: '0.0.0.0', layer: 'bind' }), packet(INBOUND, { port: 40000, local_port: 8080 }), packet(NO_RULE, { port: 40000, local_port: 8080, layer: 'egress' }),
				gate(BIND, { port: 9090, address: '0.0.0.0', layer: 'bind' })],
			['listen:', '- {port: [9090]} # 1 times, by app', '- {from: "192.0.2.1/32", port: [8080]} # 2 times']],
		['what no entry can express is a note',
			[gate(OPTION), gate(RESOLVER, { port: 53, protocol: 'udp' })],
			['# no entry can allow 1 refusals of app: DNS: it is answered as soon as the profile has a host entry',
				`# no entry can allow 1 refusals of app: ${OPTION}`]],
		['a text of the workload cannot become an entry',
			[gate(UNIX, { path: '/run/a"}\n      - {cidr: "0.0.0.0/0", port: 1}', comm: 'x\n    - y', protocol: 'other', port: 0 })],
			['allow:', '- {unix: "/run/a\\"}\\n      - {cidr: \\"0.0.0.0/0\\", port: 1}"} # 1 times, by x\\x0a    - y']],
		['refusals in enforce mode, of the agent itself, and other records count for nothing',
			[{ ...gate(NO_RULE), kind: 'kernel.deny' }, { ...name('api.example', NOT_ALLOWED), outcome: 'refused' }, gate(NO_RULE, { profile: '(gateway)' }), { kind: 'call.deny', profile: 'agent' }, gate(NO_RULE, { profile: undefined })],
			[]],
	])
		test(what, () => assert.deepEqual(learn(records), lines));

	test('each profile has its part', () => {
		const records = [gate(NO_RULE), gate(NO_RULE, { profile: 'other', port: 1 })];
		assert.equal(learn(records).filter((l) => l === 'allow:').length, 2);
		assert.deepEqual(learn(records, '--profile', 'other'), ['allow:', '- {cidr: "192.0.2.1/32", port: [1]} # 1 times, by app']);
	});
});
