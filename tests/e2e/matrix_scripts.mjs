// SPDX-License-Identifier: Apache-2.0
// matrix_scripts.mjs - what a session does with each of the servers; s is the
// Session of matrix_session.mjs.
import { CallToolResultSchema, CreateTaskResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { until } from './agent.mjs';

const has = (s, capability) => s.client.getServerCapabilities()?.[capability];

// What the server says that it has: all of it, listed and read.
async function everythingListed(s) {
	if (!s.modern)
		await s.step('ping', () => s.client.ping());
	await s.list('listTools', 'tools');
	if (has(s, 'resources')) {
		await s.list('listResources', 'resources');
		await s.list('listResourceTemplates', 'resourceTemplates');
		for (const { uri } of s.resources ?? [])
			await s.step(`read ${uri}`, () => s.client.readResource({ uri }));
		await s.step('read what is not there', () => s.client.readResource({ uri: 'test://nothing/here' }));
	}
	if (has(s, 'prompts')) {
		await s.list('listPrompts', 'prompts');
		await s.step('a prompt that is not there', () => s.client.getPrompt({ name: 'nothing' }));
	}
}

const prompt = (s, name, args) => s.step(`prompt ${name} ${JSON.stringify(args)}`, () => s.client.getPrompt({ name, arguments: args }));
const complete = (s, ref, name, value, context) => s.step(`complete ${ref.name ?? ref.uri} ${name}=${value}`,
	() => s.client.complete({ ref, argument: { name, value }, ...(context ? { context } : {}) }));
const ofPrompt = (name) => ({ type: 'ref/prompt', name });
const ofResource = (uri) => ({ type: 'ref/resource', uri });

// A tool call with its progress before the last, `count` times, which the SDK gives to
// the caller alone. It may lose what arrives together with the answer, which on a busy
// machine is more than the last: then the call is made again.
async function withProgress(s, name, args, count) {
	let seen;
	await s.step(`tools/call ${name} ${JSON.stringify(args)}`, async () => {
		for (let tries = 0; ; tries++) {
			seen = [];
			const result = await s.tool({ name, arguments: args }, { onprogress: (p) => seen.push(p) });
			seen = seen.filter((p) => p.progress < p.total);
			if (seen.length >= count || tries === 20)
				return result;
		}
	});
	await s.step(`progress of ${name}`, () => seen);
}

// The tasks of 2025-11-25, as the older SDK has them; one that asks while it works.
async function asTask(s) {
	const { tasks } = s.client.experimental, seen = {};
	await s.step('task to its end', async () => {
		for await (const { type, task, ...message } of tasks.callToolStream({ name: 'simulate-research-query', arguments: { topic: 'python', ambiguous: true } })) {
			seen.id ??= task?.taskId;
			if (type === 'result' || type === 'error')
				return { type, ...message };
		}
	});
	await s.step('the task', () => tasks.getTask(seen.id));
	await s.step('its result again', () => tasks.getTaskResult(seen.id, CallToolResultSchema));
	await s.step('a task that ends early', async () => {
		const { task } = await s.client.request({ method: 'tools/call', params: { name: 'simulate-research-query', arguments: { topic: 'x' }, task: { ttl: 60000 } } }, CreateTaskResultSchema);
		return { task, cancelled: await tasks.cancelTask(task.taskId), again: await tasks.cancelTask(task.taskId).catch((e) => e.message) };
	});
	await s.step('all tasks', () => tasks.listTasks());
	await s.step('no such task', () => tasks.getTask('none'));
}

const rooted = (note) => /Roots updated/.test(note.params?.data);

// Said as soon as the server knows them: on a busy machine before the client's stream
// is open, and then by the server's SDK to nobody. It is asked to say it again.
const knowsRoots = (s) => s.step('heard: that roots are known', async () => {
	for (let tries = 0; tries < 10 && !await until(() => s.notes.some(rooted), 'the roots', 4000).catch(() => false); tries++)
		await s.client.sendRootsListChanged();
	return s.notes.some(rooted);
});

async function everything(s, { door }) {
	const zipped = (name) => `${name}-${door}.gz`; // one table of them for all sessions
	await everythingListed(s);
	await knowsRoots(s);
	const tasks = s.tasks ? asTask(s) : undefined;
	for (const [name, args] of [
		['echo', { message: 'h\u00e9llo \u{1f600} "quoted" \\ \u2028' }], ['echo', {}],
		['get-sum', { a: 1.5, b: 2 }], ['get-sum', { a: 'one', b: 2 }],
		['get-annotated-message', { messageType: 'error', includeImage: true }], ['get-annotated-message', { messageType: 'debug' }],
		['get-env', {}], ['get-resource-links', { count: 3 }], ['get-tiny-image', {}],
		['get-resource-reference', { resourceType: 'Text', resourceId: 1 }], ['get-resource-reference', { resourceType: 'Blob', resourceId: 2 }],
		['get-structured-content', { location: 'Chicago' }], ['get-roots-list', {}],
		['gzip-file-as-resource', { name: zipped('a'), data: 'data:text/plain,hello', outputType: 'resource' }],
		['gzip-file-as-resource', { name: zipped('b'), data: 'data:text/plain,hello', outputType: 'resourceLink' }],
		['trigger-sampling-request', { prompt: 'What?', maxTokens: 20 }], ['trigger-elicitation-request', {}],
		['trigger-url-elicitation', { url: 'https://a.example/x', elicitationId: 'e1' }],
		['trigger-url-elicitation', { url: 'https://a.example/y', elicitationId: 'e2', errorPath: true }]])
		await s.call(name, args);
	await s.step('read what a tool made', () => s.client.readResource({ uri: `demo://resource/session/${zipped('b')}` }));
	for (const uri of ['demo://resource/dynamic/text/7', 'demo://resource/dynamic/blob/8', 'demo://resource/dynamic/text/none'])
		await s.step(`read ${uri}`, () => s.client.readResource({ uri }));
	await withProgress(s, 'trigger-long-running-operation', { duration: 0.2, steps: 4 }, 3);
	await s.cancelled('trigger-long-running-operation', { duration: 2, steps: 20 }, () => new Promise(() => {}));

	for (const [name, args] of [['simple-prompt', {}], ['args-prompt', { city: 'Paris' }], ['args-prompt', { city: 'Paris', state: 'Texas' }], ['args-prompt', {}],
		['completable-prompt', { department: 'Sales', name: 'Eve' }], ['resource-prompt', { resourceType: 'Blob', resourceId: '3' }]])
		await prompt(s, name, args);
	await complete(s, ofPrompt('completable-prompt'), 'department', 'S');
	await complete(s, ofPrompt('completable-prompt'), 'name', '', { arguments: { department: 'Sales' } });
	await complete(s, ofResource('demo://resource/dynamic/text/{resourceId}'), 'resourceId', '12');

	const uri = 'demo://resource/dynamic/text/1';
	await s.step('subscribe', () => s.client.subscribeResource({ uri }));
	await s.call('toggle-subscriber-updates', {}, { as: 'updates on' });
	await s.noted('an update', (n) => n.method === 'notifications/resources/updated');
	await s.call('toggle-subscriber-updates', {}, { as: 'updates off' });
	await s.step('unsubscribe', () => s.client.unsubscribeResource({ uri }));
	await s.step('level', () => s.client.setLoggingLevel('debug'));
	await s.call('toggle-simulated-logging', {}, { as: 'logging on' });
	await s.noted('a line', (n) => /level message|level-message/.test(n.params?.data));
	await s.call('toggle-simulated-logging', {}, { as: 'logging off' });
	const known = () => s.notes.filter(rooted).length, before = known();
	await s.step('roots change', () => s.client.sendRootsListChanged());
	await s.noted('that the new roots are known', () => known() > before);
	await tasks;
	const once = (list, match) => list.filter((one, i) => !match(one) || i === list.findIndex(match));
	s.notes = once(s.notes, rooted); // however often it was said,
	s.asked = once(s.asked, ({ method }) => method === 'roots/list'); // and asked for
	// how far the task came that ends early is up to the clock; the other one goes through all of it
	const status = ({ method, params }) => method === 'notifications/tasks/status' && `${params.status} ${params.statusMessage}`;
	s.notes = s.notes.filter((note, i, all) => !status(note) || i === all.findIndex((other) => status(other) === status(note)));
	for (const note of s.notes) // its level is drawn by lot
		if (/^[A-Z]\w+[- ]level[- ]message/.test(note.params?.data))
			Object.assign(note.params, { level: 'any', data: note.params.data.replace(/^\w+[- ]level[- ]message/, 'a line') });
	// lines and updates come again and again while they are on: how often is a matter of time
	const periodic = (n) => /^a line/.test(n.params?.data) || n.method === 'notifications/resources/updated';
	const kept = new Set();
	s.notes = s.notes.filter((n) => !periodic(n) || (!kept.has(JSON.stringify(n)) && kept.add(JSON.stringify(n))));
}

async function filesystem(s, { dir }) {
	await everythingListed(s);
	const path = (name) => `${dir}/${name}`;
	for (const [name, args] of [
		['list_allowed_directories', {}], ['create_directory', { path: path('d') }],
		['write_file', { path: path('d/a.txt'), content: 'one\ntwo\nthree \u00e9\n' }],
		['read_text_file', { path: path('d/a.txt') }], ['read_text_file', { path: path('d/a.txt'), head: 1 }],
		['read_media_file', { path: path('d/a.txt') }],
		['read_multiple_files', { paths: [path('d/a.txt'), path('none')] }],
		['edit_file', { path: path('d/a.txt'), edits: [{ oldText: 'two', newText: '2' }], dryRun: false }],
		['move_file', { source: path('d/a.txt'), destination: path('d/b.txt') }],
		['list_directory', { path: path('d') }], ['list_directory_with_sizes', { path: path('d') }], ['directory_tree', { path: dir }],
		['search_files', { path: dir, pattern: '**/*.txt' }], ['get_file_info', { path: path('d/b.txt') }],
		['read_text_file', { path: '/etc/passwd' }], ['read_text_file', {}]])
		await s.call(name, args);
}

async function memory(s) {
	await everythingListed(s);
	for (const [name, args] of [
		['create_entities', { entities: [{ name: 'A', entityType: 'letter', observations: ['first', '\u00e9\u{1f600}'] }, { name: 'B', entityType: 'letter', observations: [] }] }],
		['create_relations', { relations: [{ from: 'A', to: 'B', relationType: 'precedes' }] }],
		['add_observations', { observations: [{ entityName: 'B', contents: ['second'] }] }],
		['add_observations', { observations: [{ entityName: 'none', contents: ['x'] }] }],
		['read_graph', {}], ['search_nodes', { query: 'first' }], ['open_nodes', { names: ['B'] }],
		['delete_observations', { deletions: [{ entityName: 'B', observations: ['second'] }] }],
		['delete_relations', { relations: [{ from: 'A', to: 'B', relationType: 'precedes' }] }],
		['delete_entities', { entityNames: ['A'] }]])
		await s.call(name, args);
	await s.call('read_graph', {}, { as: 'read_graph at the end' });
	await s.call('delete_entities', { entityNames: ['B'] }); // the next session begins anew
}

async function thinking(s) {
	await everythingListed(s);
	let before; // behind the bridge one server counts the thoughts of all sessions
	for (let i = 1; i <= 3; i++) {
		const { content: [text], structuredContent: told } = await s.call('sequentialthinking', { thought: `thought ${i}`, thoughtNumber: i, totalThoughts: 3, nextThoughtNeeded: i < 3 });
		before ??= told.thoughtHistoryLength - 1;
		told.thoughtHistoryLength -= before;
		text.text = text.text.replace(/("thoughtHistoryLength": )(\d+)/, (_, name, n) => name + (n - before));
	}
	await s.call('sequentialthinking', { thought: 'wrong' });
}

// conformance_server.mjs
const PLAIN = ['test_simple_text', 'test_image_content', 'test_audio_content', 'test_embedded_resource', 'test_multiple_content_types',
	'test_resource_link', 'test_error_handling', 'test_tool_with_logging', 'test_reconnection'];
const LEGACY = ['test_elicitation_sep1034_defaults', 'test_elicitation_sep1330_enums', 'test_list_roots'];
const ROUNDS = ['elicitation', 'sampling', 'list_roots', 'request_state', 'multiple_inputs', 'multi_round', 'capabilities'];

async function conformance(s) {
	await everythingListed(s);
	if (!s.modern)
		await s.step('level', () => s.client.setLoggingLevel('debug'));
	for (const name of PLAIN)
		await s.call(name);
	await s.call('test_structured_content', { n: 2.5 });
	await s.call('test_structured_content', { n: 'no number' });
	await s.call('json_schema_2020_12_tool', { name: 'x', contactMethod: 'phone', phone: '1' });
	await s.call('test_header_params', { region: 'eu-\u00e9', size: 3 });
	await withProgress(s, 'test_tool_with_progress', {}, 2);
	const before = { begun: await count(s, 'begun'), cancelled: await count(s, 'cancelled') };
	// once the server works on it
	await s.cancelled('test_until_cancelled', {}, () => until(async () => await count(s, 'begun') > before.begun, 'the call to arrive'));
	await s.step('the server knows of it', () => until(async () => await count(s, 'cancelled') - before.cancelled, 'the cancellation'));
	for (const [name, args] of [['test_simple_prompt', {}], ['test_prompt_with_arguments', { arg1: 'paris', arg2: 'tokyo' }],
		['test_prompt_with_embedded_resource', { resourceUri: 'test://x' }], ['test_prompt_with_image', {}]])
		await prompt(s, name, args);
	await complete(s, ofPrompt('test_prompt_with_arguments'), 'arg1', 'par');
	await complete(s, ofResource('test://template/{id}/data'), 'id', '12');
	await s.step('read a template', () => s.client.readResource({ uri: 'test://template/123/data' }));
	return s.modern ? conformanceModern(s) : conformanceLegacy(s);
}

const count = async (s, what) => JSON.parse((await s.tool({ name: 'test_cancelled_count', arguments: {} })).content[0].text)[what];

async function changes(s) {
	await s.call('test_trigger_tool_change');
	await s.call('test_trigger_prompt_change');
	await s.call('test_trigger_resource_update');
	for (const method of ['notifications/tools/list_changed', 'notifications/prompts/list_changed', 'notifications/resources/updated'])
		await s.noted(method, (n) => n.method === method);
}

async function conformanceLegacy(s) {
	for (const name of LEGACY)
		await s.call(name);
	await s.call('test_sampling', { prompt: 'What?' });
	await s.call('test_elicitation', { message: 'Who?' });
	if (s.client.transport?.sessionId === undefined) // its stdio has no notifications of this kind
		return;
	await s.step('subscribe', () => s.client.subscribeResource({ uri: 'test://watched-resource' }));
	await changes(s);
	await s.step('unsubscribe', () => s.client.unsubscribeResource({ uri: 'test://watched-resource' }));
}

async function conformanceModern(s) {
	await s.step('discover', () => s.client.discover());
	for (const name of ROUNDS)
		await s.call(`test_input_required_result_${name}`);
	await s.call('test_streaming_elicitation');
	await s.call('test_missing_capability');
	await prompt(s, 'test_input_required_result_prompt', {});
	if (!s.remote) // its stdio has no notifications of this kind
		return;
	const listening = await s.client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ['test://watched-resource'] });
	await s.step('listen', () => listening.honoredFilter);
	await changes(s);
	await s.step('listened', () => listening.close().then(() => listening.closed));
}

export const SCRIPTS = { everything, filesystem, memory, thinking, conformance };
