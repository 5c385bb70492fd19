// SPDX-License-Identifier: Apache-2.0
// `zerogate stdio ID`: real local servers, started by the agent in cgroups and
// profiles of their own, spoken to with the official SDKs over pipes; and what
// such a server, or its client, tries in order to get around that.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import * as sdk2 from '@modelcontextprotocol/client';
import * as sdk2stdio from '@modelcontextprotocol/client/stdio';
import { CLIENT_UID, needs, startAgent, until, within } from './agent.mjs';

process.env.TMPDIR = '/run'; // servers have a /tmp of their own

const POLICY = `version: v1
rules:
  - id: all
    match: {labels: {mcp.server: "*"}}
    decision: ALLOW
  - id: ask
    match: {labels: {mcp.tool: "held*"}}
    decision: REQUIRE_APPROVAL
  - id: short
    match: {labels: {mcp.tool: "hang"}}
    decision: ALLOW_WITH_CONSTRAINTS
    constraints: {max_runtime_sec: 1}
  - id: no
    match: {labels: {mcp.tool: "forbidden"}}
    decision: DENY
`;

const NPM = {
	everything: 'server-everything', filesystem: 'server-filesystem',
	memory: 'server-memory', thinking: 'server-sequential-thinking',
};

// An agent with local servers; each: (agent) => members of its registry entry.
async function stdioAgent(t, servers, options = {}) {
	const agent = await startAgent({ policy: POLICY, ...options });
	t.after(() => agent.stop());
	agent.local = (id, members) => fs.writeFileSync(path.join(agent.dir, `etc/servers/${id}.json`), JSON.stringify({
		name: `dev.zerogate.test/${id}`, description: id, version: '1.0.0',
		_meta: { 'dev.zerogate/registry': { id, ...members } },
	}));
	for (const [id, members] of Object.entries(servers))
		agent.local(id, typeof members === 'function' ? members(agent) : members);
	const done = await agent.zg(['reload']);
	assert.equal(done.code, 0, done.stderr + agent.logText());
	return agent;
}

const npm = (agent, name, ...args) => ({
	command: agent.node,
	args: [path.join(agent.src, 'tests/e2e/node_modules/@modelcontextprotocol', NPM[name], 'dist/index.js'), ...args],
});
const fixture = (agent, ...args) => ({ command: agent.node, args: [path.join(agent.src, 'tests/e2e/stdio_fixture.mjs'), ...args] });

// What a client puts in the place of the server's command.
function launcher(agent, id, { uid = CLIENT_UID, governed = true, env = {} } = {}) {
	const zg = [path.join(agent.bin, 'zerogate'), '--socket', agent.socket];
	const command = [
		'setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups',
		...(governed ? [...zg, 'run', '--'] : []), ...zg, 'stdio', id,
	];
	return { command: command[0], args: command.slice(1), env: { PATH: process.env.PATH, ...env }, stderr: 'pipe', cwd: '/' };
}

async function connect(t, agent, id, options = {}) {
	const transport = new StdioClientTransport(launcher(agent, id, options));
	const client = new Client({ name: 'test', version: '1' }, { capabilities: { sampling: {}, roots: {}, elicitation: {} } });
	let errors = '';
	transport.stderr.on('data', (chunk) => { errors += chunk; });
	t.after(() => client.close());
	try {
		await within(client.connect(transport), `connecting to ${id}`, 20000);
	} catch (e) {
		throw new Error(`${e.message}\n${errors}\n${agent.logText()}`);
	}
	client.errors = () => errors;
	client.pid = transport.pid;
	return client;
}

// Lines in, lines out, and how it ended.
function raw(agent, id, options) {
	const { command, args, env, cwd } = launcher(agent, id, options);
	const child = spawn(command, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
	const it = { child, out: '', err: '' };
	child.stdin.on('error', () => {});
	child.stdout.on('data', (chunk) => { it.out += chunk; });
	child.stderr.on('data', (chunk) => { it.err += chunk; });
	it.ended = new Promise((done) => child.on('close', (code, signal) => done({ code, signal, ...it })));
	it.say = (message) => child.stdin.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n');
	it.messages = () => it.out.split('\n').slice(0, -1).map((l) => JSON.parse(l));
	it.hears = (match) => until(() => it.messages().find(match), `a message; so far: ${it.out} ${it.err}`);
	return it;
}

const text = (result) => result.content[0].text;

test('the reference servers work over pipes as they do alone', needs(), async (t) => {
	const agent = await stdioAgent(t, {
		everything: (a) => npm(a, 'everything', 'stdio'),
		memory: (a) => ({ ...npm(a, 'memory'), env: { MEMORY_FILE_PATH: '/tmp/memory.json' } }),
		files: (a) => npm(a, 'filesystem', '/usr/share'),
		thinking: (a) => npm(a, 'thinking'),
	});

	const everything = await connect(t, agent, 'everything');
	assert.ok((await everything.listTools()).tools.length > 5);
	assert.match(text(await everything.callTool({ name: 'echo', arguments: { message: 'hello' } })), /hello/);
	const progress = [];
	await everything.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } }, undefined,
		{ onprogress: (p) => progress.push(p.progress) });
	assert.ok(progress.length >= 2, 'progress arrives while the call runs');
	assert.ok((await everything.listResources()).resources.length > 0);
	assert.ok((await everything.listPrompts()).prompts.length > 0);

	const memory = await connect(t, agent, 'memory');
	await memory.callTool({ name: 'create_entities', arguments: { entities: [{ name: 'x', entityType: 'y', observations: ['z'] }] } });
	assert.match(text(await memory.callTool({ name: 'read_graph', arguments: {} })), /"x"/);

	const files = await connect(t, agent, 'files');
	assert.match(text(await files.callTool({ name: 'list_directory', arguments: { path: '/usr/share' } })), /\[DIR\]/);

	const thinking = await connect(t, agent, 'thinking');
	const thought = await thinking.callTool({ name: 'sequentialthinking', arguments: { thought: 'a', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 } });
	assert.match(text(thought), /thoughtNumber/);

	const start = await agent.record((r) => r.kind === 'server.start' && r.server === 'memory');
	assert.match(start.cgroup, /^zerogate\.slice\/run-/, 'for whom');
	assert.equal(start.file, agent.node);
	assert.match(start.evidence, /bounded/);
	await memory.close();
	await agent.record((r) => r.kind === 'server.exit' && r.server === 'memory');
	await agent.record((r) => r.kind === 'call.outcome' && r.server === 'memory' && r.tool === 'read_graph' && r.outcome === 'ok');
});

test('the newer SDK speaks to a local server, too', needs(), async (t) => {
	const agent = await stdioAgent(t, { everything: (a) => npm(a, 'everything', 'stdio') });
	const transport = new sdk2stdio.StdioClientTransport(launcher(agent, 'everything'));
	const client = new sdk2.Client({ name: 'test', version: '2' });
	t.after(() => client.close());
	await within(client.connect(transport), 'connecting', 20000);
	assert.match(text(await client.callTool({ name: 'echo', arguments: { message: 'two' } })), /two/);
});
