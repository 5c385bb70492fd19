// SPDX-License-Identifier: Apache-2.0
// stdio_shadow.test.mjs - MCP servers that a workload starts by itself: real
// ones from npm and others that write differently, in each mode of
// shadow_mcp.stdio, changed by reloads.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs, startAgent, until } from './agent.mjs';

const INITIALIZE = { jsonrpc: '2.0', id: 0, method: 'initialize',
	params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } };
const HOVER = { jsonrpc: '2.0', id: 1, method: 'textDocument/hover', params: {} };

describe('an MCP server on stdio that nobody registered', needs(), () => {
	let agent, inside, servers;

	const shadows = () => agent.records().filter((r) => r.kind === 'shadow.mcp');
	const attached = () => fs.readdirSync(path.join(agent.dir, 'bpf/zerogate')).filter((f) => f.startsWith('link_zg_stdio'));
	const launch = ([file, ...args], sdk) => inside.must('launch', { command: agent.node, args: [path.join(agent.src, 'tests/e2e', file), ...args], sdk });

	async function mode(word) {
		const text = fs.readFileSync(agent.config, 'utf8');
		fs.writeFileSync(agent.config, text.replace(/stdio: \w+/, `stdio: ${word}`));
		const { code, stderr } = await agent.zg(['reload']);
		assert.equal(code, 0, stderr);
	}

	before(async () => {
		agent = await startAgent({ more: '    shadow_mcp: {stdio: kill}\n' });
		inside = await agent.inside();
		servers = {
			everything: ['node_modules/@modelcontextprotocol/server-everything/dist/index.js', 'stdio'],
			filesystem: ['node_modules/@modelcontextprotocol/server-filesystem/dist/index.js', '/tmp'],
			'a line a write': ['stdio_servers.mjs', 'lines'],
			'byte by byte': ['stdio_servers.mjs', 'bytes'],
		};
	});
	after(() => agent?.stop());

	for (const name of ['everything', 'filesystem', 'a line a write', 'byte by byte'])
		for (const sdk of [1, 2])
			test(`kill: ${name} ends before it serves the client of SDK ${sdk}`, async () => {
				const earlier = shadows().length;
				const { tools, failed } = await launch(servers[name], sdk);
				assert.equal(tools, undefined);
				assert.match(failed, /closed/i);
				await until(() => shadows().length === earlier + 1, 'shadow.mcp');
				const record = shadows().at(-1);
				assert.equal(record.outcome, 'killed');
				assert.equal(record.decision, 'DENY');
				assert.equal(record.layer, 'stdio');
				assert.equal(record.profile, 'agent');
				assert.match(record.evidence, /protocolVersion.*serverInfo/);
				assert.match(record.comm, /^(node|MainThread)/);
				assert.match(record.path, /node$/);
				assert.match(record.cgroup, /run-/);
			});

	test('kill: a language server serves', async () => {
		const earlier = shadows().length;
		const { heard, code } = await inside.must('converse', { command: agent.node,
			args: [path.join(agent.src, 'tests/e2e/stdio_servers.mjs'), 'lsp'], lines: [INITIALIZE, HOVER] });
		assert.match(heard, /serverInfo/);
		assert.match(heard, /a hover/);
		assert.equal(code, 0);
		assert.equal(shadows().length, earlier);
	});

	test('audit: it serves, and is recorded', async () => {
		const earlier = shadows().length;
		await mode('audit');
		for (const name of Object.keys(servers))
			assert.ok((await launch(servers[name])).tools > 0, name);
		await until(() => shadows().length === earlier + Object.keys(servers).length, 'a record each');
		assert.equal(shadows().at(-1).outcome, 'passed');
	});

	test('off: it serves, nothing is recorded and nothing is attached', async () => {
		assert.ok(attached().length > 0);
		await mode('off');
		assert.deepEqual(attached(), []);
		const earlier = shadows().length;
		assert.ok((await launch(servers.everything)).tools > 0);
		assert.equal(shadows().length, earlier);
		await mode('kill');
		assert.equal((await launch(servers.everything)).tools, undefined);
	});
});
