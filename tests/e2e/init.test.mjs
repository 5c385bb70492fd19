// SPDX-License-Identifier: Apache-2.0
// zerogate init: client configurations are found, shown, rewritten with a
// backup, and put back. Needs neither root nor an agent.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { build, repo } from './agent.mjs';

const entry = (id, members, more = {}) => JSON.stringify({ name: `t/${id}`, description: id, version: '1', ...more,
	_meta: { 'dev.zerogate/registry': { id, ...members } } });

function home(t) {
	const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'zg-init-')));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	const write = (name, text, mode = 0o644) => {
		const file = path.join(dir, name);
		fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
		fs.writeFileSync(file, typeof text === 'string' ? text : JSON.stringify(text, null, 4), { mode });
		fs.chmodSync(file, mode);
		return file;
	};
	write('etc/zerogate.yaml', 'version: v1\nprofiles:\n  agent:\n    cgroups: ["zerogate.slice"]\n    servers: ["*"]\n');
	write('etc/policies/p.yaml', fs.readFileSync(path.join(repo, 'policies/examples/mcp-governance.yaml'), 'utf8'));
	write('etc/servers/files.json', entry('files', { command: '/bin/cat', args: ['--show', '/srv'] }));
	write('etc/servers/github.json', entry('github', {}, { remotes: [{ type: 'streamable-http', url: 'http://10.0.0.1/mcp' }] }));
	const init = (...args) => spawnSync(path.join(build, 'zerogate'), ['init', '--config', path.join(dir, 'etc/zerogate.yaml'), ...args],
		{ cwd: path.join(dir, 'work'), env: { HOME: path.join(dir, 'home'), PATH: '/usr/bin:/bin' }, encoding: 'utf8' });
	fs.mkdirSync(path.join(dir, 'work'));
	fs.mkdirSync(path.join(dir, 'home'));
	return { dir, write, init, read: (name) => JSON.parse(fs.readFileSync(path.join(dir, name), 'utf8')) };
}

const CLIENT = {
	theme: 'dark', mcpServers: {
		mine: { command: 'cat', args: ['--show', '/srv'], env: { API_TOKEN: 'verysecret', LANG: 'C' } },
		other: { command: 'cat', args: ['--show', '/etc'] },
		gh: { type: 'http', url: 'http://10.0.0.1/mcp', headers: { Authorization: 'Bearer verysecret' } },
	}, last: [1, { b: 2, a: 1 }],
};

test('shows what would change, and changes nothing', (t) => {
	const h = home(t);
	const before = fs.readFileSync(h.write('home/.cursor/mcp.json', CLIENT), 'utf8');
	const { status, stdout, stderr } = h.init();
	assert.equal(status, 0, stderr);
	assert.match(stdout, /\.cursor\/mcp\.json/);
	assert.match(stdout, /- mine: cat --show \/srv\n/);
	assert.match(stdout, /\+ mine: \S+\/zerogate stdio files\n/);
	assert.match(stdout, /\+ gh: http:\/\/127\.0\.0\.1:7411\/github\/mcp/);
	assert.match(stdout, /not registered; an entry to review/);
	assert.match(stdout, /"command": "\/usr\/bin\/cat"/);
	assert.match(stdout, /a secret in env: API_TOKEN/);
	assert.match(stdout, /a secret in headers: Authorization/);
	assert.doesNotMatch(stdout + stderr, /verysecret/);
	assert.equal(fs.readFileSync(path.join(h.dir, 'home/.cursor/mcp.json'), 'utf8'), before);
});

test('rewrites with a backup, once, and puts it back', (t) => {
	const h = home(t);
	const file = h.write('home/.claude.json', { projects: { '/p': CLIENT }, mcpServers: CLIENT.mcpServers }, 0o600);
	h.write('work/.vscode/mcp.json', { servers: CLIENT.mcpServers });
	const before = fs.readFileSync(file, 'utf8');
	assert.equal(h.init('--apply').status, 0);
	const now = h.read('home/.claude.json');
	assert.deepEqual(now.mcpServers.mine.args, ['stdio', 'files']);
	assert.deepEqual(now.projects['/p'].mcpServers.mine.args, ['stdio', 'files']);
	assert.equal(now.mcpServers.gh.url, 'http://127.0.0.1:7411/github/mcp');
	assert.deepEqual(now.mcpServers.other, CLIENT.mcpServers.other);
	assert.deepEqual(Object.keys(now.projects['/p']), Object.keys(CLIENT), 'order is kept');
	assert.deepEqual(now.projects['/p'].last, CLIENT.last);
	assert.deepEqual(h.read('work/.vscode/mcp.json').servers.mine.args, ['stdio', 'files']);
	assert.equal(fs.statSync(file).mode & 0o777, 0o600);
	const backups = () => fs.readdirSync(path.join(h.dir, 'home')).filter((n) => n.includes('zerogate-backup'));
	assert.equal(backups().length, 1);
	assert.match(h.init('--apply').stdout, /nothing to change/);
	assert.equal(backups().length, 1);
	assert.equal(h.init('--undo').status, 0);
	assert.equal(fs.readFileSync(file, 'utf8'), before);
	assert.equal(backups().length, 0);
});

