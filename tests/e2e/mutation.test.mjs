// SPDX-License-Identifier: Apache-2.0
// mutation.test.mjs - are the cases beside the policies worth anything? Each rule
// is broken in every way at a time: taken away, given another decision, without a
// condition or a value of it, with a looser bound. A case must notice each. Needs
// no agent and no root.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import YAML from 'yaml';
import { repo } from './agent.mjs';

const ZEROGATE = path.join(process.env.ZG_BUILD ?? path.join(repo, 'build'), 'zerogate');
// and how many cases must stand there
const CONFIGS = [['tests/data/policy/zerogate.yaml', 500], ['tests/data/policy/allow.yaml', 10],
	['tests/data/policy/ask.yaml', 10], ['policies/examples.yaml', 168]];
// Mutants that mean the same: deny_servers_not_in holds only if there is a mcp.server.
const SAME = ['deny-unregistered-server without match.labels'];
const SIDE_BY_SIDE = 2;
const DECISIONS = ['DENY', 'REQUIRE_APPROVAL', 'ALLOW_WITH_CONSTRAINTS', 'ALLOW'];
const LEVELS = ['default', 'strict', 'withhold'];
const WINDOWS = ['second', 'minute', 'hour', 'day'];

// Text as it was written, quoted or not: the reader of policies guesses no types either.
const read = (text) => YAML.parseDocument(text, { schema: 'failsafe' });
const write = (doc) => doc.toString({ lineWidth: 0 });
const plain = (value) => { const s = new YAML.Scalar(String(value)); s.type = 'PLAIN'; return s; };

// A mutant is [what was done, (document) => undefined]. at: the path of a node.
const drop = (at) => [`without ${at.slice(2).join('.')}`, (doc) => doc.deleteIn(at)];
const set = (at, value) => [`${at.slice(2).join('.')} = ${value}`, (doc) => doc.setIn(at, plain(value))];

function* values(doc, at) {
	const list = doc.getIn(at);
	for (let i = 0; YAML.isSeq(list) && list.items.length > 1 && i < list.items.length; i++)
		yield drop([...at, i]);
}

const minutes = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
const clock = (m) => [Math.floor(m / 60), m % 60].map((n) => String(n).padStart(2, '0')).join(':');

function* window(doc, at) {
	for (const { key } of doc.getIn(at).items) {
		const here = [...at, key.value], text = doc.getIn(here);
		yield drop(here);
		yield* values(doc, here);
		if (key.value === 'from' && minutes(text) > 0)
			yield set(here, `"${clock(minutes(text) - 1)}"`);
		if (key.value === 'to' && minutes(text) < 1440)
			yield set(here, `"${clock(minutes(text) + 1)}"`);
		if (key.value === 'zone')
			yield set(here, `"${text[0] === '+' ? '-' : '+'}${text.slice(1)}"`);
	}
}

function* ranges(doc, at) {
	const node = doc.getIn(at);
	const items = YAML.isSeq(node) ? node.items.map((item, i) => [[...at, i], item.value]) : [[at, String(node)]];
	for (const [here, text] of items) {
		const [low, high = low] = text.split('-').map(Number);
		if (low > 0)
			yield set(here, `"${low - 1}-${high}"`);
		yield set(here, `"${low}-${high + 1}"`);
	}
}

const STEPS = { min: -1n, max: 1n };

function* matcher(doc, at) {
	for (const { key } of doc.getIn(at).items) {
		const here = [...at, key.value];
		yield drop(here);
		yield* values(doc, here);
		if (STEPS[key.value] && /^-?\d+$/.test(doc.getIn(here)))
			yield set(here, BigInt(doc.getIn(here)) + STEPS[key.value]);
		if (key.value === 'present')
			yield set(here, doc.getIn(here) === 'true' ? 'false' : 'true');
	}
}

// A map of conditions, and each of its parts.
function* conditions(doc, at) {
	for (const { key: sort } of doc.getIn(at)?.items ?? []) {
		const here = [...at, sort.value], node = doc.getIn(here);
		yield drop(here);
		if (sort.value === 'risk_tags' || sort.value === 'mcp' || sort.value === 'deny_servers_not_in') {
			yield* values(doc, here);
			yield* values(doc, [...here, 'deny_servers_not_in']);
		} else if (sort.value === 'time') {
			for (const one of YAML.isSeq(node) ? node.items.map((_, i) => [...here, i]) : [here])
				yield* window(doc, one);
			yield* values(doc, here);
		} else {
			for (const { key } of node.items) {
				const part = [...here, key.value];
				if (node.items.length > 1)
					yield drop(part);
				yield* values(doc, part);
				if (key.value === 'uid')
					yield* ranges(doc, part);
				if (YAML.isMap(doc.getIn(part)))
					yield* matcher(doc, part);
			}
		}
	}
}

