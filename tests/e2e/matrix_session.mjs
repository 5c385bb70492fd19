// SPDX-License-Identifier: Apache-2.0
// matrix_session.mjs - one session of a client of an official SDK with a server,
// every feature that the two share; gives back what the client saw. The same
// whether it runs alone or below `zerogate run`: matrix.test.mjs compares.
import * as sdk2 from '@modelcontextprotocol/client';
import * as stdio2 from '@modelcontextprotocol/client/stdio';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { until, within } from './agent.mjs';
import { SCRIPTS } from './matrix_scripts.mjs';

const MODERN = '2026-07-28';
const STEP_MS = 180000; // ends what hangs; longer than the SDK waits for an answer
const SDK = {
	1: { Client, http: StreamableHTTPClientTransport, sse: SSEClientTransport, stdio: StdioClientTransport },
	2: { Client: sdk2.Client, http: sdk2.StreamableHTTPClientTransport, sse: sdk2.SSEClientTransport, stdio: stdio2.StdioClientTransport },
};
const CAPABILITIES = { sampling: {}, roots: { listChanged: true }, elicitation: { form: { applyDefaults: true }, url: {} } };
const RETRY = { initialReconnectionDelay: 50, maxReconnectionDelay: 200, reconnectionDelayGrowFactor: 1.5 };

// A person, a model and a folder that answer without thinking.
const SAMPLE = { string: 'test', number: 1, integer: 1, boolean: true, array: [], object: {} };
const plausible = (schema) => Object.fromEntries(Object.entries(schema?.properties ?? {}).map(([name, p]) =>
	[name, p.default ?? p.enum?.[0] ?? p.oneOf?.[0].const ?? (p.format === 'email' ? 'a@b.example' : p.format === 'uri' ? 'https://a.example/'
		: p.format === 'date' ? '2026-01-02' : p.minimum ?? SAMPLE[p.type] ?? 'test')]));
const answers = (roots) => ({
	'sampling/createMessage': [types.CreateMessageRequestSchema, () => ({ role: 'assistant', model: 'none', stopReason: 'endTurn', content: { type: 'text', text: 'sampled' } })],
	'elicitation/create': [types.ElicitRequestSchema, ({ params }) => ({ action: 'accept', ...(params.mode === 'url' ? {} : { content: plausible(params.requestedSchema) }) })],
	'roots/list': [types.ListRootsRequestSchema, () => ({ roots })],
});

// What no two sessions have in common: ids, times, folders.
const SAME = [
	[/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>'],
	[/\b[0-9a-f]{32}\b/g, '<task>'],
	[/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>'],
	[/\d{1,2}:\d\d:\d\d( [AP]M)?/g, '<time>'],
	[/\w{3} \w{3} \d\d \d{4} <time> GMT\+0000 \([\w ]+\)/g, '<time>'],
];
const BASE64 = /^[A-Za-z0-9+/]{24,}={0,2}$/;
export function normalise(value, own = []) {
	const plain = (s) => [...own, ...SAME].reduce((all, [from, to]) => all.replaceAll(from, to), s);
	const text = (s) => {
		const inner = BASE64.test(s) && Buffer.from(s, 'base64').toString('latin1');
		return inner && /^[\x20-\x7e]+$/.test(inner) ? `base64:${plain(inner)}` : plain(s);
	};
	return JSON.parse(JSON.stringify(value ?? null), (key, v) => typeof v === 'string' ? text(v)
		: v && typeof v === 'object' && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).map(([k, one]) => [plain(k), one])) : v);
}

class Session {
	steps = {};
	notes = [];
	asked = [];

