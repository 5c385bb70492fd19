// SPDX-License-Identifier: Apache-2.0
// demo.mjs - the main job, step by step, each with its evidence: real MCP
// servers and a real client on the official SDK, the example policy unmodified,
// the real kernel. A step that does not hold makes the exit status 1.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { EXAMPLE, build, cgroupMount, startAgent, within } from '../tests/e2e/agent.mjs';
import { TYPE, startDns } from '../tests/e2e/dns.mjs';
import { plant } from '../tests/e2e/planted.mjs';
import { startServer, startSink } from '../tests/e2e/servers.mjs';

const tty = process.stdout.isTTY;
const paint = (code, s) => tty ? `\x1b[${code}m${s}\x1b[0m` : s;
const say = (s) => console.log(`      ${s}`);
let step = 0, failed = 0;

class Broken extends Error {}
function holds(condition, what) {
	if (!condition)
		throw new Broken(what);
}

async function show(title, body) {
	console.log(`\n${paint('1', `${String(++step).padStart(2)}. ${title}`)}`);
	try {
		await within(body(), title, 900000);
		say(paint('32', 'OK'));
	} catch (e) {
		failed++;
		say(paint('31', `FAILED: ${e instanceof Broken ? e.message : e.stack}`));
	}
}

const SHOWN = ['kind', 'server', 'tool', 'action', 'risk_tags', 'decision', 'rules', 'approval', 'approver_uid', 'max_runtime_sec',
	'outcome', 'duration_us', 'findings', 'names', 'address', 'port', 'layer', 'evidence', 'count', 'transparent', 'uid', 'pid', 'comm'];
function evidence(record) {
	say(paint('36', 'audit  ') + SHOWN.filter((k) => record[k] !== undefined).map((k) => `${k}=${record[k]}`).join(' '));
}

// "title: a, b, c", over lines that a terminal has room for
function list(title, words, code) {
	let line = '';
	say(paint(code, `${title}: ${words.length}`));
	for (const word of words) {
		if (line.length + word.length > 86) {
			say(`   ${line}`);
			line = '';
		}
		line += ` ${word}`;
	}
	say(`   ${line}`);
}

function grouped(rows, by) {
	const groups = new Map();
	for (const row of rows)
		groups.set(by(row), [...groups.get(by(row)) ?? [], row]);
	return [...groups];
}

// tests/bypass, in a cgroup and with a gate of its own, while something else waits
function startBypass() {
	const child = spawn(path.join(build, 'tests/bypass/bypass'), { stdio: ['ignore', 'pipe', 'ignore'] });
	let text = '';
	child.stdout.on('data', (chunk) => { text += chunk; });
	process.on('exit', () => child.kill());
	return once(child, 'close').then(([code]) => ({ code, rows: text.split('\n').map((l) => l.split(/ {2,}/))
		.filter((c) => c.length === 4 && c[0] !== 'attempt').map(([id, result, why, what]) => ({ id, result, why, what })) }));
}

function left(agent) { // what must not be there any more
	const commands = fs.readdirSync('/proc').filter((p) => /^\d+$/.test(p) && Number(p) !== process.pid).map((p) => {
		try {
			return fs.readFileSync(`/proc/${p}/cmdline`, 'latin1').replaceAll('\0', ' ');
		} catch {
			return ''; // it has just ended
		}
	});
	return [agent.dir, agent.cgroup].filter((p) => fs.existsSync(p))
		.concat(commands.filter((c) => c.includes(agent.dir)))
		.concat(fs.readFileSync('/proc/mounts', 'utf8').split('\n').filter((l) => l.includes(agent.dir)));
}

