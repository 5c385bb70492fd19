// SPDX-License-Identifier: Apache-2.0
// capture_lists.mjs FOLDER - what the locked servers of npm say of themselves,
// each answer as it came: tests/data/lists is made with it.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const folder = process.argv[2];
const packages = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/@modelcontextprotocol');
const initialize = { protocolVersion: '2025-11-25', clientInfo: { name: 'capture', version: '1' },
	capabilities: { roots: {}, sampling: {}, elicitation: {} } };

for (const [name, ...args] of [['everything'], ['filesystem', '/tmp'], ['memory'], ['sequential-thinking']]) {
	const server = spawn(process.execPath, [path.join(packages, `server-${name}/dist/index.js`), ...args],
		{ stdio: ['pipe', 'pipe', 'ignore'], env: { MEMORY_FILE_PATH: '/nonexistent' } });
	const lines = readline.createInterface({ input: server.stdout });
	const say = (message) => server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
	const answers = [];
	const ask = ['tools/list', 'prompts/list', 'resources/templates/list', 'resources/list'];
	say({ id: 0, method: 'initialize', params: initialize });
	for await (const line of lines) {
		const { id, method, result } = JSON.parse(line);
		if (method) { // a request of the server: roots, say
			if (id !== undefined)
				say({ id, result: { roots: [] } });
			continue;
		}
		if (result)
			answers.push(line);
		if (id === 0)
			say({ method: 'notifications/initialized' });
		if (id === ask.length)
			break;
		say({ id: id + 1, method: ask[id], params: {} });
	}
	server.kill();
	fs.writeFileSync(path.join(folder, `${name}.json`), `[\n${answers.join(',\n')}\n]\n`);
}
