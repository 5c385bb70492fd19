// SPDX-License-Identifier: Apache-2.0
// conformance_tasks.mjs - the tasks extension (io.modelcontextprotocol/tasks) as
// the conformance suite's fixture needs it: the SDK has its wire vocabulary and
// no runtime, so tasks/get, update and cancel are served here, in memory.
import { randomUUID } from 'node:crypto';
import { MissingRequiredClientCapabilityError, ProtocolError, inputRequired, acceptedContent } from '@modelcontextprotocol/server';
import { z } from 'zod';

const EXTENSION = 'io.modelcontextprotocol/tasks';
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const TTL_MS = 60000, POLL_MS = 50;

const object = (properties = {}) => ({ type: 'object', properties });
const says = (text, more) => ({ content: [{ type: 'text', text }], ...more });
const elicit = (message, name) => ({ method: 'elicitation/create', params: { mode: 'form', message,
	requestedSchema: { type: 'object', properties: { [name]: { type: name === 'confirm' ? 'boolean' : 'string' } }, required: [name] } } });

const declared = (ctx) => ctx.mcpReq.envelope?.[CAPABILITIES]?.extensions?.[EXTENSION];
const undeclared = () => new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [EXTENSION]: {} } } });

// A wait that ends early when the task is cancelled.
const pause = (task, ms) => new Promise((done) => {
	const timer = setTimeout(done, ms).unref();
	task.abort.addEventListener('abort', () => {
		clearTimeout(timer);
		done();
	});
});

// name: description, properties, needs (an error without the extension), run(task, args)
const jobs = {
	slow_compute: { description: 'Sleeps, then answers', properties: { seconds: { type: 'number' }, label: { type: 'string' } },
		async run(task, { seconds = 0, label = '' }) {
			await pause(task, seconds * 1000);
			return says(`Computed ${label} for ${seconds} s`);
		} },
	failing_job: { description: 'Fails after a second', needs: true,
		async run(task) {
			await pause(task, 1000);
			return says('the job failed', { isError: true });
		} },
	protocol_error_job: { description: 'Breaks', async run() {
		throw new ProtocolError(-32603, 'the job broke');
	} },
	confirm_delete: { description: 'Asks before it deletes', properties: { filename: { type: 'string' } },
		async run(task, { filename = 'file' }) {
			const { confirm } = await task.ask({ confirm: elicit(`Delete ${filename}?`, 'confirm') });
			return says(confirm?.action === 'accept' ? `deleted ${filename}` : 'kept');
		} },
	multi_input: { description: 'Asks two things at once', async run(task) {
		const answers = await task.ask({ first: elicit('First?', 'name'), second: elicit('Second?', 'name') });
		return says(`heard ${Object.keys(answers).sort().join(', ')}`);
	} },
	test_tool_with_task: { description: 'Asks first, then works as a task', needs: true, first: { user_name: elicit('What is your name?', 'name') },
		async run(task, args, ctx) {
			return says(`Hello, ${acceptedContent(ctx.mcpReq.inputResponses, 'user_name')?.name}!`);
		} },
};

class Task {
	status = 'working';
	pending = {};
	controller = new AbortController();
	abort = this.controller.signal;
	createdAt = new Date().toISOString();
	lastUpdatedAt = this.createdAt;
	taskId = randomUUID();

	set(status, more = {}) {
		if (['completed', 'failed', 'cancelled'].includes(this.status))
			return;
		Object.assign(this, { status, ...more, lastUpdatedAt: new Date().toISOString() });
	}
	ask(requests) {
		this.pending = Object.fromEntries(Object.entries(requests).map(([key, request]) => [`${key}-${randomUUID().slice(0, 8)}`, request]));
		const names = Object.fromEntries(Object.keys(this.pending).map((id) => [id, id.split('-')[0]]));
		this.answers = {};
		this.set('input_required');
		return new Promise((done) => {
			this.answer = (responses) => {
				for (const [id, response] of Object.entries(responses)) {
					if (!this.pending[id])
						continue;
					this.answers[names[id]] = response;
					delete this.pending[id];
				}
				if (Object.keys(this.pending).length)
					return;
				this.set('working');
				done(this.answers);
			};
		});
	}
	get view() {
		const { taskId, status, createdAt, lastUpdatedAt, result, error, pending } = this;
		return { taskId, status, createdAt, lastUpdatedAt, ttlMs: TTL_MS, pollIntervalMs: POLL_MS,
			...(status === 'input_required' ? { inputRequests: pending } : {}),
			...(status === 'completed' ? { result } : {}), ...(status === 'failed' ? { error } : {}) };
	}
}

export class Tasks {
	static EXTENSION = EXTENSION;
	all = new Map();

	start(job, args, ctx) {
		const task = new Task();
		this.all.set(task.taskId, task);
		job.run(task, args, ctx).then((result) => task.set(task.abort.aborted ? 'cancelled' : 'completed', { result: { resultType: 'complete', ...result } }),
			(e) => task.set('failed', { error: { code: e.code ?? -32603, message: e.message } }));
		return { ...task.view, resultType: 'task' };
	}
	call(name, args, ctx) {
		const job = jobs[name];
		const can = declared(ctx);
		if (!can && job.needs)
			throw undeclared();
		if (job.first && !ctx.mcpReq.inputResponses?.user_name)
			return inputRequired({ inputRequests: job.first });
		if (can)
			return this.start(job, args, ctx);
		const task = new Task();
		return job.run(task, args, ctx);
	}
	find({ taskId }, ctx) {
		if (!declared(ctx))
			throw undeclared();
		const task = this.all.get(taskId);
		if (!task)
			throw new ProtocolError(-32602, 'no such task', { taskId });
		return task;
	}
	// Beside what McpServer lists and calls by itself.
	register(mcp) {
		const server = mcp.server;
		const list = server._requestHandlers.get('tools/list'), call = server._requestHandlers.get('tools/call');
		const more = Object.entries(jobs).map(([name, { description, properties, needs }]) =>
			({ name, description, inputSchema: object(properties), execution: { taskSupport: needs ? 'required' : 'optional' } }));
		more.unshift({ name: 'greet', description: 'Greets', inputSchema: object({ name: { type: 'string' } }) });
		server._requestHandlers.set('tools/list', async (...a) => {
			const listed = await list(...a);
			return { ...listed, tools: [...listed.tools, ...more] };
		});
		server._requestHandlers.set('tools/call', async (request, ctx) => {
			const { name, arguments: args = {} } = request.params;
			if (name === 'greet')
				return { resultType: 'complete', ...says(`Hello, ${args.name}!`) };
			return jobs[name] ? this.call(name, args, ctx) : call(request, ctx);
		});
		const id = z.looseObject({ taskId: z.string() });
		server.setRequestHandler('tasks/get', { params: id }, (params, ctx) => ({ resultType: 'complete', ...this.find(params, ctx).view }));
		server.setRequestHandler('tasks/update', { params: id }, (params, ctx) => {
			this.find(params, ctx).answer?.(params.inputResponses ?? ctx.mcpReq.inputResponses ?? {});
			return { resultType: 'complete' };
		});
		server.setRequestHandler('tasks/cancel', { params: id }, (params, ctx) => {
			const task = this.find(params, ctx);
			task.set('cancelled');
			task.controller.abort();
			return { resultType: 'complete' };
		});
	}
}