const started = performance.now();
const secrets = plant();
// the site's own, beside the example: what a call says counts, too
const SITE = `version: v1
rules:
  - id: no-passwords-in-titles
    match: {labels: {mcp.tool: create_issue}, args: {/title: "*password*"}}
    decision: DENY
    reason: everybody reads the title of an issue
    remediation: leave the password out
`;
const shown = { 'aws-access-key': secrets['aws-access-key'], 'github-token': secrets['github-token'] };
const NAME = 'api.vendor.example', AT = '127.0.0.1';
const [github, rogue, shadow, vendor, dns] = await Promise.all([startServer({ name: 'github', secrets: shown }), startServer({ name: 'rogue' }),
	startServer({ name: 'shadow' }), startSink(),
	startDns((q) => q.name !== NAME ? undefined : q.type === TYPE.A ? { answer: [[NAME, 'A', AT, 3600]] } : {})]);
const agent = await startAgent({
	hold: 45,
	allow: [{ host: NAME, port: vendor.port, local: true }, { cidr: '127.0.0.1/32', port: shadow.port }],
	more: `dns: {upstream: ["127.0.0.1:${dns.port}"]}\n`,
	policy: fs.readFileSync(EXAMPLE, 'utf8'),
	before: (a) => fs.writeFileSync(path.join(a.dir, 'etc/policies/site.yaml'), SITE),
	servers: [{ id: 'github', url: `http://api.github.com:${github.port}/mcp`, addresses: ['127.0.0.1', '::1'], risk_tags: ['prod'],
		tools: { 'read_*': { action: 'read' }, leak: { action: 'read' }, slow_write: { action: 'write', risk_tags: ['non_prod'] } } }],
});
const gateway = agent.url('github');
console.log(paint('1', 'zerogate: what an agent may reach and call, and what it cannot'));
say(`policy    ${path.relative(process.cwd(), EXAMPLE)} (unmodified), and one rule about an argument`);
say(`agent     pid ${agent.process.pid}, ready after ${agent.startMs.toFixed(0)} ms, cgroup ${agent.cgroup}`);
say(`servers   "github" registered, port ${github.port}; nobody registered those on ports ${rogue.port} and ${shadow.port}`);
say(`allowed   ${NAME} port ${vendor.port}, 127.0.0.1 port ${shadow.port}; nothing else`);

const client = await agent.inside();
const { pid, uid } = await client.must('whoami');
say(`client    official SDK below \`zerogate run\`, pid ${pid}, uid ${uid}`);

