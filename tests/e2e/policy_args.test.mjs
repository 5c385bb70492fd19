// SPDX-License-Identifier: Apache-2.0
// policy_args.test.mjs - arguments, principals, times and classify rules decide
// real calls through the gateway, and the record says what rules annotate.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, TOOLS, needs, startAgent, until } from './agent.mjs';
import { RawClient } from './raw.mjs';
import { startServer } from './servers.mjs';

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const near = (hours) => DAYS[new Date(Date.now() + hours * 3600e3).getUTCDay()];
const POLICY = `version: v1
rules:
  - {id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW, annotate: {area: reads}}
  - {id: numbers, match: {args: {/number: {min: 100}}}, decision: DENY, reason: not that many, remediation: ask for fewer}
  - {id: words, match: {args: {/number: {regex: "."}}}, decision: DENY}
  - {id: mine, match: {labels: {mcp.tool: create_issue}, args: {/title: "mine *"}, principal: {profile: agent, uid: ${CLIENT_UID}}}, decision: ALLOW}
  - {id: others, match: {labels: {mcp.tool: create_issue}, args: {/title: "theirs *"}, principal: {uid: ${CLIENT_UID + 1}}}, decision: ALLOW}
  - {id: named, match: {labels: {mcp.tool: create_issue}, args: {/title: "named *"}, principal: {user: daemon}}, decision: ALLOW}
  - {id: bins, match: {args: {/title: "named *"}, principal: {user: bin}}, decision: DENY}
  - {id: today, match: {labels: {mcp.tool: create_issue}, args: {/title: "now"}, time: {days: [${near(-1)}, ${near(1)}]}}, decision: ALLOW}
  - {id: never, match: {labels: {mcp.tool: create_issue}, args: {/title: "later"}, time: {days: [${near(72)}]}}, decision: ALLOW}
classify:
  - {id: drafts, match: {labels: {mcp.tool: create_issue}, args: {/title: {regex: "^draft: [a-z]+\\\\z"}}}, set: {action: read}}
`;

describe('conditions', needs(), () => {
	let agent, server, inside, raw;

	before(async () => {
		server = await startServer({ json: true });
		agent = await startAgent({ policy: POLICY, servers: [{ id: 'github', url: server.url(), tools: TOOLS }] });
		inside = await agent.inside();
		raw = await new RawClient(inside, agent.url('github')).open();
	});
	after(async () => {
		await agent?.stop();
		await server?.close();
	});

	const call = async (tool, args) => (await raw.call(tool, args)).message.result;
	const allowed = async (tool, args) => !(await call(tool, args)).isError;

	test('numbers are compared as numbers, and a denial says what can be done', async () => {
		assert.ok(await allowed('read_issue', { number: 99 }));
		const denied = await call('read_issue', { number: 100.0 });
		assert.ok(denied.isError);
		assert.match(denied.content[0].text, /not that many.*numbers.*ask for fewer/s);
		assert.ok(!await allowed('read_issue', { number: '7' }));
	});

	test('who calls, and when, decides', async () => {
		for (const [title, wanted] of [['mine a', true], ['theirs a', false], ['now', true], ['later', false]])
			assert.equal(await allowed('create_issue', { title, body: 'b' }), wanted, title);
	});

	test('a name of a user is the uid that it has here', async () => {
		const uid = Number(execFileSync('id', ['-u', 'daemon']));
		const daemon = await agent.inside({ uid });
		const other = await new RawClient(daemon, agent.url('github')).open();

		assert.ok(!(await other.call('create_issue', { title: 'named a', body: 'b' })).message.result.isError);
		assert.ok(!await allowed('create_issue', { title: 'named a', body: 'b' }));
	});

	test('a classify rule makes a read of what the registry calls a write', async () => {
		assert.ok(await allowed('create_issue', { title: 'draft: a', body: 'b' }));
		assert.ok(!await allowed('create_issue', { title: 'draft: a\nb', body: 'b' }));
	});

	test('the record carries what rules annotate', async () => {
		await until(() => agent.records().some((r) => r.kind === 'call.intent' && r.rules === 'reads' && r.labels === 'area=reads'),
			'the labels on a record');
	});
});
