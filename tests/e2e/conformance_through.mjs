// SPDX-License-Identifier: Apache-2.0
// conformance_through.mjs URL - the client of a conformance scenario, with the
// gateway between: registers the suite's server for as long as the client runs,
// and starts the client below `zerogate run`. ZG_THROUGH says where the agent is
// and by which door to go. The suite starts one of these for each scenario.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { CLIENT_UID, serverFile } from './agent.mjs';

// What these ask of a client it never asks through the gateway: see CLIENT_DIFFERENCES.
if (process.env.MCP_CONFORMANCE_SCENARIO?.startsWith('auth/'))
	process.exit(0);

const { door, dir, bin, socket, node, src, port, allow = {} } = JSON.parse(process.env.ZG_THROUGH);
const url = new URL(process.argv.at(-1));

// Few at a time: an address has few port ranges for a profile (ZG_RANGES_MAX).
const SLOTS = 4;
if (!process.env.ZG_SLOT) {
	const slot = path.join(dir, `slot-${(url.port >> 1) % SLOTS}.lock`);
	const [code] = await once(spawn('flock', [slot, process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, ZG_SLOT: slot } }), 'close');
	process.exit(code);
}
const id = `suite-${url.port}`;
const file = path.join(dir, `etc/servers/${id}.json`);

// One change of the registry at a time: scenarios run side by side.
const change = (...command) => execFileSync('flock', [path.join(dir, 'reload.lock'), 'sh', '-c', '"$@" && exec "$ZG" --socket "$SOCKET" reload', 'sh', ...command],
	{ stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ZG: path.join(bin, 'zerogate'), SOCKET: socket } });

fs.writeFileSync(`${file}.new`, serverFile({ id, url: url.href, ...(url.hostname === 'localhost' ? { addresses: ['127.0.0.1', '::1'] } : {}),
	tools: { '*': { action: 'read' } }, ...allow }));
try {
	change('mv', `${file}.new`, file);
	const child = spawn('setpriv', ['--reuid', String(CLIENT_UID), '--regid', String(CLIENT_UID), '--clear-groups',
		path.join(bin, 'zerogate'), '--socket', socket, 'run', '--',
		node, path.join(src, 'tests/e2e/conformance_client.mjs'), door === 'explicit' ? `http://127.0.0.1:${port}/${id}/mcp` : url.href],
	{ stdio: 'inherit', cwd: '/' });
	const [code] = await once(child, 'close');
	process.exitCode = code ?? 1;
} finally {
	change('rm', file);
}