function* limit(doc, at) {
	if (!YAML.isMap(doc.getIn(at))) {
		yield set(at, Number(doc.getIn(at)) + 1);
		return;
	}
	yield set([...at, 'calls'], Number(doc.getIn([...at, 'calls'])) + 1);
	yield set([...at, 'by'], doc.hasIn([...at, 'by']) && String(doc.getIn([...at, 'by'])) === 'tool' ? 'server' : 'tool');
	yield drop([...at, 'by']);
	yield* values(doc, [...at, 'by']);
	for (const per of doc.hasIn([...at, 'per']) ? WINDOWS : [])
		if (per !== doc.getIn([...at, 'per']))
			yield set([...at, 'per'], per);
}

function* constraints(doc, at) {
	for (const { key } of doc.getIn(at)?.items ?? []) {
		const here = [...at, key.value], node = doc.getIn(here);
		yield drop(here);
		yield* values(doc, here);
		if (key.value === 'redact')
			yield* LEVELS.filter((level) => level !== node).map((level) => set(here, level));
		else if (key.value === 'network_allowlist')
			yield [`one host more in ${here.slice(2).join('.')}`, (d) => d.addIn(here, plain('more.example'))];
		else if (key.value === 'rate' || key.value === 'max_concurrent')
			for (const one of YAML.isSeq(node) ? node.items.map((_, i) => [...here, i]) : [here])
				yield* limit(doc, one);
		else
			yield set(here, Number(node) + 1);
	}
}

// Another decision, with what it cannot have taken away and what it must have added.
function decide(at, decision) {
	return [`decision = ${decision}`, (doc) => {
		doc.setIn([...at, 'decision'], plain(decision));
		if (decision !== 'REQUIRE_APPROVAL')
			doc.deleteIn([...at, 'approvers']);
		if (decision === 'DENY')
			doc.deleteIn([...at, 'constraints']);
		if (decision === 'ALLOW_WITH_CONSTRAINTS' && !doc.hasIn([...at, 'constraints']))
			doc.setIn([...at, 'constraints'], doc.createNode({ redact: 'default' }));
	}];
}

function* setting(doc, at) {
	for (const { key } of doc.getIn(at).items) {
		const here = [...at, key.value];
		yield drop(here);
		yield* values(doc, here);
		if (key.value === 'action')
			yield set(here, doc.getIn(here) === 'read' ? 'write' : 'read');
		for (const { key: label } of YAML.isMap(doc.getIn(here)) ? doc.getIn(here).items : [])
			yield set([...here, label.value], 'mutant');
	}
}

function* ofRule(doc, part, at) {
	yield ['is gone', (d) => d.deleteIn(at)];
	for (const member of ['match', 'unless', 'mcp'])
		yield* conditions(doc, [...at, member]);
	for (const member of ['unless', 'mcp', 'constraints', 'approvers', 'reason', 'remediation', 'annotate'])
		if (doc.hasIn([...at, member]))
			yield drop([...at, member]);
	if (part === 'classify') {
		yield* setting(doc, [...at, 'set']);
		return;
	}
	for (const decision of DECISIONS)
		if (decision !== doc.getIn([...at, 'decision']))
			yield decide(at, decision);
	yield* constraints(doc, [...at, 'constraints']);
	if (doc.hasIn([...at, 'approvers']))
		yield set([...at, 'approvers'], Number(doc.getIn([...at, 'approvers'])) - 1);
	for (const { key } of doc.getIn([...at, 'annotate'])?.items ?? [])
		yield set([...at, 'annotate', key.value], 'mutant');
}

// [rule, what, change] of each mutant.
function* mutants(doc) {
	for (const part of ['rules', 'classify'])
		for (const [i, rule] of (doc.get(part)?.items ?? []).entries())
			for (const [what, change] of ofRule(doc, part, [part, i]))
				yield [rule.get('id'), what, change];
	for (const decision of doc.has('default_decision') ? ['DENY', 'REQUIRE_APPROVAL', 'ALLOW'] : [])
		if (decision !== doc.get('default_decision'))
			yield ['the default', `is ${decision}`, (d) => d.set('default_decision', plain(decision))];
}

