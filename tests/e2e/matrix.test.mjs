// SPDX-License-Identifier: Apache-2.0
// matrix.test.mjs - the official SDKs' clients, and the programs of others that
// speak MCP, with the reference servers, over HTTP and stdio and in every era:
// a session of every feature, directly and through the gateway, must give the
// same. What differs, and why, stands in DIFFERENCES.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENT_UID, needs, repo, startAgent, until, within } from './agent.mjs';
import { startConformanceServer } from './conformance_server.mjs';
import { normalise, session } from './matrix_session.mjs';
import { freePort } from './servers.mjs';

process.env.TMPDIR = '/run'; // servers have a /tmp of their own

const ALLOW_ALL = 'version: v1\nrules:\n  - id: allow-all\n    match:\n      labels:\n        mcp.server: "*"\n    decision: ALLOW\n';
const LEGACY = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];
const NEWEST = '2025-11-25', MODERN = '2026-07-28';

// 'client, server, era, door: step' or a part of it: why it is not as it is directly.
const DIFFERENCES = [
	[/\/a prompt that is not there\/error\/(code|message): .* gateway .*(-31001|in no list)/,
		'a prompt that no list of the server has is not passed on: it was never accepted'],
];

const PACKAGES = path.join('tests/e2e/node_modules/@modelcontextprotocol');
// id of a local server: script, arguments of node
const LOCAL = {
	'everything-stdio': ['everything', path.join(PACKAGES, 'server-everything/dist/index.js'), 'stdio'],
	'filesystem-stdio': ['filesystem', path.join(PACKAGES, 'server-filesystem/dist/index.js')],
	'memory-stdio': ['memory', path.join(PACKAGES, 'server-memory/dist/index.js')],
	'thinking-stdio': ['thinking', path.join(PACKAGES, 'server-sequential-thinking/dist/index.js')],
	'conformance-stdio': ['conformance', 'tests/e2e/conformance_server.mjs', '--stdio'],
};
// id of an HTTP server: script, transport of the client
const HTTP = {
	conformance: ['conformance', 'http'],
	'everything-http': ['everything', 'http'],
	'everything-sse': ['everything', 'sse'],
	'filesystem-http': ['filesystem', 'http'], // these by way of mcp-proxy, which speaks both eras
	'memory-http': ['memory', 'http'],
	'thinking-http': ['thinking', 'http'],
};
const ENV = { PATH: '/usr/bin:/bin', HOME: '/tmp', LANG: 'C.UTF-8', TMPDIR: '/tmp' };

// server-everything listens on all addresses; here on loopback only.
const LOOPBACK = 'data:text/javascript,import net from "node:net"; const all = net.Server.prototype.listen; '
	+ 'net.Server.prototype.listen = function (port, ...more) { return all.call(this, port, "127.0.0.1", ...more); };';
const startEverything = (kind, endpoint) => startProgram((port) => ['--import', LOOPBACK, path.join(repo, LOCAL['everything-stdio'][1]), kind], endpoint);
const startProxy = (id, dir) => startProgram((port) => [path.join(repo, 'tests/e2e/node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs'), '--host', '127.0.0.1', '--port', port,
	'--server', 'stream', '--', process.execPath, path.join(repo, LOCAL[id][1]), ...(id === 'filesystem-stdio' ? [dir] : [])], '/mcp', { MEMORY_FILE_PATH: `${dir}/memory` });

// A server that another's program is, on a port of its own; ready when it answers there.
async function startProgram(argv, endpoint, more = {}) {
	const port = String(await freePort());
	const child = spawn(process.execPath, argv(port), { stdio: 'ignore', env: { ...ENV, PORT: port, ...more } });
	process.on('exit', () => child.kill('SIGKILL'));
	const url = `http://127.0.0.1:${port}${endpoint}`;
	await until(() => fetch(url).then((answer) => answer.body.cancel().then(() => true), () => false), `${argv(port).join(' ')} to listen`);
	return { url, async close() {
		child.kill('SIGTERM'); // a proxy ends its server, too
		if (child.exitCode === null && child.signalCode === null)
			await within(once(child, 'exit'), 'a server to end').catch(() => child.kill('SIGKILL'));
	} };
}