try {
	await show('A read is allowed', async () => {
		await client.must('connect', { url: gateway });
		const result = await client.tool('read_issue', { number: 17 });
		say(`read_issue -> "${result.content[0].text}"`);
		holds(result.content[0].text === 'issue 17: the build is slow', 'another answer');
		const record = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'read_issue');
		evidence(record);
		holds(record.decision === 'ALLOW' && record.pid === pid && record.uid === uid, 'the record does not say ALLOW for this process');
		evidence(await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'read_issue'));
	});

	await show('A write to production is denied for its argument; else held, approved by a second command, executed once', async () => {
		const denied = await client.tool('create_issue', { title: 'The password is hunter2' });
		say(`create_issue -> "${denied.content[0].text}"`);
		holds(denied.isError && ['no-passwords-in-titles', 'leave the password out'].every((s) => denied.content[0].text.includes(s)), 'not denied with rule and remediation');
		evidence(await agent.record((r) => r.kind === 'call.deny' && r.tool === 'create_issue'));
		const call = client.tool('create_issue', { title: 'Rotate the keys' });
		const id = await agent.approval();
		evidence(await agent.record((r) => r.kind === 'approval.request'));
		holds(!github.executed.create_issue, 'it ran before anybody approved it');
		say('the call waits; in a second terminal:');
		say(paint('33', `$ zerogate approvals approve ${id}`));
		const answer = await agent.zg(['approvals', 'approve', id]);
		holds(answer.code === 0, answer.stderr);
		const result = await call;
		say(`create_issue -> "${result.content[0].text}"; executions seen by the server: ${github.executed.create_issue}`);
		holds(github.executed.create_issue === 1, 'not exactly once');
		evidence(await agent.record((r) => r.kind === 'approval.approve'));
		evidence(await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'create_issue'));
	});

	const bypass = startBypass(); // needs as long as the next step waits
	await show('A non-prod write is constrained, and cut at max_runtime_sec (30 s)', async () => {
		const cancelled = once(github, 'cancelled');
		const begun = performance.now();
		const result = await client.tool('slow_write', { label: 'nightly' });
		const seconds = (performance.now() - begun) / 1000;
		await cancelled;
		say(`slow_write -> "${result.content[0].text}" after ${seconds.toFixed(1)} s; the server saw the cancel`);
		holds(result.isError && seconds > 29 && seconds < 50, 'not cut at 30 s');
		const intent = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'slow_write');
		evidence(intent);
		holds(intent.decision === 'ALLOW_WITH_CONSTRAINTS', 'not constrained');
		evidence(await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'slow_write' && r.outcome === 'timeout'));
	});

	await show('Secrets in a result are redacted before the model sees them', async () => {
		const { content: [{ text }] } = await client.tool('leak', { where: 'text' });
		for (const line of text.split('\n'))
			say(line);
		for (const value of Object.values(shown))
			holds(!text.includes(value), 'a secret came through');
		holds(/\[zerogate:aws-access-key:1\]/.test(text) && /\[zerogate:github-token:1\]/.test(text), 'no placeholder');
		evidence(await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'leak' && r.findings));
	});

	const refuse = async (hosts) => {
		for (const [how, host] of Object.entries(hosts)) {
			const { error } = await client.do('dial', { host, port: rogue.port });
			say(`connect ${how.padEnd(10)} ${host} port ${rogue.port} -> ${error?.code ?? 'CONNECTED'}`);
			holds(error?.code === 'EPERM', `${how}: not refused by the kernel`);
		}
		holds(rogue.connections === 0, 'something arrived at the unregistered server');
	};
	const every = { 'by name': 'localhost', 'by IPv4': '127.0.0.1', 'by IPv6': '::1', 'v4-mapped': '::ffff:127.0.0.1' };
	await show('The unregistered server is refused by the kernel, by whatever address', async () => {
		await refuse(every);
		const { error } = await client.do('connect', { url: rogue.url(), client: 'rogue' });
		say(`SDK client -> ${error?.message} (${error?.cause}); connections seen by the server: ${rogue.connections}`);
		holds(error?.cause === 'EPERM' && rogue.connections === 0, 'the SDK client got through');
		for (const address of ['127.0.0.1', '::1'])
			evidence(await agent.record((r) => r.kind === 'kernel.deny' && r.port === rogue.port && r.address === address));
		const once = await agent.inside();
		await once.do('dial', { host: '127.0.0.1', port: rogue.port });
		say('what `zerogate run` reports when such a command ends:');
		for (const line of (await once.end()).errors.trim().split('\n'))
			say(line);
	});

	await show('And so are the ways to get around it: each tried by a real process, ungoverned it arrives', async () => {
		const { code, rows } = await bypass;
		const of = (result) => rows.filter((r) => r.result === result);
		const stopped = of('stopped'), open = of('not enforced'), impossible = of('not possible');
		for (const [layer, some] of grouped(stopped, (r) => r.why.split(':')[0]).sort((a, b) => b[1].length - a[1].length))
			say(`${layer.padEnd(10)} stopped ${String(some.length).padStart(2)}, such as "${some[0].what}", "${some[Math.floor(some.length / 2)].what}"`);
		for (const [needs, some] of grouped(open, (r) => r.why))
			list(`NOT ENFORCED here, ${needs}`, some.map((r) => r.id), '33');
		if (impossible.length)
			list('not possible here', impossible.map((r) => r.id), '0');
		for (const r of rows.filter((r) => r.result === 'ARRIVED' || r.result === 'BROKEN'))
			say(paint('31', `${r.result} ${r.id}: ${r.why}`));
		say(`${rows.length} attempts: ${stopped.length} stopped, ${open.length} not enforced, ${impossible.length} not possible`);
		holds(code === 0 && stopped.length >= 30, 'a way around the gate is open that should be closed');
	});

	await show('Dialling the registered server directly ends in the gateway anyway', async () => {
		const { server } = await client.must('connect', { url: `http://127.0.0.1:${github.port}/mcp`, client: 'direct' });
		const result = await client.tool('read_issue', { number: 18 }, { client: 'direct' });
		say(`http://127.0.0.1:${github.port}/mcp -> ${server.name}: "${result.content[0].text}"`);
		const record = await agent.record((r) => r.kind === 'call.intent' && r.tool === 'read_issue' && r.transparent === 1);
		evidence(record);
		const leak = await client.tool('leak', { where: 'text' }, { client: 'direct' });
		holds(!leak.content[0].text.includes(shown['github-token']), 'unscanned: not the gateway');
	});

	await show('A host name that is allowed is resolved by the agent, and opens its address', async () => {
		const dial = async () => (await client.do('dial', { host: AT, port: vendor.port })).error?.code ?? 'connected';
		const early = await dial();
		say(`connect ${AT} port ${vendor.port} -> ${early}`);
		holds(early === 'EPERM', 'it was open before anybody asked for the name');
		const { addresses } = await client.must('resolve', { name: NAME });
		say(`ask 192.0.2.53 (it is not there) for ${NAME} -> ${addresses}`);
		const late = await dial();
		say(`connect ${AT} port ${vendor.port} -> ${late}`);
		holds(addresses[0] === AT && late === 'connected', 'the name did not open its address');
		const other = await client.do('resolve', { name: 'tell.everything.example' });
		say(`ask for tell.everything.example -> ${other.error?.code}; questions that left this machine for it: ${dns.asked('tell.everything.example').length}`);
		holds(other.error?.code === 'ENOTFOUND' && dns.asked('tell.everything.example').length === 0, 'a name that is not allowed was asked for');
		evidence(await agent.record((r) => r.kind === 'name.resolve'));
		evidence(await agent.record((r) => r.kind === 'name.refuse'));
	});

	await show('An MCP server that nobody registered, on an address that is allowed, is cut on the wire', async () => {
		const { connected } = await client.must('dial', { host: '127.0.0.1', port: shadow.port });
		const { error } = await client.do('connect', { url: shadow.url(), client: 'shadow' });
		say(`connect -> ${connected ? 'connected' : 'refused'}; SDK client -> ${error?.cause}; requests seen by the server: ${shadow.requests.length}`);
		holds(connected && error && shadow.requests.length === 0, 'it was spoken with');
		const record = await agent.record((r) => r.kind === 'shadow.mcp' && r.port === shadow.port);
		evidence(record);
		holds(record.outcome === 'reset', 'the connection was not reset');
	});

	await show('A profile is contained: its live connections end, nothing new opens, until it is resumed', async () => {
		const dial = async () => (await client.do('dial', { host: AT, port: vendor.port })).error?.code ?? 'connected';
		await client.must('open', { name: 'live', host: AT, port: vendor.port });
		const begun = performance.now();
		const over = client.must('ended', { name: 'live' });
		const command = async (...args) => {
			say(paint('33', `$ zerogate ${args.join(' ')}`));
			const answer = await agent.zg(args);
			holds(answer.code === 0, answer.stderr);
			say(answer.stdout.trim());
		};
		await command('contain', 'agent', '--reason', 'odd');
		const { code } = await over;
		const refused = await dial();
		say(`a live connection -> ${code} after ${(performance.now() - begun).toFixed(0)} ms; a new one -> ${refused}`);
		holds(refused === 'EPERM', 'it may still dial');
		await command('resume', 'agent');
		const again = await dial();
		say(`a new one -> ${again}`);
		holds(again === 'connected', 'not lifted');
		evidence(await agent.record((r) => r.kind === 'profile.contain'));
	});

	await show('The agent proves its enforcement, and says what this machine does not enforce', async () => {
		say(paint('33', '$ zerogate doctor'));
		const { rows } = await agent.zg(['--json', 'doctor']);
		const checks = rows.filter((r) => r.check), ways = rows.filter((r) => r.way);
		for (const { check, detail } of checks.filter((r) => ['canary', 'maps', 'enforcement'].includes(r.check)))
			say(`${check.padEnd(12)} ${detail}`);
		for (const { check, remedy } of checks.filter((r) => !r.good))
			say(`${paint('33', 'absent')}       ${check}: ${remedy}`);
		say(`ways around  ${ways.filter((r) => r.closed).length} of ${ways.length} kinds closed here`);
		const proved = ['gate', 'programs', 'maps', 'canary', 'enforcement'].filter((n) => checks.find((r) => r.check === n)?.good);
		holds(proved.length === 5, 'enforcement is not proved');
	});

	const journal = fs.existsSync('/run/systemd/journal/socket') && fs.existsSync('/run/systemd/journal/stdout');
	if (journal)
		await show('The same records are in the journal, as fields', async () => {
			execFileSync('journalctl', ['--sync']);
			const lines = execFileSync('journalctl', ['-q', '-o', 'json', '-n', '2', 'ZG_SERVER=github', 'ZG_TOOL=read_issue', `ZG_PID=${pid}`]).toString().trim().split('\n');
			holds(lines[0], 'nothing found by field');
			for (const r of lines.map((l) => JSON.parse(l)))
				say(`${paint('36', 'journal')} MESSAGE_ID=${r.MESSAGE_ID} ZG_DECISION=${r.ZG_DECISION} ZG_RULES=${r.ZG_RULES} ZG_PID=${r.ZG_PID}`);
		});

	await show('The agent is killed with -9: the unregistered server is still refused', async () => {
		const pids = await agent.kill();
		await agent.exited;
		say(`killed: ${pids.join(' ')}; running: ${agent.pids().length}`);
		await refuse(every);
		const { error } = await client.do('dial', { host: '127.0.0.1', port: github.port });
		holds(error, 'the registered server was reached without the gateway');
		say(`the registered server, without a gateway -> ${error.code}`);
		await agent.start();
		const again = await client.must('connect', { url: gateway, client: 'again' });
		say(`restarted, ready after ${agent.startMs.toFixed(0)} ms; ${again.server.name} answers the same client again`);
	});

	await show('audit verify: good, and bad after one byte is changed in a copy', async () => {
		await client.end();
		await agent.halt();
		const audit = path.join(agent.dir, 'state', 'audit'), copy = path.join(agent.dir, 'copy');
		const verify = async (dir) => {
			say(paint('33', `$ zerogate audit verify ${dir}`));
			const answer = await agent.zg(['audit', 'verify', dir]);
			for (const line of (answer.stdout + answer.stderr).trim().split('\n'))
				say(line);
			say(`exit status ${answer.code}`);
			return answer.code;
		};
		holds(await verify(audit) === 0, 'the chain is not good');
		fs.cpSync(audit, copy, { recursive: true });
		const segment = path.join(copy, fs.readdirSync(copy).find((f) => f.endsWith('.jsonl')));
		const bytes = fs.readFileSync(segment);
		bytes[Math.floor(bytes.length / 2)] ^= 1;
		fs.writeFileSync(segment, bytes);
		holds(await verify(copy) === 1, 'the changed byte was not noticed');
	});
} finally {
	await agent.stop();
	await Promise.all([github, rogue, shadow, vendor, dns].map((s) => s.close()));
}

await show('Nothing is left behind', async () => {
	const remains = left(agent);
	holds(remains.length === 0, remains.join(' '));
	say(`no process, no cgroup below ${cgroupMount()}, no mount, no pin, no folder`);
});

console.log(`\n${step - failed} of ${step} steps hold, ${((performance.now() - started) / 1000).toFixed(0)} s`);
process.exit(failed ? 1 : 0);
