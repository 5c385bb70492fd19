// SPDX-License-Identifier: Apache-2.0
// cli.test.mjs - zerogate without an agent: the forms that other programs read,
// what errors name, what each exit status means, and what is installed.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { repo } from './agent.mjs';

const build = process.env.ZG_BUILD ?? path.join(repo, 'build');
const EXAMPLES = path.join(repo, 'policies/examples.yaml');

function zerogate(args, input = '') {
	const { status, stdout, stderr } = spawnSync(path.join(build, 'zerogate'), args, { input, encoding: 'utf8', timeout: 60000 });
	return { status, stdout, stderr, rows: () => stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line)) };
}

const explain = (envelope, ...more) => zerogate(['policy', 'explain', '--json', ...more, '--config', EXAMPLES, '-'],
	typeof envelope === 'string' ? envelope : JSON.stringify(envelope));

describe('policy test', () => {
	for (const [config, cases] of [['examples.yaml', 168], ['default.yaml', 5]])
		test(`every case beside policies/${config} holds`, () => {
			const answer = zerogate(['policy', 'test', '--config', path.join(repo, 'policies', config)]);
			assert.equal(answer.status, 0, answer.stdout);
			assert.match(answer.stdout, new RegExp(`^${cases} passed, 0 failed$`, 'm'));
		});
});

describe('policy explain', () => {
	for (const [envelope, decision, rules, constraints, status] of [
		[{ server: 'github', tool: 'get_me' }, 'ALLOW', ['allow-read-approved-servers'], {}, 0],
		[{ server: 'github', tool: 'merge_pull_request' }, 'REQUIRE_APPROVAL', ['require-approval-production-write'],
			{ max_runtime_sec: 60, max_retries: 1 }, 0],
		[{ server: 'github', tool: 'create_issue' }, 'ALLOW_WITH_CONSTRAINTS', ['constrain-medium-risk'],
			{ max_runtime_sec: 30, network_allowlist: ['api.github.com', 'api.slack.com'] }, 0],
		[{ server: 'nobody' }, 'DENY', [], {}, 1],
		[{ server: 'github' }, 'REQUIRE_APPROVAL', ['require-approval-production-write'], { max_runtime_sec: 60, max_retries: 1 }, 0],
		[{ server: 'github', tool: null, method: null, labels: null, risk_tags: null, arguments: null, principal: null },
			'REQUIRE_APPROVAL', ['require-approval-production-write'], { max_runtime_sec: 60, max_retries: 1 }, 0],
		[{ server: 'github', labels: { 'mcp.action': 'read' } }, 'ALLOW', ['allow-read-approved-servers'], {}, 0],
		[{ server: 'github', risk_tags: ['non_prod'] }, 'ALLOW_WITH_CONSTRAINTS', ['constrain-medium-risk'],
			{ max_runtime_sec: 30, network_allowlist: ['api.github.com', 'api.slack.com'] }, 0],
		[{ server: 'github', risk_tags: [] }, 'DENY', [], {}, 1],
		[{ server: 'github', method: 'nobody/knows' }, 'DENY', [], {}, 1],
	])
		test(JSON.stringify(envelope), () => {
			const answer = explain(envelope);
			const [row] = answer.rows();
			assert.deepEqual(Object.keys(row), ['decision', 'rules', 'constraints', 'reason', 'snapshot']);
			assert.deepEqual([row.decision, row.rules, row.constraints, answer.status], [decision, rules, constraints, status]);
			assert.match(row.snapshot, /^[0-9a-f]{64}$/);
			assert.ok(row.reason.length > 0);
		});

	// 'trial' may use github alone, and nobody is in a profile that the file has not
	for (const [profile, server, allowed] of [['trial', 'github', true], ['trial', 'jira', false], ['agent', 'jira', true],
		['nobody', 'github', false], [undefined, 'jira', true]])
		test(`a caller in profile ${profile} and server ${server}`, () => {
			const [row] = explain({ server, labels: { 'mcp.action': 'read' }, principal: { profile, uid: 1000 } }).rows();
			assert.equal(row.decision, allowed ? 'ALLOW' : 'DENY');
			assert.equal(row.reason.includes("the caller's profile may not use server"), !allowed);
		});

	for (const text of ['', '{', '[]', 'null', '{}', '{"server":null}', '{"server":5}', '{"server":"github"} x',
		'{"server":"github","server":"jira"}', '{"server":"github","other":1}', '{"server":"github","risk_tags":"prod"}',
		'{"server":"github","labels":{"mcp.action":1}}', '{"server":"git\\u0000hub"}', '['.repeat(100000)])
		test(`not an envelope: ${text.slice(0, 60)}`, () => {
			const answer = explain(text);
			assert.equal(answer.status, 2);
			assert.deepEqual(Object.keys(answer.rows()[0]), ['error', 'line']);
		});

	test('--lines: one answer a line, a bad line does not end the stream', () => {
		const answer = explain('{"server":"github","tool":"get_me"}\r\n{bad\n{"server":"nobody"}\n{"server":"jira"}', '--lines');
		assert.deepEqual(answer.rows().map((row) => row.decision ?? row.line), ['ALLOW', 2, 'DENY', 'REQUIRE_APPROVAL']);
		assert.equal(answer.status, 2);
	});
});

