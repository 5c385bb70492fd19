// SPDX-License-Identifier: Apache-2.0
// raw.mjs - Streamable HTTP by hand, from inside the workload: for what the
// SDKs would never send, and for looking at exact bytes.

// The JSON-RPC messages of a reply, JSON or event stream.
export function messages(reply) {
	const body = Buffer.from(reply.body, 'latin1').toString('utf8');
	if (!/event-stream/.test(reply.headers['content-type'] ?? ''))
		return body ? [JSON.parse(body)] : [];
	return body.split(/\r?\n\r?\n/).map((event) => event.split(/\r?\n/).filter((l) => l.startsWith('data:'))
		.map((l) => l.slice(5).replace(/^ /, '')).join('\n')).filter(Boolean).map((data) => JSON.parse(data));
}

export class RawClient {
	id = 0;
	headers = {};

	constructor(inside, url) {
		Object.assign(this, { inside, url });
	}

	post(body, headers = {}, more = {}) {
		return this.inside.do('fetch', { url: this.url, body, headers: { ...this.headers, ...headers }, ...more });
	}

	async request(method, params, more) {
		const id = ++this.id;
		const reply = await this.post({ jsonrpc: '2.0', id, method, params }, {}, more);
		if (reply.error)
			throw Object.assign(new Error(JSON.stringify(reply.error)), reply.error);
		return { ...reply, message: messages(reply).find((m) => m.id === id), all: messages(reply) };
	}

	call(name, args = {}, more) {
		return this.request('tools/call', { name, arguments: args }, more);
	}

	async open(version = '2025-11-25') {
		const reply = await this.request('initialize', { protocolVersion: version, capabilities: {},
			clientInfo: { name: 'raw', version: '1' } });
		this.initialized = reply;
		if (reply.headers['mcp-session-id'])
			this.headers['mcp-session-id'] = reply.headers['mcp-session-id'];
		if (version !== '2025-03-26')
			this.headers['mcp-protocol-version'] = version;
		this.noted = await this.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
		return this;
	}
}
