// SPDX-License-Identifier: Apache-2.0
// waiting_server.mjs - a server of 2026-07-28 on the official SDK whose writes are
// counted, one of which asks its client first; for calls that wait for a person.
import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer, acceptedContent, createMcpHandler, createRequestStateCodec, fromJsonSchema, inputRequired } from '@modelcontextprotocol/server';
import { Base } from './servers.mjs';

const text = (s) => ({ content: [{ type: 'text', text: s }] });
const schema = (properties) => fromJsonSchema({ type: 'object', properties });
const codec = createRequestStateCodec({ key: 'what this fixture signs its states with', ttlSeconds: 300 });

function makeServer(fixture) {
	const server = new McpServer({ name: 'waiting', version: '1.0.0' }, { requestState: { verify: codec.verify },
		capabilities: { tools: {}, resources: {}, prompts: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } } });
	const count = (name) => {
		fixture.executed[name] = (fixture.executed[name] ?? 0) + 1;
		fixture.emit('execute', name);
		return fixture.executed[name];
	};
	server.registerTool('create_issue', { description: 'Creates an issue', inputSchema: schema({ title: { type: 'string' } }) },
		async () => text(`created #${count('create_issue')}`));
	server.registerTool('confirm_issue', { description: 'Asks for a name, then creates an issue', inputSchema: schema({ title: { type: 'string' } }) },
		async (args, ctx) => {
			const name = acceptedContent(ctx.mcpReq.inputResponses, 'who')?.name;
			if (name)
				return text(`created #${count('confirm_issue')} for ${name}`);
			return inputRequired({ requestState: await codec.mint({ round: 1 }, ctx), inputRequests: {
				who: inputRequired.elicit({ message: 'For whom?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } }) } });
		});
	server.registerResource('secret', 'file:///prod.md', { description: 'A file' },
		(uri) => ({ contents: [{ uri: uri.href, text: `read ${count('resource')}` }] }));
	server.registerPrompt('release', { description: 'A prompt' },
		() => ({ messages: [{ role: 'user', content: { type: 'text', text: `prompted ${count('prompt')}` } }] }));
	return server;
}

export async function startWaiting() {
	const fixture = new Base();
	fixture.executed = {};
	fixture.requests = [];
	const serve = toNodeHandler(createMcpHandler(() => makeServer(fixture), { legacy: 'reject' }));
	return fixture.open(async (req, res) => {
		const chunks = [];
		for await (const chunk of req)
			chunks.push(chunk);
		const body = JSON.parse(Buffer.concat(chunks).toString() || 'null');
		fixture.requests.push(body);
		await serve(req, res, body);
	});
}