	// A step's result, or how it failed.
	async step(name, fn) {
		if (name in this.steps)
			throw new Error(`two steps are named ${name}`);
		this.steps[name] = 'under way';
		const end = within(Promise.resolve().then(fn), `${name} of ${this.label}`, STEP_MS).then((result) => ({ result }), (e) =>
			({ error: { name: e.constructor.name, code: e.code, message: e.message, data: e.data } }));
		return (this.steps[name] = await end).result;
	}
	call(name, args = {}, { as = `${name} ${JSON.stringify(args)}`, ...options } = {}) {
		return this.step(`tools/call ${as}`, () => this.tool({ name, arguments: args }, options));
	}
	tool(params, options) {
		return this.sdk === 2 ? this.client.callTool(params, options) : this.client.callTool(params, undefined, options);
	}
	// With every page of it
	list(what, member) {
		return this.step(what, async () => {
			const pages = [];
			for (let cursor; pages.length < 20;) {
				const page = await this.client[what](cursor ? { cursor } : {});
				pages.push(page);
				if (!(cursor = page.nextCursor))
					break;
			}
			this[member] = pages.flatMap((p) => p[member]);
			return pages;
		});
	}
	noted(what, match) {
		return this.step(`heard: ${what}`, () => until(() => this.notes.some(match), what, STEP_MS / 2));
	}
	async cancelled(name, args, begun = () => true) {
		const controller = new AbortController();
		const progress = new Promise((done) => {
			this.call(name, args, { as: `${name}, cancelled`, signal: controller.signal, onprogress: done }).then(done);
			Promise.resolve(begun(this)).then(done);
		});
		await progress;
		controller.abort('enough');
		await until(() => this.steps[`tools/call ${name}, cancelled`] !== 'under way', 'the cancelled call to end');
	}

	async open({ sdk, era, label, target, tasks, retries = 5, roots = [{ uri: 'file:///tmp/matrix', name: 'matrix' }] }) {
		const library = SDK[sdk];
		Object.assign(this, { sdk, era, label, tasks });
		const modern = era === MODERN;
		this.modern = modern;
		this.remote = Boolean(target.url);
		this.client = new library.Client({ name: 'matrix', version: '1.0.0' }, { capabilities: CAPABILITIES,
			...(modern ? { versionNegotiation: { mode: { pin: era } } } : {}) });
		for (const [method, [schema, answer]] of Object.entries(answers(roots)))
			this.client.setRequestHandler(sdk === 2 ? method : schema, (request) => {
				const params = { ...request.params };
				delete params._meta;
				this.asked.push({ method, params });
				return answer(request);
			});
		this.client.fallbackNotificationHandler = async (note) => {
			this.notes.push({ method: note.method, params: note.params });
		};
		this.client.onerror = () => {};
		this.transport = target.url
			? new library[target.kind ?? 'http'](new URL(target.url), { reconnectionOptions: { ...RETRY, maxRetries: retries } })
			: new library.stdio({ ...target, stderr: 'ignore', cwd: '/' });
		if (!modern) { // the version that a client of that time asks for
			const send = this.transport.send.bind(this.transport);
			this.transport.send = (message, options) => send(message.method === 'initialize'
				? { ...message, params: { ...message.params, protocolVersion: era } } : message, options);
		}
		await within(this.client.connect(this.transport), `${label} to connect`, STEP_MS);
		await this.step('connect', () => ({ server: this.client.getServerVersion(), capabilities: this.client.getServerCapabilities(),
			instructions: this.client.getInstructions(), ...(modern ? { version: this.client.getNegotiatedProtocolVersion?.() } : { version: this.transport.protocolVersion }) }));
	}

	transcript(own) {
		const notes = {}, byText = (a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
		for (const { method, params } of this.notes)
			(notes[method] ??= []).push(normalise(params, own));
		for (const list of Object.values(notes)) // streams keep no order among each other
			list.sort(byText);
		return { steps: normalise(this.steps, own), notes, asked: normalise(this.asked, own).sort(byText) };
	}
}

// spec: sdk, era, script, target, and `own`: [text, what stands for it] of this run alone
export async function session({ own = [], ...spec }) {
	const s = new Session();
	try {
		await s.open(spec);
		await SCRIPTS[spec.script](s, spec);
	} finally {
		if (s.transport?.pid) // a server that would not end with its stdin is waited for
			process.kill(s.transport.pid, 'SIGTERM');
		await within(s.client.close(), 'the client to close').catch(() => {});
	}
	return s.transcript(own);
}
