// SPDX-License-Identifier: Apache-2.0
// notify.test.mjs - people hear of what waits for them: a command that is started
// with the event on its standard input, and a webhook that gets it signed. Neither
// changes a decision, and no argument is told to anybody.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { needs, scene, until } from './agent.mjs';
import { makeCa } from './pki.mjs';
import { Base, freePort, startServer } from './servers.mjs';

const SECRET = 'correct horse battery staple';
const WORD = 'unspeakable-argument';

// Where notifications go: it keeps what comes, and answers with what is asked of it.
class Receiver extends Base {
	posts = [];
	status = [];

	async start(tls) {
		this.tls = tls;
		const handle = async (req, res) => {
			const chunks = [];
			for await (const chunk of req)
				chunks.push(chunk);
			const text = Buffer.concat(chunks).toString();
			this.posts.push({ headers: req.headers, method: req.method, url: req.url, text, body: JSON.parse(text) });
			res.writeHead(this.status.shift() ?? 204).end();
		};
		if (!tls)
			return this.open(handle);
		this.https = https.createServer(tls, handle);
		this.port = await freePort();
		await new Promise((done) => this.https.listen(this.port, '127.0.0.1', done));
		return this;
	}
	entry(more = {}) {
		return { id: 'pager', use: 'webhook', url: `${this.tls ? 'https' : 'http'}://${this.tls ? 'localhost' : '127.0.0.1'}:${this.port}/hook?team=a`, ...more };
	}
	post(match, ms) {
		return until(() => this.posts.find(match), 'a post', ms);
	}
	async close() {
		this.https?.close();
		this.https?.closeAllConnections();
		if (!this.https)
			await super.close();
	}
}

function verified(post) {
	const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(post.headers['x-zerogate-signature']);
	assert.equal(v1, createHmac('sha256', SECRET).update(`${t}.${post.text}`).digest('hex'));
	assert.ok(Math.abs(Date.now() / 1000 - Number(t)) < 60);
	assert.equal(post.headers['x-zerogate-event'], post.body.event);
	assert.equal(post.headers['x-zerogate-delivery'], post.body.delivery);
	assert.equal(post.headers['content-type'], 'application/json');
	return post.body;
}

// An agent that tells; script: the body of a command, webhook: a receiver.
async function telling(t, { script, webhook, events, timeout = 60, user = '', entry = {}, ...options }) {
	const server = await startServer();
	t.after(() => webhook?.close());
	let notify;
	const agent = await scene(t, { server, hold: 30, workers: 2, ...options,
		servers: webhook ? [webhook.entry(entry)] : [],
		before: (a) => {
			notify = { command: path.join(a.dir, 'tell'), out: path.join(a.dir, 'told') };
			fs.mkdirSync(notify.out);
			fs.chmodSync(notify.out, 0o777);
			const lines = [`notify:`, ...(events ? [`  events: [${events.join(', ')}]`] : [])];
			if (script) {
				fs.writeFileSync(notify.command, `#!/bin/sh\nout=${notify.out}\n${script}\n`);
				fs.chmodSync(notify.command, 0o755);
				lines.push(`  command: {path: ${notify.command}, args: [one, "two words; $(id)"], timeout_sec: ${timeout}${user ? `, user: ${user}` : ''}}`);
			}
			if (webhook) {
				fs.writeFileSync(path.join(a.dir, 'etc/hook.secret'), `${SECRET}\n`, { mode: 0o600 });
				lines.push('  webhook: {server: pager, secret_file: hook.secret}');
			}
			fs.appendFileSync(a.config, lines.join('\n') + '\n');
			options.before?.(a);
		} });
	const inside = await agent.inside();
	await inside.must('connect', { url: agent.url('github') });
	return { agent, inside, server, ...notify };
}

const files = (dir, suffix) => fs.readdirSync(dir).filter((f) => f.endsWith(suffix)).map((f) => fs.readFileSync(path.join(dir, f), 'utf8'));

