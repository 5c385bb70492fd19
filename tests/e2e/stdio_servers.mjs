// SPDX-License-Identifier: Apache-2.0
// stdio_servers.mjs KIND - what speaks JSON-RPC on stdio: MCP servers that write
// as other runtimes do, and a language server. Ends with its stdin.
import fs from 'node:fs';
import readline from 'node:readline';

const put = {
	lines: (text) => fs.writeSync(1, `${text}\n`), // a line a write, as Python does
	bytes: (text) => Buffer.from(`${text}\n`).forEach((byte) => fs.writeSync(1, Buffer.of(byte))),
	lsp: (text) => fs.writeSync(1, `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`),
}[process.argv[2]];

const serverInfo = { name: process.argv[2], version: '1' };
const results = {
	initialize: ({ protocolVersion }) => process.argv[2] === 'lsp'
		? { capabilities: { hoverProvider: true }, serverInfo }
		: { protocolVersion, capabilities: { tools: {} }, serverInfo },
	'tools/list': () => ({ tools: [{ name: 'one', inputSchema: { type: 'object' } }] }),
	'textDocument/hover': () => ({ contents: 'a hover' }),
};

for await (const line of readline.createInterface({ input: process.stdin })) {
	const { id, method, params } = line.startsWith('{') ? JSON.parse(line) : {};
	if (id !== undefined && results[method])
		put(JSON.stringify({ jsonrpc: '2.0', id, result: results[method](params) }));
}