describe('scan', () => {
	const key = 'AKIA' + 'Z7QX5M3PLN2W4RTB';

	test('offsets are bytes of the input, end exclusive', () => {
		const answer = zerogate(['scan', '--json', '-'], `für € ${key} und 4242 4242 4242 4242.`);
		assert.deepEqual(answer.rows(), [
			{ kind: 'aws-access-key', class: 'secret', start: 9, end: 29, verdict: 'REDACT', validator: 'structure' },
			{ kind: 'credit-card', class: 'pii', start: 34, end: 53, verdict: 'REDACT', validator: 'luhn' }]);
		assert.equal(answer.status, 1);
	});

	test('nothing found: no line, status 0', () => {
		const answer = zerogate(['scan', '--json', '-'], 'nothing to see');
		assert.deepEqual([answer.stdout, answer.status], ['', 0]);
	});

	test('--lines: ids come back, text is redacted, offsets are of the decoded text', () => {
		const escaped = `{"id":7,"text":"\\u20ac ${key.replace('Z', '\\u005a')}"}`;
		const [found, clean, bad] = zerogate(['scan', '--lines', '-'], `${escaped}\n{"id":"b","text":"clean"}\n{"id":"c"}\n`).rows();
		assert.deepEqual(found, { id: 7, verdict: 'REDACT',
			findings: [{ kind: 'aws-access-key', class: 'secret', start: 4, end: 24, verdict: 'REDACT', validator: 'structure' }],
			text: '€ [zerogate:aws-access-key:1]' });
		assert.deepEqual(clean, { id: 'b', verdict: 'ALLOW', findings: [], text: 'clean' });
		assert.deepEqual(Object.keys(bad), ['id', 'error']);
	});
});

