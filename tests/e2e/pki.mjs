// SPDX-License-Identifier: Apache-2.0
// pki.mjs - a private CA for a test, and servers' certificates from it.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export function makeCa(name = 'test CA') {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'zg-pki-'));
	fs.chmodSync(dir, 0o755); // the workload reads the CA
	const at = (file) => path.join(dir, file);
	openssl('req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name}`, '-keyout', at('ca.key'), '-out', at('ca.pem'));
	let count = 0;
	return {
		file: at('ca.pem'),
		pem: fs.readFileSync(at('ca.pem'), 'utf8'),
		// names: DNS:... and IP:...
		server(...names) {
			const leaf = `leaf${++count}`;
			openssl('req', ...newKey, '-subj', '/CN=server', '-keyout', at(`${leaf}.key`), '-out', at(`${leaf}.csr`));
			fs.writeFileSync(at(`${leaf}.ext`), `subjectAltName=${names.join(',')}\n`);
			openssl('x509', '-req', '-in', at(`${leaf}.csr`), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2',
				'-extfile', at(`${leaf}.ext`), '-out', at(`${leaf}.pem`));
			return { key: fs.readFileSync(at(`${leaf}.key`)), cert: fs.readFileSync(at(`${leaf}.pem`)) };
		},
		close: () => fs.rmSync(dir, { recursive: true, force: true }),
	};
}
