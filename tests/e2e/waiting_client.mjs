// SPDX-License-Identifier: Apache-2.0
// waiting_client.mjs - the official SDKs' clients, at their default options, with a
// call that a person has to approve: what the client was given, and what went over
// the wire meanwhile. Runs below `zerogate run`.
import { createTaskSessionFromClient, resultFromTaskOutcome } from '@modelcontextprotocol/ext-tasks/client';
import * as sdk2 from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { messages } from './raw.mjs';

const MODERN = '2026-07-28';
const ME = { name: 'waiting', version: '1.0.0' };

// Every request that is answered, and with what.
function recorder() {
	const wire = [];
	const record = async (url, init) => {
		const answer = await fetch(url, init);
		if (init?.method === 'POST') {
			const said = answer.clone().text().then((body) => messages({ headers: { 'content-type': answer.headers.get('content-type') }, body: Buffer.from(body).toString('latin1') }), () => []);
			const { method, params } = JSON.parse(init.body);
			wire.push(said.then((heard) => ({ method, params, status: answer.status, type: answer.headers.get('content-type'), messages: heard })));
		}
		return answer;
	};
	return { wire, record };
}

// The extension has no transport of its own: requests as the specification writes them.
const dispatcher = (url, record) => async ({ method, params }) => {
	const answer = await record(url, { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: Math.floor(Math.random() * 1e9), method, params }),
		headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': MODERN,
			'mcp-method': method, ...(params.taskId ?? params.name ? { 'mcp-name': params.taskId ?? params.name } : {}) } });
	const [said] = messages({ headers: { 'content-type': answer.headers.get('content-type') }, body: Buffer.from(await answer.text()).toString('latin1') }).slice(-1);
	return said.error ? { kind: 'error', error: said.error } : { kind: 'result', result: said.result };
};

const calls = {
	// what an application does that knows nothing of waiting
	plain: ({ client, sdk, params }) => sdk === 2 ? client.callTool(params) : client.callTool(params, undefined),
	async progress({ client, sdk, params, notes, options }) {
		const more = { onprogress: (p) => notes.push(p), ...options };
		return sdk === 2 ? client.callTool(params, more) : client.callTool(params, undefined, more);
	},
	async tasks1({ client, params, notes }) {
		let result;
		for await (const m of client.experimental.tasks.callToolStream(params, CallToolResultSchema, { task: {} })) {
			notes.push(m.type === 'error' ? { error: m.error.message } : m.task?.status);
			result = m.result ?? result;
		}
		return result;
	},
	async tasks2({ client, params, url, record }) {
		const session = createTaskSessionFromClient(client, { endpointId: 'waiting', rawDispatch: dispatcher(url, record),
			v2RequestFraming: { protocolVersion: MODERN, clientInfo: ME, clientCapabilities: {} } });
		try {
			const execution = await session.callTool(params.name, params.arguments);
			return resultFromTaskOutcome((await execution.settle()).outcome);
		} finally {
			await session.close();
		}
	},
	resource: ({ client, params }) => client.readResource(params),
	prompt: ({ client, params }) => client.getPrompt(params),
};

export async function wait({ url, command, sdk = 1, modern = false, kind = 'http', call = 'plain', params, options, answers }) {
	const { wire, record } = recorder();
	const notes = [];
	const library = sdk === 2 ? { Client: sdk2.Client, http: sdk2.StreamableHTTPClientTransport }
		: { Client, http: StreamableHTTPClientTransport, sse: SSEClientTransport };
	const client = new library.Client(ME, { capabilities: answers ? { elicitation: { form: {} } } : {}, ...(modern ? { versionNegotiation: { mode: { pin: MODERN } } } : {}) });
	client.onerror = () => {};
	if (answers)
		client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: answers }));
	await client.connect(command ? new StdioClientTransport({ ...command, stderr: 'ignore' })
		: new library[kind](new URL(url), kind === 'sse' ? {} : { fetch: record }));
	const began = performance.now();
	let result, error;
	try {
		result = await calls[call]({ client, sdk, params, notes, options, url, record });
	} catch (e) {
		error = { name: e.constructor.name, code: e.code, message: e.message, data: e.data };
	}
	const ms = performance.now() - began;
	const all = await Promise.all(wire);
	await client.close();
	return { result, error, notes, ms, wire: all.filter((w) => /^(tools\/call|tasks\/|resources\/read|prompts\/get)/.test(w.method)) };
}