// A condition that lost its last part goes as a whole; a rule keeps its match.
function tidy(doc, node = doc.contents, key = '') {
	if (!YAML.isMap(node) && !YAML.isSeq(node))
		return false;
	node.items = node.items.filter((item) => {
		const name = YAML.isMap(node) ? item.key.value : '';
		return !tidy(doc, YAML.isMap(node) ? item.value : item, name) || name === 'match' || name === 'rules';
	});
	return !node.items.length;
}

// A quoted "09:00" arrives as text with quotes in it.
function mutate(text, change) {
	const doc = read(text);
	change(doc);
	tidy(doc);
	YAML.visit(doc, { Scalar(_, s) {
		if (/^".*"$/.test(s.value) && s.type === 'PLAIN')
			Object.assign(s, { value: s.value.slice(1, -1), type: 'QUOTE_DOUBLE' });
	} });
	return write(doc);
}

const run = (config) => new Promise((resolve) => execFile(ZEROGATE, ['policy', 'test', '--json', '--config', config],
	{ timeout: 60000, maxBuffer: 1 << 24 }, (error, stdout, stderr) => resolve({ status: error ? error.code : 0, stdout, stderr })));

describe('mutation of one rule at a time', () => {
	let dir;
	before(() => { dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-mutation-')); });
	after(() => fs.rmSync(dir, { recursive: true, force: true }));

	// A folder with one policy and its cases, which is replaced by one mutant at a time.
	function bench(config, file, n) {
		const folder = path.join(dir, `${path.basename(config)}-${file}-${n}`);
		const from = path.dirname(path.join(repo, config));
		const main = read(fs.readFileSync(path.join(repo, config), 'utf8'));
		const policies = path.join(folder, main.get('policies'));
		fs.mkdirSync(policies, { recursive: true });
		fs.copyFileSync(path.join(repo, config), path.join(folder, 'main.yaml'));
		fs.cpSync(path.join(from, main.get('servers')), path.join(folder, main.get('servers')), { recursive: true });
		for (const name of [file, file.replace('.yaml', '.cases')])
			fs.copyFileSync(path.join(from, main.get('policies'), name), path.join(policies, name));
		return { main: path.join(folder, 'main.yaml'), file: path.join(policies, file) };
	}

	async function work(place, queue, found) {
		for (let next = queue.shift(); next; next = queue.shift()) {
			fs.writeFileSync(place.file, next.mutant);
			const { status } = await run(place.main);
			if (status === 0)
				found.survivors.push(`${next.rule} ${next.what}`);
			else
				found[status === 1 ? 'caught' : 'refused']++;
		}
	}

	function all(text) {
		const doc = read(text), seen = new Set([mutate(text, () => undefined)]), queue = [];
		for (const [rule, what, change] of mutants(doc)) {
			const mutant = mutate(text, change);
			if (!seen.has(mutant))
				queue.push({ rule, what, mutant });
			seen.add(mutant);
		}
		return queue;
	}

	for (const [config, least] of CONFIGS) {
		const folder = path.join(path.dirname(config), read(fs.readFileSync(path.join(repo, config), 'utf8')).get('policies'));
		let cases = 0;
		for (const file of fs.readdirSync(path.join(repo, folder)).filter((name) => name.endsWith('.yaml')))
			test(path.join(folder, file), async (t) => {
				const places = Array.from({ length: SIDE_BY_SIDE }, (_, n) => bench(config, file, n));
				const { status, stdout, stderr } = await run(places[0].main);
				assert.equal(status, 0, stdout + stderr);
				cases += JSON.parse(stdout).passed;
				const queue = all(fs.readFileSync(path.join(repo, folder, file), 'utf8'));
				const found = { caught: 0, refused: 0, survivors: [] };
				await Promise.all(places.map((place) => work(place, queue, found)));
				t.diagnostic(`${found.caught} mutants caught, ${found.refused} refused by the reader`);
				assert.deepEqual(found.survivors.filter((name) => !SAME.includes(name)), []);
				assert.ok(found.caught > 2 * found.refused, `${found.refused} mutants do not load`);
			});
		test(`${config} as a whole`, async () => {
			const { status, stdout, stderr } = await run(path.join(repo, config));
			assert.equal(status, 0, stdout + stderr);
			assert.equal(JSON.parse(stdout).passed, cases);
			assert.ok(cases >= least, `${cases} cases, not ${least}`);
		});
	}
});