// Where two transcripts differ: path and both values.
function difference(direct, through, at = '') {
	if (Object.is(direct, through))
		return [];
	if (direct && through && typeof direct === 'object' && typeof through === 'object' && Array.isArray(direct) === Array.isArray(through))
		return [...new Set([...Object.keys(direct), ...Object.keys(through)])].flatMap((key) => difference(direct[key], through[key], `${at}/${key}`));
	const show = (v) => v === undefined ? 'nothing' : JSON.stringify(v).slice(0, 300);
	return [`${at}: direct ${show(direct)}, gateway ${show(through)}`];
}

// Each of an object's functions, one after the other or at once; what they gave.
async function all(functions, atOnce) {
	const given = {};
	const one = async ([name, fn]) => { given[name] = await fn(); };
	if (atOnce)
		await Promise.all(Object.entries(functions).map(one));
	else
		for (const entry of Object.entries(functions))
			await one(entry);
	return given;
}

describe('matrix', needs({ timeout: 3600000, concurrency: 3 }), () => {
	const remote = {}, closing = [];
	let agent, inside, memories = 0;
	let shared; // the folder of servers that we start ourselves

	before(async () => {
		const fixture = await startConformanceServer();
		closing.push(() => fixture.close());
		remote.conformance = fixture.url();
		shared = fs.mkdtempSync('/run/zg-matrix-');
		closing.push(() => fs.rmSync(shared, { recursive: true, force: true }));
		const starts = { 'everything-http': startEverything('streamableHttp', '/mcp'), 'everything-sse': startEverything('sse', '/sse'),
			...Object.fromEntries(['filesystem', 'memory', 'thinking'].map((name) => [`${name}-http`, startProxy(`${name}-stdio`, shared)])) };
		for (const [id, start] of Object.entries(starts)) {
			const server = await start;
			closing.unshift(server.close);
			remote[id] = server.url;
		}
		const tools = { '*': { action: 'read' } };
		agent = await startAgent({ policy: ALLOW_ALL, servers: Object.entries(HTTP).map(([id, [, kind]]) =>
			({ id, url: remote[id], tools, type: kind === 'sse' ? 'sse' : 'streamable-http' })) });
		for (const id of Object.keys(LOCAL)) {
			const { command, args } = local(id, 'through');
			fs.writeFileSync(path.join(agent.dir, `etc/servers/${id}.json`), JSON.stringify({
				name: `dev.zerogate.test/${id}`, description: id, version: '1.0.0',
				_meta: { 'dev.zerogate/registry': { id, tools, command, args, env: environment(id), private_tmp: id !== 'filesystem-stdio', ...(id === 'filesystem-stdio' ? { user: 'caller' } : {}) } },
			}));
		}
		const done = await agent.zg(['reload']);
		assert.equal(done.code, 0, done.stderr + agent.logText());
		inside = await agent.inside();
	});
	after(async () => {
		await agent?.stop();
		for (const close of closing)
			await close();
	});

	const folder = (how) => {
		const dir = path.join(agent.dir, `files-${how}`);
		if (!fs.existsSync(dir)) {
			fs.mkdirSync(dir);
			fs.chownSync(dir, CLIENT_UID, CLIENT_UID);
		}
		return dir;
	};
	// a local server of ours has a /tmp of its own, each time
	const environment = (id, file = '/tmp/memory') => ({ ...ENV, ...(id === 'memory-stdio' ? { MEMORY_FILE_PATH: file } : {}) });
	const local = (id, how) => {
		const [, script, ...args] = LOCAL[id];
		return { command: agent.node, args: [path.join(agent.src, script), ...args, ...(id === 'filesystem-stdio' ? [folder(how)] : [])] };
	};
	// Both ways to a server: what the client is pointed at
	const doors = (transport, id) => transport === 'stdio' ? {
		direct: () => {
			const { command, args } = local(id, 'direct');
			const env = Object.entries(environment(id, path.join(shared, `memory-${++memories}`))).map(([name, value]) => `${name}=${value}`);
			return { command: 'env', args: ['-i', ...env, command, ...args] };
		},
		stdio: () => ({ command: path.join(agent.bin, 'zerogate'), args: ['--socket', agent.socket, 'stdio', id] }),
	} : {
		direct: () => ({ url: remote[id], kind: HTTP[id][1] }),
		explicit: () => ({ url: HTTP[id][1] === 'sse' ? `http://127.0.0.1:${agent.port}/${id}/sse` : agent.url(id), kind: HTTP[id][1] }),
		transparent: () => ({ url: remote[id], kind: HTTP[id][1] }),
	};

	// mcp-remote: a server on stdio that is the client of one on HTTP
	const bridged = ({ url, kind }, how) => ({ command: agent.node, args: [path.join(agent.src, 'tests/e2e/node_modules/mcp-remote/dist/proxy.js'),
		url, '--allow-http', '--transport', `${kind}-only`], env: { ...ENV, HOME: folder(`home-${how}`), MCP_REMOTE_CONFIG_DIR: folder(`home-${how}`) } });

	function spec(sdk, transport, id, era, door, through) {
		const how = door === 'direct' ? 'direct' : 'through';
		const [script] = LOCAL[id] ?? HTTP[id];
		const dir = transport === 'http' ? shared : folder(how);
		if (script === 'filesystem')
			fs.rmSync(path.join(dir, 'd'), { recursive: true, force: true });
		// its event store gives those who come back the events of all streams
		const retries = id === 'everything-http' ? 0 : undefined;
		// tasks take seconds, and only the older SDK has them
		const tasks = sdk === 1 && era === NEWEST && !through;
		return { sdk, era, script, retries, tasks, label: `sdk ${sdk}, ${id}, ${era}, ${door}`, target: through ? bridged(doors(transport, id)[door](), how) : doors(transport, id)[door](), dir,
			door, own: [[dir, '<dir>'], [`-${door}.gz`, '.gz']], ...(script === 'filesystem' ? { roots: [{ uri: `file://${dir}`, name: 'files' }] } : {}) };
	}

	// The modern era first: the fixture lists more there, and what was not seen
	// at first use would be withheld.
	const pairs = [
		[2, 'http', 'conformance', MODERN], [2, 'stdio', 'conformance-stdio', MODERN],
		...LEGACY.filter((era) => era !== '2024-11-05').flatMap((era) => [[1, 'http', 'everything-http', era], [1, 'http', 'conformance', era]]),
		[2, 'http', 'everything-http', NEWEST], [2, 'http', 'conformance', NEWEST],
		[1, 'http', 'everything-sse', '2024-11-05'], [2, 'http', 'everything-sse', '2024-11-05'],
		// one era each: the bridge words definitions otherwise in the other, and the
		// first that was seen is the one that is pinned
		[1, 'http', 'filesystem-http', NEWEST], [2, 'http', 'memory-http', MODERN], [2, 'http', 'thinking-http', NEWEST],
		...Object.keys(LOCAL).flatMap((id) => [[1, 'stdio', id, NEWEST], [2, 'stdio', id, NEWEST]]),
		[1, 'stdio', 'everything-stdio', '2024-11-05'],
	];
	const REMOTE = 'through mcp-remote';
	pairs.push([1, 'http', 'everything-http', NEWEST, REMOTE], [2, 'http', 'everything-http', NEWEST, REMOTE],
		[1, 'http', 'conformance', NEWEST, REMOTE], [1, 'http', 'everything-sse', '2024-11-05', REMOTE]);

	const compare = (t, name, direct, through) => {
		const lines = Object.entries(through).flatMap(([door, other]) => difference(direct, other).map((line) => `${name}, ${door}: ${line}`));
		const unknown = lines.filter((line) => !DIFFERENCES.some(([match]) => match.test(line)));
		t.diagnostic(`${Object.keys(direct.steps ?? direct).length} steps, ${lines.length} differ, ${unknown.length} for no known reason`);
		for (const line of unknown)
			t.diagnostic(line);
		assert.deepEqual(unknown, []);
		assert.doesNotMatch(JSON.stringify(direct), /"message":"waited|under way/, 'a session that is worth comparing');
	};

	// Servers side by side; the sessions of most HTTP servers would notice each other.
	for (const lane of [...Object.keys(HTTP), 'stdio'])
		describe(lane, { concurrency: 1 }, () => {
			for (const [sdk, transport, id, era, by] of pairs.filter(([, transport, id]) => lane === (transport === 'stdio' ? transport : id))) {
				const name = `sdk ${sdk}, ${id}, ${era}${by ? `, ${by}` : ''}`;
				test(name, async (t) => {
					const at = (door) => spec(sdk, transport, id, era, door, by);
					const run = { direct: () => session(at('direct')) };
					for (const door of Object.keys(doors(transport, id)).filter((one) => one !== 'direct'))
						run[door] = () => inside.must('script', { spec: at(door) });
					const { direct, ...through } = await all(run, transport === 'stdio' || HTTP[id][0] === 'everything');
					compare(t, name, direct, through);
				});
			}
		});

	// The inspector's command line: each a process, each a session of one request
	const INSPECTOR = 'tests/e2e/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js';
	const LISTS = ['tools/list', 'resources/list', 'prompts/list'].map((method) => ['--method', method]);
	const call = (name, ...args) => ['--method', 'tools/call', '--tool-name', name, ...(args.length ? ['--tool-arg', ...args] : [])];
	const ASKED = {
		'everything-http': [...LISTS, call('get-sum', 'a=1', 'b=2')],
		'everything-sse': [LISTS[0], call('get-tiny-image')],
		conformance: [LISTS[1], call('test_structured_content', 'n=1.5'), call('test_error_handling')],
		'everything-stdio': [LISTS[0], call('get-structured-content', 'location=Chicago')],
		'filesystem-stdio': [call('list_allowed_directories')],
		'memory-stdio': [call('read_graph')],
		'thinking-stdio': [call('sequentialthinking', 'thought=one', 'thoughtNumber=1', 'totalThoughts=1', 'nextThoughtNeeded=false')],
	};
	describe('inspector', { concurrency: 2 }, () => {
		for (const [id, requests] of Object.entries(ASKED))
			test(`inspector --cli, ${id}`, async (t) => {
				const heard = { direct: {} };
				for (const [door, where] of Object.entries(doors(LOCAL[id] ? 'stdio' : 'http', id)))
					await Promise.all(requests.map(async (request) => {
						const { url, kind, command, args } = where(), env = { ...ENV, HOME: folder(door === 'direct' ? 'home-direct' : 'home-through') };
						const argv = [agent.node, path.join(agent.src, INSPECTOR), '--cli', ...(url ? [url, '--transport', kind] : [command, ...args]), ...request];
						const { code, stdout } = door === 'direct' ? await new Promise((done) => execFile(argv[0], argv.slice(1), { env },
							(e, stdout) => done({ code: e?.code ?? 0, stdout }))) : await inside.must('command', { argv, env });
						(heard[door] ??= {})[request.join(' ')] = normalise({ code, said: stdout }, [[folder('direct'), '<dir>'], [folder('through'), '<dir>']]);
					}));
				const { direct, ...through } = heard;
				compare(t, `inspector, ${id}`, direct, through);
				assert.ok(Object.values(direct).every(({ said }) => said.startsWith('{')), JSON.stringify(direct));
			});
	});
});
