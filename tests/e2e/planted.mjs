// SPDX-License-Identifier: Apache-2.0
// planted.mjs - secrets and personal data for the fixtures' replies, made at
// run time with valid checksums, so that none stands in the repository.
import { randomBytes, randomInt } from 'node:crypto';

function pick(alphabet, n) {
	let s = '';
	for (let i = 0; i < n; i++)
		s += alphabet[randomInt(alphabet.length)];
	return s;
}

function crc32(text) {
	let crc = ~0;
	for (const byte of Buffer.from(text)) {
		crc ^= byte;
		for (let k = 0; k < 8; k++)
			crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc >>> 0;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function checksummed(prefix) {
	const body = pick(BASE62, 30);
	let n = crc32(body), tail = '';
	for (let i = 0; i < 6; i++) {
		tail = BASE62[n % 62] + tail;
		n = Math.floor(n / 62);
	}
	return prefix + body + tail;
}

function card() {
	const digits = '4539' + pick('0123456789', 11);
	let sum = 0;
	for (let i = 0; i < digits.length; i++) {
		let d = Number(digits[i]) * (i % 2 === 0 ? 2 : 1);
		sum += d > 9 ? d - 9 : d;
	}
	return digits + (10 - (sum % 10)) % 10;
}

function jwt() {
	const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
	return [part({ alg: 'HS256', typ: 'JWT' }), part({ sub: pick(BASE62, 12), iat: 1700000000 }),
		randomBytes(32).toString('base64url')].join('.');
}

function pem() {
	const lines = randomBytes(480).toString('base64').match(/.{1,64}/g);
	return ['-----BEGIN ' + 'RSA PRIVATE KEY-----', ...lines,
		'-----END ' + 'RSA PRIVATE KEY-----'].join('\n');
}

// kind (the name in the placeholder) -> a fresh value of it
export function plant() {
	return {
		'aws-access-key': 'AKIA' + pick('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16),
		'github-token': checksummed('ghp_'),
		'npm-token': checksummed('npm_'),
		'slack-token': `xoxb-${pick('123456789', 12)}-${pick('123456789', 13)}-${pick(BASE62, 24)}`,
		'private-key': pem(),
		'jwt': jwt(),
		'credit-card': card(),
		'email': `${pick('abcdefghijklmnop', 9)}.${pick('abcdefghijklmnop', 7)}@mail.${pick('abcdefghijklmnop', 8)}.net`,
	};
}