test('a held call starts the command, as somebody without rights, with the event and no argument', needs(), async (t) => {
	const script = 'cat > $out/$ZEROGATE_DELIVERY.part\n(id -u; env | sort; echo "args: $*"; echo "n: $#"; grep -E "NoNewPrivs|CapEff|CapBnd" /proc/self/status; ls /proc/self/fd | wc -l; cat /proc/self/cgroup) > $out/$ZEROGATE_DELIVERY.env\necho "said by the command"\nmv $out/$ZEROGATE_DELIVERY.part $out/$ZEROGATE_DELIVERY.json';
	const { agent, inside, server, out } = await telling(t, { script, user: 'games', events: ['request', 'decision'] });
	const call = inside.tool('create_issue', { title: WORD });
	const id = await agent.approval();
	const told = JSON.parse(await until(() => files(out, '.json')[0], 'the command'));
	assert.equal(told.event, 'approval.request');
	assert.equal(told.approval, id);
	assert.equal(told.state, 'pending');
	assert.equal(told.server, 'github');
	assert.equal(told.tool, 'create_issue');
	assert.equal(told.uid, 65533);
	assert.equal(told.profile, 'agent');
	assert.deepEqual(told.risk_tags, ['prod']);
	assert.ok(told.rules.includes('require-approval-production-write'), told.rules);
	assert.ok(told.expires_ms > told.created_ms);
	assert.match(told.args_sha256, /^[0-9a-f]{64}$/);
	assert.ok(told.args_bytes > 0);
	const env = files(out, '.env')[0];
	const games = fs.readFileSync('/etc/passwd', 'utf8').split('\n').find((l) => l.startsWith('games:')).split(':')[2];
	assert.equal(env.split('\n')[0], games);
	const names = env.split('\n').filter((l) => /^[A-Z_]+=/.test(l)).map((l) => l.split('=')[0]).filter((n) => !['PWD', '_', 'OLDPWD', 'SHLVL'].includes(n));
	assert.deepEqual(names.sort(), ['HOME', 'LANG', 'PATH', 'ZEROGATE_DELIVERY', 'ZEROGATE_EVENT']);
	assert.match(env, /^args: one two words; \$\(id\)$/m);
	assert.match(env, /^n: 2$/m);
	assert.match(env, /^NoNewPrivs:\s+1$/m);
	assert.match(env, /^CapEff:\s+0+$/m);
	assert.match(env, /notify\/\d+$/m);
	assert.equal((await agent.zg(['approvals', 'approve', id, '--reason', 'fine'])).code, 0);
	assert.equal((await call).content[0].text, 'created #1');
	const decided = await until(() => files(out, '.json').map((f) => JSON.parse(f)).find((e) => e.event === 'approval.approve'), 'the decision');
	assert.equal(decided.approver_uid, 0);
	assert.equal(decided.reason, 'fine');
	assert.equal(server.executed.create_issue, 1);
	await until(() => fs.readFileSync(agent.log, 'utf8').includes('said by the command'), 'its output in the log');
	assert.ok(!files(out, '').join('').includes(WORD), 'no argument');
	assert.ok(!agent.records().some((r) => r.kind === 'notify.fail'));
});

test('a command that is slow, fails or cannot be started: recorded, and nothing else changes', needs(), async (t) => {
	const script = 'if [ -e $out/slow ]; then echo $$ > $out/pid.part; sleep 300 & echo $! > $out/child; mv $out/pid.part $out/pid; wait; fi\nexit 7';
	const { agent, inside, server, out, command } = await telling(t, { script, timeout: 12, events: ['request'] });
	const held = [];
	const ask = async (title) => {
		const before = agent.records().filter((r) => r.kind === 'approval.request').length;
		held.push(inside.tool('create_issue', { title }));
		return until(() => agent.records().filter((r) => r.kind === 'approval.request')[before], 'a request');
	};
	const fail = (what) => agent.record((r) => r.kind === 'notify.fail' && what.test(r.reason), String(what));
	const first = await ask('a');
	const failed = await fail(/status 7/);
	assert.equal(failed.approval, first.approval);
	assert.equal(failed.status, 7);
	assert.equal(failed.layer, 'command');
	fs.writeFileSync(path.join(out, 'slow'), '');
	await ask('b');
	await until(() => fs.existsSync(path.join(out, 'pid')), 'the slow one to run');
	const child = fs.readFileSync(path.join(out, 'child'), 'utf8').trim();
	await fail(/time was over/);
	await until(() => !fs.existsSync(`/proc/${child}`), 'what it started to be gone');
	fs.chmodSync(command, 0o777);
	await ask('c');
	await fail(/others can write/);
	for (const request of agent.records().filter((r) => r.kind === 'approval.request'))
		assert.equal((await agent.zg(['approvals', 'approve', request.approval])).code, 0);
	await Promise.all(held);
	assert.equal(server.executed.create_issue, 3, 'decisions hold all the same');
});

test('the webhook: signed, without arguments, again after a failure with the same delivery', needs(), async (t) => {
	const webhook = await new Receiver().start();
	webhook.status = [500, 302];
	const { agent, inside } = await telling(t, { webhook, events: ['request', 'vote', 'decision', 'break_glass', 'gate_trip'] });
	const call = inside.tool('create_issue', { title: WORD });
	const id = await agent.approval();
	await until(() => webhook.posts.length >= 3, 'the second retry');
	const bodies = webhook.posts.slice(0, 3).map(verified);
	assert.equal(new Set(bodies.map((b) => b.delivery)).size, 1, 'a retry is known by its delivery');
	assert.equal(bodies[0].event, 'approval.request');
	assert.equal(bodies[0].approval, id);
	assert.equal(webhook.posts[0].method, 'POST');
	assert.equal(webhook.posts[0].url, '/hook?team=a');
	assert.equal((await agent.zg(['approvals', 'approve', id, '--break-glass', '--reason', 'outage'])).code, 0);
	await call;
	const broke = verified(await webhook.post((p) => p.body.event === 'approval.break_glass'));
	assert.equal(broke.reason, 'outage');
	const gate = verified(await webhook.post((p) => p.body.event === 'gate.trip'));
	assert.equal(gate.gate, 'governance');
	assert.equal(gate.approval, id);
	assert.equal(new Set(webhook.posts.map((p) => p.body.delivery)).size, 3);
	assert.ok(!webhook.posts.map((p) => p.text + JSON.stringify(p.headers)).join('').includes(WORD), 'no argument');
	assert.ok(!fs.readFileSync(agent.log, 'utf8').includes(SECRET));
	assert.ok(!JSON.stringify(agent.records()).includes(SECRET));
	// it is nobody's server
	assert.notEqual((await inside.do('connect', { url: agent.url('pager') })).error, undefined);
});

