// SPDX-License-Identifier: Apache-2.0
// redaction.test.mjs - what must not reach a model is taken out of every kind
// of reply, and every other byte stays as the server sent it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TOOLS, needs, startAgent } from './agent.mjs';
import { plant } from './planted.mjs';
import { RawClient } from './raw.mjs';
import { startHostile, startServer } from './servers.mjs';

const KINDS = ['aws-access-key', 'github-token', 'npm-token', 'slack-token', 'private-key', 'jwt', 'credit-card', 'email'];
const PLACEHOLDER = (kind) => new RegExp(`\\[zerogate:${kind}:\\d+\\]`);

describe('redaction', needs(), () => {
	let agent, sse, json, exact, inside;
	const secrets = plant();

	before(async () => {
		[sse, json, exact] = await Promise.all([startServer({ secrets }), startServer({ secrets, json: true }), startHostile()]);
		agent = await startAgent({ servers: [
			{ id: 'github', url: sse.url(), tools: TOOLS },
			{ id: 'jira', url: json.url(), tools: TOOLS },
			{ id: 'slack', url: exact.url(), tools: { exact: { action: 'read' } } },
		] });
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		await Promise.all([sse?.close(), json?.close(), exact?.close()]);
	});

	function clean(text, where) {
		for (const [kind, value] of Object.entries(secrets)) {
			for (const form of [value, JSON.stringify(value).slice(1, -1)])
				assert.ok(!text.includes(form), `${kind} in ${where}`);
			assert.match(text, PLACEHOLDER(kind), `${kind} in ${where}`);
		}
	}

	for (const where of ['text', 'structured', 'error'])
		test(`all kinds, in ${where}, as JSON and as events, through the SDK`, async () => {
			for (const id of ['github', 'jira']) {
				await inside.must('connect', { url: agent.url(id) });
				const result = await inside.tool('leak', { where });
				clean(JSON.stringify(result), `${where} of ${id}`);
				const whole = where === 'structured' ? result.structuredContent.all : result.content[0].text;
				assert.ok(whole.startsWith('first line\n') && whole.endsWith('\nlast \\ line'), whole);
				for (const kind of KINDS)
					assert.match(whole, new RegExp(`${kind}: "\\[zerogate:${kind}:\\d+\\]"\t\u00e9\u{1f600}`, 'u'));
				await inside.must('close');
			}
		});

	test('a progress message and a resource are scanned too', async () => {
		sse.progressText = () => `uploading with ${secrets['github-token']}`;
		sse.resourceText = `mail ${secrets.email}`;
		await inside.must('connect', { url: agent.url('github') });
		const { notes } = await inside.must('tool', { name: 'count_to', args: { n: 2 }, progress: true });
		assert.equal(notes.length, 2);
		for (const note of notes)
			assert.match(note.message, /^uploading with \[zerogate:github-token:\d+\]$/);
		const { contents } = await inside.must('resource', { uri: 'file:///readme.md' });
		assert.match(contents[0].text, /^mail \[zerogate:email:\d+\]$/);
		await inside.must('close');
	});

	// Odd but valid spellings; the token stands behind \u escapes, in a key and in a value.
	const odd = (rpc, token) => `{ "jsonrpc" :"2.0",\t"id": ${rpc.id} ,"result":{"content":[ {"type":"text","text":"a\\u0041\\/\\"é\\ud83d\\ude00 ${token} end"}], "n":1.0e+2,"empty":{ },"structuredContent":{"k":[1.50,-0,null,true ]}} }`;
	const spelled = (token) => token.replace('_', '\\u005f');

	test('every byte outside the redacted spans is identical: JSON', async () => {
		const raw = await new RawClient(inside, agent.url('slack')).open();
		exact.exactType = { 'content-type': 'application/json' };
		exact.exact = (rpc) => odd(rpc, 'nothing');
		let reply = await raw.call('exact');
		assert.equal(Buffer.from(reply.body, 'latin1').toString(), odd({ id: raw.id }, 'nothing'));
		exact.exact = (rpc) => odd(rpc, spelled(secrets['github-token']));
		reply = await raw.call('exact');
		assert.equal(Buffer.from(reply.body, 'latin1').toString(), odd({ id: raw.id }, '[zerogate:github-token:1]'));
	});

	test('every byte outside the redacted spans is identical: events', async () => {
		const raw = await new RawClient(inside, agent.url('slack')).open();
		exact.exactType = { 'content-type': 'text/event-stream' };
		// an empty object is what event stores replay of the id that opened a stream
		const stream = (rpc, token) => `id: 0\ndata: {}\n\n: hello\nid: 1\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x ${token}"}}\n\n`
			+ `event: message\nid: 2\ndata: ${odd(rpc, token)}\n\n`;
		const datas = (body) => Buffer.from(body, 'latin1').toString().split(/\r?\n/).filter((l) => l.startsWith('data:')).map((l) => l.replace(/^data: ?/, ''));
		for (const [sent, arrives] of [['nothing', 'nothing'], [spelled(secrets['npm-token']), '[zerogate:npm-token:1]']]) {
			exact.exact = (rpc) => stream(rpc, sent);
			const reply = await raw.call('exact');
			assert.deepEqual(datas(reply.body), datas(Buffer.from(stream({ id: raw.id }, arrives)).toString('latin1')));
			// ids are the gateway's: sealed, one an event
			const ids = [...reply.body.matchAll(/^id: ?(.*)$/gm)].map(([, id]) => id);
			assert.ok(ids.length === 3 && new Set(ids).size === 3 && ids.every((id) => /^[\w-]{40,}$/.test(id)), reply.body);
		}
	});

	test('the record names kinds and counts, never the values', async () => {
		const record = await agent.record((r) => r.kind === 'call.outcome' && r.tool === 'leak' && r.findings);
		for (const kind of KINDS)
			assert.match(record.findings, new RegExp(`${kind}:\\d+`));
		const everything = JSON.stringify(agent.records()) + agent.logText();
		for (const [kind, value] of Object.entries(secrets))
			assert.ok(!everything.includes(value), kind);
	});

	test('zerogate scan finds the same with the same offsets', async () => {
		const text = `before ${secrets['github-token']} after`;
		const { code, stdout } = await agent.zg(['scan', '--json', '-'], { input: text });
		const [finding] = stdout.trim().split('\n').map((l) => JSON.parse(l));
		assert.ok(code === 0 || code === 1);
		assert.equal(finding.kind, 'github-token');
		assert.equal(text.slice(finding.start, finding.end), secrets['github-token']);
		const lines = await agent.zg(['scan', '--json', '--lines', '-'], { input: JSON.stringify({ id: 'a', text }) + '\n' });
		assert.equal(JSON.parse(lines.stdout).text, 'before [zerogate:github-token:1] after');
	});
});
