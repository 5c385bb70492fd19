// SPDX-License-Identifier: Apache-2.0
// dns.mjs - a DNS server for tests, on UDP and TCP of one loopback port, that
// answers as it is told: wrong ids, foreign records, cut messages and silence too.
import dgram from 'node:dgram';
import net from 'node:net';
import { once } from 'node:events';

export const TYPE = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, HTTPS: 65, ANY: 255 };
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };

export function encodeName(name) {
	const labels = name.split('.').filter(Boolean);
	return Buffer.concat([...labels.map((l) => Buffer.concat([Buffer.from([l.length]), Buffer.from(l, 'latin1')])), Buffer.from([0])]);
}

function ip6(text) {
	const [head, tail = ''] = text.split('::');
	const part = (s) => s.split(':').filter(Boolean).map((w) => parseInt(w, 16));
	const h = part(head), t = part(tail);
	const words = text.includes('::') ? [...h, ...Array(8 - h.length - t.length).fill(0), ...t] : h;
	return Buffer.from(words.flatMap((w) => [w >> 8, w & 255]));
}

const DATA = {
	A: (v) => Buffer.from(v.split('.').map(Number)),
	AAAA: ip6,
	CNAME: encodeName,
	SOA: (v) => Buffer.concat([encodeName(v), encodeName(v), Buffer.alloc(20, 1)]),
};

// [name, type, value, ttl]
function record([name, type, value, ttl = 60]) {
	const data = DATA[type](value), head = Buffer.alloc(10);
	head.writeUInt16BE(TYPE[type], 0);
	head.writeUInt16BE(1, 2);
	head.writeUInt32BE(ttl, 4);
	head.writeUInt16BE(data.length, 8);
	return Buffer.concat([encodeName(name), head, data]);
}

export function query(name, type, { id = 4711, edns, flags = 0x0100, raw, cls = 1 } = {}) {
	const head = Buffer.alloc(12), tail = Buffer.alloc(4);
	head.writeUInt16BE(id, 0);
	head.writeUInt16BE(flags, 2);
	head.writeUInt16BE(1, 4);
	head.writeUInt16BE(edns ? 1 : 0, 10);
	tail.writeUInt16BE(typeof type === 'number' ? type : TYPE[type], 0);
	tail.writeUInt16BE(cls, 2);
	const opt = edns ? [Buffer.from([0, 0, 41, edns >> 8, edns & 255, 0, 0, 0, 0, 0, 0])] : [];
	return Buffer.concat([head, raw ?? encodeName(name), tail, ...opt]);
}

export function readName(b, at) {
	const labels = [];
	for (let jumps = 0, end; ;) {
		const len = b[at];
		if (len >= 0xc0) {
			end ??= at + 2;
			at = b.readUInt16BE(at) & 0x3fff;
			if (++jumps > 20)
				throw new Error('a name that goes in circles');
			continue;
		}
		if (!len)
			return [labels.join('.'), end ?? at + 1];
		labels.push(b.toString('latin1', at + 1, at + 1 + len));
		at += len + 1;
	}
}

export function parse(b) {
	const counts = [4, 6, 8, 10].map((o) => b.readUInt16BE(o));
	const flags = b.readUInt16BE(2), out = { id: b.readUInt16BE(0), rcode: flags & 15, tc: !!(flags & 0x200), qr: !!(flags & 0x8000), ra: !!(flags & 0x80), question: [], records: [], options: [] };
	let at = 12;
	for (let i = 0; i < counts[0]; i++) {
		const [name, next] = readName(b, at);
		out.question.push({ name, type: b.readUInt16BE(next), class: b.readUInt16BE(next + 2) });
		at = next + 4;
	}
	for (let section = 1; section < 4; section++)
		for (let i = 0; i < counts[section]; i++) {
			const [name, next] = readName(b, at), type = b.readUInt16BE(next), size = b.readUInt16BE(next + 8), data = b.subarray(next + 10, next + 10 + size);
			const ttl = b.readUInt32BE(next + 4);
			at = next + 10 + size;
			if (type === 41)
				out.edns = { bytes: b.readUInt16BE(next + 2), data };
			else
				out.records.push({ name, type, ttl, section, value: type === TYPE.A ? data.join('.') : type === TYPE.CNAME ? readName(b, next + 10)[0] : data.toString('hex') });
		}
	return out;
}

// zone(question, over, asked) -> { answer, authority, rcode, tc, id, question, drop, delay }
export async function startDns(zone) {
	const seen = [], udp = dgram.createSocket('udp4'), sockets = new Set();
	const reply = (message, over, send) => {
		const q = { ...parse(message).question[0], name: parse(message).question[0].name };
		const entry = { ...q, name: q.name.toLowerCase(), over, message };
		seen.push(entry);
		const z = zone(entry, over, seen) ?? { rcode: RCODE.NXDOMAIN, authority: [['example', 'SOA', 'ns.example', 30]] };
		if (z.drop)
			return;
		for (const one of [z, ...(z.then ? [z.then] : [])]) {
			const { answer = [], authority = [], rcode = 0, tc = false, id, question } = one;
			const head = Buffer.alloc(12);
			head.writeUInt16BE(id ?? message.readUInt16BE(0), 0);
			head.writeUInt16BE(0x8180 | (tc ? 0x200 : 0) | rcode, 2);
			head.writeUInt16BE(1, 4);
			head.writeUInt16BE(answer.length, 6);
			head.writeUInt16BE(authority.length, 8);
			const tail = Buffer.alloc(4);
			tail.writeUInt16BE(q.type, 0);
			tail.writeUInt16BE(1, 2);
			setTimeout(send, z.delay ?? 0, Buffer.concat([head, encodeName(question ?? q.name), tail, ...answer.map(record), ...authority.map(record)]));
		}
	};
	udp.on('message', (message, peer) => reply(message, 'udp', (b) => udp.send(b, peer.port, peer.address)));
	const tcp = net.createServer((socket) => {
		let have = Buffer.alloc(0);
		sockets.add(socket);
		socket.on('error', () => {});
		socket.on('close', () => sockets.delete(socket));
		socket.on('data', (chunk) => {
			have = Buffer.concat([have, chunk]);
			while (have.length >= 2 && have.length >= 2 + have.readUInt16BE(0)) {
				const message = have.subarray(2, 2 + have.readUInt16BE(0));
				have = have.subarray(2 + message.length);
				reply(Buffer.from(message), 'tcp', (b) => {
					const size = Buffer.alloc(2);
					size.writeUInt16BE(b.length, 0);
					socket.write(Buffer.concat([size, b]));
				});
			}
		});
	});
	for (let tries = 0; ; tries++) {
		tcp.listen(0, '127.0.0.1');
		await once(tcp, 'listening');
		try {
			udp.bind(tcp.address().port, '127.0.0.1');
			await once(udp, 'listening');
			break;
		} catch (e) {
			tcp.close();
			if (tries > 20)
				throw e;
		}
	}
	return { port: tcp.address().port, seen, asked: (name) => seen.filter((q) => q.name === name),
		async close() {
			udp.close();
			for (const s of sockets)
				s.destroy();
			tcp.close();
		} };
}