test('the queue outlives ledger and gateways: once delivered, never again; else with the same delivery', needs(), async (t) => {
	const webhook = await new Receiver().start();
	webhook.status = [204, 500];
	const { agent, inside } = await telling(t, { webhook, events: ['request'] });
	inside.tool('create_issue', { title: 'one' }).catch(() => {});
	const one = verified(await webhook.post(() => true));
	inside.tool('create_issue', { title: 'two' }).catch(() => {});
	const two = verified(await until(() => webhook.posts[1], 'the second'));
	await agent.kill('ledger');
	await agent.kill('gateway');
	const again = verified(await until(() => webhook.posts[2], 'the second again'));
	assert.equal(again.delivery, two.delivery);
	assert.equal(again.approval, two.approval);
	assert.equal(webhook.posts.filter((p) => p.body.delivery === one.delivery).length, 1);
});

test('posted over https to a CA of one\'s own', needs(), async (t) => {
	const ca = makeCa();
	t.after(() => ca.close());
	const webhook = await new Receiver().start(ca.server('DNS:localhost', 'IP:127.0.0.1'));
	const { agent, inside } = await telling(t, { webhook, entry: { ca_file: ca.file, addresses: ['127.0.0.1'] }, before: (a) => fs.appendFileSync(a.config, '') });
	inside.tool('create_issue', { title: WORD }).catch(() => {});
	const body = verified(await webhook.post(() => true));
	assert.equal(body.approval, await agent.approval());
});

test('votes and what is void are told, too; a place that is suspended is not dialled until it is back', needs(), async (t) => {
	const webhook = await new Receiver().start();
	const { agent, inside, server } = await telling(t, { webhook, events: ['vote', 'expiry'], hold: 1,
		policy: 'version: v1\nrules:\n  - {id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}\n  - {id: two, match: {labels: {mcp.action: write}}, decision: REQUIRE_APPROVAL, approvers: 2}\n' });
	inside.tool('create_issue', { title: WORD }).catch(() => {});
	const id = await agent.approval();
	assert.equal((await agent.zg(['approvals', 'approve', id, '--reason', 'one of two'], { uid: 65531, groups: 'adm' })).code, 0);
	const vote = verified(await webhook.post((p) => p.body.event === 'approval.vote'));
	assert.equal(vote.approval, id);
	assert.equal(vote.state, 'pending');
	assert.equal(vote.reason, 'one of two');
	assert.equal((await agent.zg(['servers', 'suspend', 'pager', '--reason', 'maintenance'])).code, 0);
	agent.policy('version: v1\nrules: [{id: reads, match: {labels: {mcp.action: read}}, decision: ALLOW}]\n');
	assert.equal((await agent.zg(['reload'])).code, 0);
	await agent.record((r) => r.kind === 'approval.expire' && r.approval === id, 'approval.expire');
	await until(() => /is not delivered yet: the place of the webhook is not registered/.test(fs.readFileSync(agent.log, 'utf8')), 'the refusal');
	assert.equal(webhook.posts.length, 1, 'nothing was posted while it was suspended');
	assert.equal((await agent.zg(['servers', 'resume', 'pager', '--reason', 'done'])).code, 0);
	const gone = verified(await webhook.post((p) => p.body.event === 'approval.expire', 60000));
	assert.equal(gone.approval, id);
	assert.equal(gone.reason, 'policy_changed');
	assert.ok(!webhook.posts.map((p) => p.text).join('').includes(WORD), 'no argument');
	assert.equal(server.executed.create_issue, undefined);
});

test('a place that is not registered for it is never dialled', needs(), async (t) => {
	const webhook = await new Receiver().start();
	const { agent, inside, server } = await telling(t, { webhook, entry: { use: 'mcp' } });
	const call = inside.tool('create_issue', { title: 'x' });
	const id = await agent.approval();
	await until(() => /is not delivered yet: the place of the webhook is not registered/.test(fs.readFileSync(agent.log, 'utf8')), 'the refusal');
	assert.equal(webhook.posts.length, 0);
	assert.equal((await agent.zg(['approvals', 'approve', id])).code, 0);
	await call;
	assert.equal(server.executed.create_issue, 1);
});
