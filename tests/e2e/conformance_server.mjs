// SPDX-License-Identifier: Apache-2.0
// conformance_server.mjs - the server that the official conformance suite is run
// against, directly and through the gateway: every tool, prompt and resource that
// its scenarios name, on the official SDK, in both eras on one URL (sessions with
// resumable streams for 2025-03-26 to 2025-11-25, stateless for 2026-07-28).
//
// As a program (node conformance_server.mjs --stdio) it serves the same on stdio.
import { randomUUID } from 'node:crypto';
import { NodeStreamableHTTPServerTransport, localhostHostValidation, localhostOriginValidation, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import { McpServer, ResourceTemplate, acceptedContent, completable, createMcpHandler, createRequestStateCodec, fromJsonSchema,
	inputRequired, inputResponse, isLegacyRequest } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { Tasks } from './conformance_tasks.mjs';
import { Base } from './servers.mjs';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=';
const RETRY_MS = 50; // what a client is asked to wait before it fetches the rest of a stream

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const text = (s) => ({ type: 'text', text: s });
const says = (s) => ({ content: [text(s)] });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const resource = (uri, mimeType, body) => ({ type: 'resource', resource: { uri, mimeType, text: body } });
const object = (properties = {}, required = []) => ({ type: 'object', properties, ...(required.length ? { required } : {}) });
const STRING = { type: 'string' };

const codec = createRequestStateCodec({ key: 'the conformance fixture signs its states with this', ttlSeconds: 300 });
const ask = (message, properties) => inputRequired.elicit({ message, requestedSchema: object(properties, Object.keys(properties)) });
const sample = (question, maxTokens) => inputRequired.createMessage({ messages: [{ role: 'user', content: text(question) }], maxTokens });

// What each of the suite's MRTR tools asks for, round by round; then what it says.
const rounds = {
	elicitation: [{ user_name: () => ask('What is your name?', { name: STRING }) }],
	sampling: [{ capital_question: () => sample('What is the capital of France?', 100) }],
	list_roots: [{ client_roots: () => inputRequired.listRoots() }],
	request_state: [{ confirm: () => ask('Please confirm', { ok: { type: 'boolean' } }) }],
	tampered_state: [{ confirm: () => ask('Please confirm', { ok: { type: 'boolean' } }) }],
	multiple_inputs: [{
		user_name: () => ask('What is your name?', { name: STRING }),
		greeting: () => sample('Generate a greeting', 50),
		client_roots: () => inputRequired.listRoots(),
	}],
	multi_round: [
		{ step1: () => ask('Step 1: What is your name?', { name: STRING }) },
		{ step2: () => ask('Step 2: What is your favorite color?', { color: STRING }) },
	],
};
const withState = new Set(['request_state', 'tampered_state', 'multiple_inputs', 'multi_round']);

function told(responses, key) {
	const view = inputResponse(responses, key);
	if (view.kind === 'elicit')
		return view.action === 'accept' ? acceptedContent(responses, key) : undefined;
	return view.kind === 'missing' ? undefined : view.result ?? view.roots ?? view;
}

async function mrtr(name, ctx) {
	const state = withState.has(name) ? ctx.mcpReq.requestState() : undefined;
	let round = state?.round ?? 0;
	const heard = { ...state?.heard };
	for (const key of Object.keys(rounds[name][round]))
		heard[key] = told(ctx.mcpReq.inputResponses, key);
	const missing = Object.keys(rounds[name][round]).filter((key) => heard[key] === undefined);
	if (missing.length === 0 && ++round === rounds[name].length)
		return says(name === 'elicitation' ? `Hello, ${heard.user_name.name}!` : `${name} state-ok ${JSON.stringify(heard)}`);
	const wanted = missing.length ? missing : Object.keys(rounds[name][round]);
	return inputRequired({
		inputRequests: Object.fromEntries(wanted.map((key) => [key, rounds[name][round][key]()])),
		...(withState.has(name) ? { requestState: await codec.mint({ round, heard }) } : {}),
	});
}

// Only for what the client can do.
function byCapability(ctx) {
	const can = ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
	const all = {
		elicitation: { name: () => ask('What is your name?', { name: STRING }) },
		sampling: { question: () => sample('Say something', 20) },
		roots: { roots: () => inputRequired.listRoots() },
	};
	const wanted = Object.entries(all).filter(([capability]) => can[capability]).flatMap(([, one]) => Object.entries(one));
	if (wanted.length === 0 || wanted.every(([key]) => told(ctx.mcpReq.inputResponses, key) !== undefined))
		return says('nothing more is needed');
	return inputRequired({ inputRequests: Object.fromEntries(wanted.map(([key, make]) => [key, make()])) });
}

// A server's own request to the client, as the legacy era does it.
async function asks(ctx, method, params) {
	const answer = await ctx.mcpReq.send({ method, params });
	return says(method === 'sampling/createMessage' ? `LLM response: ${answer.content.text}`
		: method === 'roots/list' ? `roots: ${JSON.stringify(answer.roots)}`
		: `Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
}

const titled = (...pairs) => pairs.map(([c, title]) => ({ const: c, title }));
const DEFAULTS = object({
	name: { type: 'string', description: 'User name', default: 'John Doe' },
	age: { type: 'integer', description: 'User age', default: 30 },
	score: { type: 'number', description: 'User score', default: 95.5 },
	status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
	verified: { type: 'boolean', default: true },
});
const ENUMS = object({
	untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
	titledSingle: { type: 'string', oneOf: titled(['value1', 'First Option'], ['value2', 'Second Option'], ['value3', 'Third Option']) },
	legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
	untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
	titledMulti: { type: 'array', items: { anyOf: titled(['value1', 'First Choice'], ['value2', 'Second Choice'], ['value3', 'Third Choice']) } },
});
const FORM = object({ username: { type: 'string', description: "User's response" }, email: { type: 'string', description: "User's email address" } }, ['username', 'email']);

const RICH = {
	$schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object',
	$defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: STRING, city: STRING } } },
	properties: { name: STRING, address: { $ref: '#/$defs/address' }, contactMethod: { type: 'string', enum: ['phone', 'email'] }, phone: STRING, email: STRING },
	allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
	if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
	then: { required: ['phone'] }, else: { required: ['email'] }, additionalProperties: false,
};

async function progress(ctx) {
	const progressToken = ctx.mcpReq._meta?.progressToken;
	for (const done of [0, 50, 100]) {
		if (progressToken !== undefined)
			await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: done, total: 100, message: `Completed step ${done} of 100` } });
		await sleep(50);
	}
	return says('Tool with progress executed');
}

async function logs(ctx) {
	for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
		await ctx.mcpReq.log('info', line, 'conformance');
		await sleep(50);
	}
	return says('Tool with logging executed');
}

function untilCancelled(ctx, fixture) {
	return new Promise((done) => {
		const end = () => {
			fixture.cancelled++;
			done(says('cancelled'));
		};
		fixture.begun++;
		fixture.emit?.('waiting');
		ctx.mcpReq.signal.aborted ? end() : ctx.mcpReq.signal.addEventListener('abort', end);
	});
}

// name: [description, input schema, handler(args, ctx, fixture), output schema]
const tools = {
	test_simple_text: ['Returns text', object(), () => says('This is a simple text response for testing.')],
	test_image_content: ['Returns an image', object(), () => ({ content: [image] })],
	test_audio_content: ['Returns audio', object(), () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] })],
	test_embedded_resource: ['Returns a resource', object(),
		() => ({ content: [resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')] })],
	test_multiple_content_types: ['Returns several kinds', object(), () => ({ content: [text('Multiple content types test:'), image,
		resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}')] })],
	test_resource_link: ['Returns a link', object(),
		() => ({ content: [{ type: 'resource_link', uri: 'test://static-text', name: 'static-text', mimeType: 'text/plain' }] })],
	test_structured_content: ['Returns structured content', object({ n: { type: 'number' } }, ['n']),
		({ n }) => ({ content: [text(JSON.stringify({ n, list: [1.5, 'two', null] }))], structuredContent: { n, list: [1.5, 'two', null] } }),
		object({ n: { type: 'number' }, list: { type: 'array' } }, ['n', 'list'])],
	test_error_handling: ['Fails', object(), () => {
		throw new Error('This tool intentionally returns an error for testing');
	}],
	test_tool_with_logging: ['Logs', object(), (_, ctx) => logs(ctx)],
	test_logging_tool: ['Logs, if it was asked to', object(), (_, ctx) => logs(ctx)],
	test_tool_with_progress: ['Reports progress', object(), (_, ctx) => progress(ctx)],
	test_until_cancelled: ['Works until it is cancelled', object(), (_, ctx, fixture) => untilCancelled(ctx, fixture)],
	test_cancelled_count: ['How many calls began to wait, and were cancelled', object(), (_, ctx, { begun, cancelled }) => says(JSON.stringify({ begun, cancelled }))],
	test_reconnection: ['Closes its stream before it answers', object(), async (_, ctx) => {
		ctx.http?.closeSSE?.();
		await sleep(2 * RETRY_MS);
		return says('Reconnection test completed');
	}],
	test_sampling: ['Asks the client\'s model', object({ prompt: STRING }, ['prompt']), ({ prompt }, ctx) =>
		asks(ctx, 'sampling/createMessage', { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 })],
	test_elicitation: ['Asks the user', object({ message: STRING }, ['message']), ({ message }, ctx) =>
		asks(ctx, 'elicitation/create', { message, requestedSchema: FORM })],
	test_elicitation_sep1034_defaults: ['Asks the user, with defaults', object(), (_, ctx) =>
		asks(ctx, 'elicitation/create', { message: 'Please review the defaults', requestedSchema: DEFAULTS })],
	test_elicitation_sep1330_enums: ['Asks the user, with choices', object(), (_, ctx) =>
		asks(ctx, 'elicitation/create', { message: 'Please choose', requestedSchema: ENUMS })],
	test_list_roots: ['Asks for the client\'s roots', object(), (_, ctx) => asks(ctx, 'roots/list', {})],
	test_streaming_elicitation: ['Streams, then asks the user', object(), (_, ctx) =>
		ctx.mcpReq.inputResponses?.answer ? says('streamed') : inputRequired({ inputRequests: { answer: ask('Go on?', { ok: { type: 'boolean' } }) } })],
	test_missing_capability: ['Needs the client\'s model', object(), (_, ctx) =>
		told(ctx.mcpReq.inputResponses, 'needed') ? says('done') : inputRequired({ inputRequests: { needed: sample('Hello?', 10) } })],
	test_input_required_result_capabilities: ['Asks for what the client can do', object(), (_, ctx) => byCapability(ctx)],
	...Object.fromEntries(Object.keys(rounds).map((name) =>
		[`test_input_required_result_${name}`, [`MRTR: ${name}`, object(), (_, ctx) => mrtr(name, ctx)]])),
	test_trigger_tool_change: ['Changes the list of tools', object(), (_, ctx, fixture) => {
		fixture.changed('tools');
		return says('tools changed');
	}],
	test_trigger_prompt_change: ['Changes the list of prompts', object(), (_, ctx, fixture) => {
		fixture.changed('prompts');
		return says('prompts changed');
	}],
	test_trigger_resource_update: ['Updates the watched resource', object(), (_, ctx, fixture) => {
		fixture.updated('test://watched-resource');
		return says('resource updated');
	}],
	test_header_params: ['Has parameters in headers', object({ region: { type: 'string', 'x-mcp-header': 'Region' }, size: { type: 'integer', 'x-mcp-header': 'Size' } }, ['region']),
		({ region }) => says(`region ${region}`)],
	json_schema_2020_12_tool: ['Tool with JSON Schema 2020-12 features', RICH, (args) => says(JSON.stringify(args))],
};

const resources = {
	'static-text': ['test://static-text', 'text/plain', { text: 'This is the content of the static text resource.' }],
	'static-binary': ['test://static-binary', 'image/png', { blob: PNG }],
	'watched-resource': ['test://watched-resource', 'text/plain', { text: 'Watched resource content' }],
	'example-resource': ['test://example-resource', 'text/plain', { text: 'An example' }],
};

const user = (...contents) => ({ messages: contents.map((content) => ({ role: 'user', content })) });

function registerPrompts(server) {
	server.registerPrompt('test_simple_prompt', { description: 'A simple prompt' }, () => user(text('This is a simple prompt for testing.')));
	const complete = (...words) => completable(z.string(), (value) => words.filter((word) => word.startsWith(value)));
	server.registerPrompt('test_prompt_with_arguments', { description: 'A prompt with arguments',
		argsSchema: z.object({ arg1: complete('paris', 'park', 'party'), arg2: complete('tokyo', 'toronto') }) },
	({ arg1, arg2 }) => user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)));
	server.registerPrompt('test_prompt_with_embedded_resource', { description: 'A prompt with a resource', argsSchema: z.object({ resourceUri: z.string() }) },
		({ resourceUri }) => user(resource(resourceUri, 'text/plain', 'Embedded resource content for testing.'), text('Please process the embedded resource above.')));
	server.registerPrompt('test_prompt_with_image', { description: 'A prompt with an image' }, () => user(image, text('Please analyze the image above.')));
	server.registerPrompt('test_input_required_result_prompt', { description: 'A prompt that asks first' }, (_, ctx) => {
		const context = acceptedContent((ctx ?? _).mcpReq.inputResponses, 'user_context')?.context;
		return context ? user(text(`In this context: ${context}`))
			: inputRequired({ inputRequests: { user_context: ask('What context should the prompt use?', { context: STRING }) } });
	});
}

function registerResources(server) {
	for (const [name, [uri, mimeType, body]] of Object.entries(resources))
		server.registerResource(name, uri, { description: `The resource ${name}`, mimeType }, () => ({ contents: [{ uri, mimeType, ...body }] }));
	server.registerResource('template', new ResourceTemplate('test://template/{id}/data', { list: undefined, complete: { id: (value) => ['123', '124', '200'].filter((id) => id.startsWith(value)) } }),
		{ description: 'A template', mimeType: 'application/json' },
		(uri, { id }) => ({ contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }] }));
}

export function makeServer(fixture, era) {
	const server = new McpServer({ name: 'conformance-fixture', version: '1.0.0' }, {
		instructions: 'Everything that the conformance suite asks for.',
		requestState: { verify: codec.verify },
		capabilities: {
			tools: { listChanged: true }, prompts: { listChanged: true }, completions: {},
			resources: { subscribe: true, listChanged: true },
			...(era === 'modern' ? { extensions: { [Tasks.EXTENSION]: {} } } : {}), logging: {},
		},
	});
	for (const [name, [description, schema, handler, output]] of Object.entries(tools))
		server.registerTool(name, { description, inputSchema: fromJsonSchema(schema), ...(output ? { outputSchema: fromJsonSchema(output) } : {}) },
			(args, ctx) => handler(args, ctx, fixture));
	registerResources(server);
	registerPrompts(server);
	if (era === 'modern') {
		fixture.tasks.register(server);
		return server;
	}
	for (const method of ['resources/subscribe', 'resources/unsubscribe'])
		server.server.setRequestHandler(method, ({ params }) => {
			fixture.subscribed[method === 'resources/subscribe' ? 'add' : 'delete'](params.uri);
			return {};
		});
	return server;
}

// The events of one session's streams, for those who come back for them.
function eventStore() {
	const events = [];
	return {
		async storeEvent(stream, message) {
			events.push({ stream, message });
			return `${events.length - 1}`;
		},
		async getStreamIdForEventId(id) {
			return events[Number(id)]?.stream;
		},
		async replayEventsAfter(id, { send }) {
			const { stream } = events[Number(id)];
			for (let i = Number(id) + 1; i < events.length; i++)
				if (events[i].stream === stream && Object.keys(events[i].message).length)
					await send(`${i}`, events[i].message);
			return stream;
		},
	};
}

export class ConformanceFixture extends Base {
	begun = 0; // calls that wait until they are cancelled
	cancelled = 0;
	subscribed = new Set();
	sessions = new Map(); // id -> { transport, server }
	tasks = new Tasks();
	requests = []; // every HTTP request that arrived

	constructor() {
		super();
		this.modern = createMcpHandler(() => makeServer(this, 'modern'), { legacy: 'reject' });
		this.serveModern = toNodeHandler(this.modern);
		this.guards = [localhostHostValidation(), localhostOriginValidation()];
	}
	changed(list) {
		this.modern.notify[`${list}Changed`]();
		for (const { server } of this.sessions.values())
			list === 'tools' ? server.sendToolListChanged() : server.sendPromptListChanged();
	}
	updated(uri) {
		this.modern.notify.resourceUpdated(uri);
		for (const { server } of this.sessions.values())
			if (this.subscribed.has(uri))
				server.server.sendResourceUpdated({ uri });
	}
	async session() {
		const server = makeServer(this, 'legacy');
		const transport = new NodeStreamableHTTPServerTransport({
			sessionIdGenerator: randomUUID, eventStore: eventStore(), retryInterval: RETRY_MS,
			onsessioninitialized: (id) => this.sessions.set(id, { transport, server }),
			onsessionclosed: (id) => this.sessions.delete(id),
		});
		await server.connect(transport);
		return { transport, server };
	}
	async handle(req, res) {
		if (!this.guards.every((guard) => guard(req, res)))
			return;
		if (new URL(req.url, 'http://x').pathname !== '/mcp')
			return res.writeHead(404).end();
		const chunks = [];
		for await (const chunk of req)
			chunks.push(chunk);
		const bytes = Buffer.concat(chunks).toString();
		this.requests.push({ method: req.method, headers: req.headers, body: bytes });
		let body;
		try {
			body = bytes ? JSON.parse(bytes) : undefined;
		} catch {
			return res.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } }));
		}
		if (!await isLegacyRequest(await toWebRequest(req, body), body))
			return this.serveModern(req, res, body);
		const id = req.headers['mcp-session-id'];
		if (id && !this.sessions.has(id))
			return res.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }));
		const { transport } = this.sessions.get(id) ?? await this.session();
		await transport.handleRequest(req, res, body);
	}
}

export async function startConformanceServer() {
	const fixture = new ConformanceFixture();
	return fixture.open((req, res) => fixture.handle(req, res).catch((e) => {
		console.error('fixture:', e);
		res.destroy();
	}));
}

if (process.argv[2] === '--stdio') {
	const { serveStdio } = await import('@modelcontextprotocol/server/stdio');
	const fixture = new ConformanceFixture();
	await serveStdio(({ era }) => makeServer(fixture, era));
}
