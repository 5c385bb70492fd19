// SPDX-License-Identifier: Apache-2.0
// executable.test.mjs - rules about the file that a caller executes: by its path
// and by its digest, as the kernel attests it.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, TOOLS, needs, startAgent } from './agent.mjs';
import { startServer } from './servers.mjs';

const BODY = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'read_issue', arguments: { number: 1 } } });

describe('what a caller executes', needs(), () => {
	let agent, server;
	const sha256 = crypto.createHash('sha256').update(fs.readFileSync('/usr/bin/curl')).digest('hex');

	before(async () => {
		server = await startServer();
		agent = await startAgent({ servers: [{ id: 'one', url: server.url(), tools: TOOLS }] });
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	async function call(principal) {
		agent.policy(`version: v1\nrules:\n  - id: by-executable\n    match: {principal: ${JSON.stringify(principal)}}\n    decision: ALLOW\n`);
		const { code, stderr } = await agent.zg(['reload']);
		assert.equal(code, 0, stderr);
		const { stdout } = await agent.zg(['run', '--', 'curl', '-sS', '--noproxy', '*', '--max-time', '20',
			'-H', 'Content-Type: application/json', '-H', 'Accept: application/json, text/event-stream',
			'-H', 'MCP-Protocol-Version: 2025-06-18', '-d', BODY, agent.url('one')], { uid: CLIENT_UID });
		return stdout;
	}

	test('its path, and its digest, each allow it', async () => {
		// the server's own answer to a call without a session: it was let through
		for (const principal of [{ executable: '/usr/bin/curl' }, { executable_sha256: sha256 },
			{ executable: '/usr/bin/curl', executable_sha256: sha256 }])
			assert.match(await call(principal), /Server not initialized/, JSON.stringify(principal));
	});

	test('another path or digest does not', async () => {
		for (const principal of [{ executable: '/usr/bin/python3' }, { executable_sha256: 'ab'.repeat(32) },
			{ executable: '/usr/bin/curl', executable_sha256: 'ab'.repeat(32) }])
			assert.match(await call(principal), /zerogate denied/, JSON.stringify(principal));
	});
});