// Where clients keep theirs, below the home or the folder that init runs in, and under which member
const PLACES = {
	'Claude Code, of the user': ['home/.claude.json', ['mcpServers']],
	'Claude Code, of a project': ['work/.mcp.json', ['mcpServers']],
	'Claude Desktop': ['home/.config/Claude/claude_desktop_config.json', ['mcpServers']],
	'Cursor, of the user': ['home/.cursor/mcp.json', ['mcpServers']],
	'Cursor, of a project': ['work/.cursor/mcp.json', ['mcpServers']],
	'VS Code, of the user': ['home/.config/Code/User/mcp.json', ['servers']],
	'VS Code, in its settings': ['home/.config/Code/User/settings.json', ['mcp', 'servers']],
	'VS Code, of a project': ['work/.vscode/mcp.json', ['servers']],
	'mcp.json': ['work/mcp.json', ['mcpServers']],
};
for (const [client, [file, members]] of Object.entries(PLACES))
	test(`${client}: found, shown, rewritten with a backup, and put back`, (t) => {
		const h = home(t);
		const before = JSON.stringify(members.reduceRight((inner, name) => ({ [name]: inner }), CLIENT.mcpServers), null, 2);
		const at = h.write(file, before, 0o600);
		const kept = () => fs.readFileSync(at, 'utf8'), beside = () => fs.readdirSync(path.dirname(at)).filter((n) => n.includes('zerogate-backup'));
		const shown = h.init();
		assert.equal(shown.status, 0, shown.stderr);
		assert.ok(shown.stdout.includes(file.split('/').slice(1).join('/')), shown.stdout);
		assert.match(shown.stdout, /\+ mine: \S+\/zerogate stdio files\n/);
		assert.equal(kept(), before);
		assert.equal(h.init('--apply').status, 0);
		const now = members.reduce((inner, name) => inner[name], h.read(file));
		assert.deepEqual(now.mine.args, ['stdio', 'files']);
		assert.match(now.mine.command, /\/zerogate$/);
		assert.equal(now.gh.url, 'http://127.0.0.1:7411/github/mcp');
		assert.deepEqual(now.other, CLIENT.mcpServers.other, 'what is not registered stays');
		assert.equal(fs.readFileSync(path.join(path.dirname(at), beside()[0]), 'utf8'), before);
		assert.equal(h.init('--undo').status, 0);
		assert.equal(kept(), before);
		assert.deepEqual(beside(), []);
	});

test('leaves alone what is not plain JSON, and writes entries to review', (t) => {
	const h = home(t);
	const jsonc = '{\n  // mine\n  "servers": {}\n}\n';
	const file = h.write('work/.vscode/mcp.json', jsonc);
	const refused = h.init('--apply');
	assert.equal(refused.status, 1);
	assert.match(refused.stderr, /\.vscode\/mcp\.json:2:\d+: not plain JSON/);
	assert.equal(fs.readFileSync(file, 'utf8'), jsonc);
	const one = h.write('one.json', CLIENT);
	fs.mkdirSync(path.join(h.dir, 'review'));
	const args = ['--file', one, '--write-registry', path.join(h.dir, 'review')];
	assert.equal(h.init(...args).status, 0);
	const made = h.read('review/other.json');
	assert.deepEqual(made._meta['dev.zerogate/registry'].args, ['--show', '/etc']);
	fs.copyFileSync(path.join(h.dir, 'review/other.json'), path.join(h.dir, 'etc/servers/other.json'));
	fs.chmodSync(path.join(h.dir, 'etc/servers/other.json'), 0o644);
	assert.match(h.init('--file', one).stdout, /\+ other: \S+ stdio other/, 'what was proposed can be registered');
	assert.equal(h.init(...args, '--apply').status, 0);
});

test('as root, no link leads out of a home', { skip: process.getuid() !== 0 && 'needs root' }, (t) => {
	const h = home(t);
	const target = h.write('elsewhere/config.json', CLIENT);
	fs.symlinkSync(target, path.join(h.dir, 'home/.claude.json'));
	fs.symlinkSync(path.join(h.dir, 'elsewhere'), path.join(h.dir, 'home/.cursor'));
	fs.copyFileSync(target, path.join(h.dir, 'elsewhere/mcp.json'));
	const before = fs.readFileSync(target, 'utf8');
	const { status, stderr } = h.init('--apply');
	assert.equal(status, 1);
	assert.match(stderr, /symbolic link/);
	assert.equal(fs.readFileSync(target, 'utf8'), before);
	assert.equal(fs.readFileSync(path.join(h.dir, 'elsewhere/mcp.json'), 'utf8'), before);
});