describe('policy check', () => {
	let dir;

	before(() => { dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-cli-')); });
	after(() => fs.rmSync(dir, { recursive: true, force: true }));

	// One wrong place in a good configuration of the documentation.
	for (const [file, from, to, place] of [
		['z.yaml', 'version: v1', 'version: v2', '1:10'],
		['z.yaml', 'policies:', 'polices:', '2:1'],
		['z.yaml', 'zerogate.slice', 'zerogate.slice/', '6:14'],
		['policies/p.yaml', 'decision: DENY', 'decision: NO', '33:15'],
		['policies/p.yaml', 'max_retries', 'max_retry', '17:7'],
		['policies/p.yaml', 'mcp.action: read', 'mcp.action: reed', '6:21'],
		['policies/p.yaml', 'rules:', 'rules: [', '3:3'],
		['servers/github.json', '"streamable-http"', '"carrier-pigeon"', null],
		['servers/github.json', '"owner"', '"owners"', null],
		['servers/github.json', '}', '', null],
	])
		test(`${file}: ${to || 'a brace is missing'}`, () => {
			for (const folder of ['policies', 'servers'])
				fs.mkdirSync(path.join(dir, folder), { recursive: true });
			fs.writeFileSync(path.join(dir, 'z.yaml'), 'version: v1\npolicies: policies\nservers: servers\nprofiles:\n  agent:\n    cgroups: ["zerogate.slice"]\n');
			fs.copyFileSync(path.join(repo, 'policies/examples/mcp-governance.yaml'), path.join(dir, 'policies/p.yaml'));
			fs.copyFileSync(path.join(repo, 'policies/examples/servers/github.json'), path.join(dir, 'servers/github.json'));
			const config = path.join(dir, 'z.yaml'), broken = path.join(dir, file), text = fs.readFileSync(broken, 'utf8');
			assert.equal(zerogate(['policy', 'check', '--config', config]).status, 0);
			assert.ok(text.includes(from));
			fs.writeFileSync(broken, text.replace(from, to));
			const { status, stderr } = zerogate(['policy', 'check', '--config', config]);
			assert.equal(status, 1);
			assert.ok(stderr.includes(`${broken}:${place ?? ''}`), stderr);
			assert.match(stderr, /:[1-9]\d*:[1-9]\d*: \S/);
			const [row] = zerogate(['policy', 'check', '--json', '--config', config]).rows();
			assert.equal(row.valid, false);
			assert.ok(row.errors.some((e) => e.file === broken && e.line > 0 && e.column > 0));
		});
});

describe('exit statuses', () => {
	for (const args of [['status'], ['reload'], ['detach'], ['run', '--', 'true'], ['approvals', 'list'], ['approvals', 'show', 'ap-1'],
		['approvals', 'approve', 'ap-1'], ['approvals', 'deny', 'ap-1'], ['audit', 'tail']])
		test(`3: no agent to ask: ${args.join(' ')}`, () => {
			const { status, stderr } = zerogate(['--socket', '/nonexistent/control.sock', ...args]);
			assert.equal(status, 3);
			assert.match(stderr, /cannot reach the agent at \/nonexistent\/control\.sock[^]*--socket/);
		});

	for (const args of [[], ['nonsense'], ['--nonsense'], ['run'], ['run', '--nonsense', '--', 'true'], ['scan'], ['policy'], ['policy', 'explain'],
		['policy', 'check', 'x', 'y'], ['approvals'], ['approvals', 'approve'], ['audit'], ['audit', 'tail', '-n', 'many'], ['status', 'x']])
		test(`2: usage: ${args.join(' ') || '(nothing)'}`, () => {
			const { status, stderr } = zerogate(args);
			assert.equal(status, 2);
			assert.match(stderr, /usage: zerogate/);
		});

	test('2: a file that is not there is named', () => {
		for (const args of [['audit', 'verify'], ['scan'], ['policy', 'explain', '--config', EXAMPLES]]) {
			const { status, stderr } = zerogate([...args, '/nonexistent/file']);
			assert.equal(status, 2);
			assert.match(stderr, /\/nonexistent\/file: No such file or directory/);
		}
	});

	test('0: --help and --version', () => {
		assert.match(zerogate(['--help']).stdout, /usage: zerogate/);
		assert.match(zerogate(['--version']).stdout, /^zerogate \d+\.\d+\.\d+\n$/);
	});
});

test('the manual names every kind and field of the audit log, and every verb', () => {
	const text = (file) => fs.readFileSync(path.join(repo, file), 'utf8');
	const audit = text('agent/ledger/zerogate-audit.5');
	const names = [...text('include/tbl/record_kind.h').matchAll(/^X\(\w+, "([a-z_.]+)"/gm),
		...text('include/tbl/record_field.h').matchAll(/^(?:STR|NUM|HEX|ADR)\((\w+)/gm)].map(([, name]) => name);
	assert.ok(names.length > 60, 'the tables were read');
	for (const name of names)
		assert.match(audit, new RegExp(`(^| )${name.replace('.', '\\.')}( |\\\\|$)`, 'm'), name);
	const verbs = [...zerogate(['--help']).stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, verb]) => verb);
	for (const verb of verbs)
		assert.match(text('tools/zerogate/zerogate.1'), new RegExp(`^\\.It Ic ${verb}\\b`, 'm'));
});

test('make install fills DESTDIR, and leaves what an administrator changed', () => {
	const dest = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-install-'));
	const { MAKEFLAGS, MFLAGS, MAKELEVEL, ...env } = process.env;
	const install = () => execFileSync('make', ['-s', '-C', repo, `O=${build}`, 'install', `DESTDIR=${dest}`, 'PREFIX=/usr'], { env, stdio: 'pipe' });

	try {
		install();
		for (const file of ['usr/sbin/zerogated', 'usr/bin/zerogate', 'usr/share/man/man8/zerogated.8', 'usr/share/man/man1/zerogate.1',
			'usr/share/man/man5/zerogate.yaml.5', 'usr/share/man/man5/zerogate-policy.5', 'usr/share/man/man5/zerogate-audit.5',
			'usr/lib/systemd/system/zerogate.service', 'usr/lib/systemd/system/zerogate.slice', 'usr/lib/sysusers.d/zerogate.conf',
			'usr/lib/tmpfiles.d/zerogate.conf', 'etc/zerogate/zerogate.yaml', 'etc/zerogate/policies/default.yaml'])
			assert.ok(fs.statSync(path.join(dest, file)).isFile(), file);
		const config = path.join(dest, 'etc/zerogate/zerogate.yaml');
		assert.equal(zerogate(['policy', 'check', '--config', config]).status, 0);
		fs.appendFileSync(config, '# mine\n');
		install();
		assert.match(fs.readFileSync(config, 'utf8'), /# mine\n$/);
	} finally {
		fs.rmSync(dest, { recursive: true, force: true });
	}
});
