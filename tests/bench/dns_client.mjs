// SPDX-License-Identifier: Apache-2.0
// dns_client.mjs HOST PORT COUNT: ask for the address of bench.example COUNT
// times, one question after the other, and print how long each took, in us.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { parse, query } from '../e2e/dns.mjs';

const [host, port, count] = process.argv.slice(2);
const socket = dgram.createSocket('udp4'), took = [];
socket.connect(Number(port), host);
await once(socket, 'connect');
for (let i = 0; i < Number(count); i++) {
	const message = query('bench.example', 'A', { id: i & 0xffff }), started = performance.now();
	socket.send(message);
	const [answer] = await once(socket, 'message');
	took.push((performance.now() - started) * 1000);
	if (parse(answer).records.length !== 1)
		throw new Error('not the answer');
}
socket.close();
console.log(JSON.stringify(took.slice(50).sort((a, b) => a - b)));
