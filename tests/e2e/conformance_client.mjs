// SPDX-License-Identifier: Apache-2.0
// conformance_client.mjs URL - a client on the official SDK that does what the
// scenario of the conformance suite (MCP_CONFORMANCE_SCENARIO) wants of a client.
import { Client, ClientCredentialsProvider, PrivateKeyJwtProvider, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';

const url = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const modern = version >= '2026';
const ATTEMPTS = 2; // to be authorised

// A user that agrees to everything, and whose browser is fetch.
class Provider {
	redirectUrl = 'http://localhost:3000/callback';
	clientMetadataUrl = 'https://conformance-test.local/client-metadata.json';
	clientMetadata = { client_name: 'conformance-client', redirect_uris: [this.redirectUrl], grant_types: ['authorization_code', 'refresh_token'],
		response_types: ['code'], application_type: 'native' };
	#kept = new Map();
	constructor(information) {
		this.given = information;
	}
	#key = (what, ctx) => `${what} ${ctx?.issuer ?? ''}`;
	clientInformation(ctx) {
		return this.given ?? this.#kept.get(this.#key('client', ctx));
	}
	saveClientInformation(information, ctx) {
		this.#kept.set(this.#key('client', ctx), information);
	}
	tokens(ctx) {
		return this.#kept.get(this.#key('tokens', ctx)) ?? (ctx?.issuer ? undefined : this.last);
	}
	saveTokens(tokens, ctx) {
		this.#kept.set(this.#key('tokens', ctx), tokens);
		this.last = tokens;
	}
	saveCodeVerifier(verifier) {
		this.verifier = verifier;
	}
	codeVerifier() {
		return this.verifier;
	}
	async redirectToAuthorization(to) {
		const answer = await fetch(to, { redirect: 'manual' });
		this.callback = new URL(answer.headers.get('location')).searchParams;
	}
}

function provider() {
	if (scenario === 'auth/client-credentials-jwt')
		return new PrivateKeyJwtProvider({ clientId: context.client_id, privateKey: context.private_key_pem, algorithm: context.signing_algorithm ?? 'ES256' });
	if (scenario === 'auth/client-credentials-basic')
		return new ClientCredentialsProvider({ clientId: context.client_id, clientSecret: context.client_secret });
	return new Provider(scenario === 'auth/pre-registration' ? { client_id: context.client_id, client_secret: context.client_secret } : undefined);
}

const answers = { string: 'test', number: 1, integer: 1, boolean: true, array: [], object: {} };
function plausible(schema) {
	const wanted = schema?.properties ?? {};
	return Object.fromEntries(Object.entries(wanted).map(([name, { type, enum: choice }]) => [name, choice?.[0] ?? answers[type] ?? 'test']));
}

async function session(authProvider) {
	const client = new Client({ name: 'conformance-client', version: '1.0.0' }, {
		capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: { listChanged: true } },
		...(modern ? { versionNegotiation: { mode: { pin: version } } } : {}),
	});
	client.setRequestHandler('elicitation/create', ({ params }) => ({ action: 'accept',
		content: scenario.includes('defaults') ? {} : plausible(params.requestedSchema) }));
	client.setRequestHandler('sampling/createMessage', () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: 'sampled' } }));
	client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///', name: 'root' }] }));
	// step by step, so that a wall of authorization is climbed where it stands
	let transport;
	const climb = async (step) => {
		for (let i = 0; ; i++)
			try {
				return await step();
			} catch (e) {
				if (!(e instanceof UnauthorizedError) || !authProvider?.callback || i >= ATTEMPTS)
					throw e;
				await transport.finishAuth(authProvider.callback);
				authProvider.callback = undefined;
			}
	};
	await climb(async () => {
		transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
		await client.connect(transport);
	});
	return { client, transport, climb };
}

async function main() {
	const { client, transport, climb } = await session(scenario.startsWith('auth/') ? provider() : undefined);
	const { tools } = await climb(() => client.listTools());
	const calls = context.toolCalls ?? (scenario === 'tools_call' ? [{ name: 'add_numbers', arguments: { a: 5, b: 3 } }]
		: tools.map((tool) => ({ name: tool.name, arguments: plausible(tool.inputSchema) })));
	if (scenario === 'json-schema-2020-12-preservation') {
		const [focal, echo] = [tools.find((t) => !t.name.includes('echo')), tools.find((t) => t.name.includes('echo'))];
		calls.splice(0, calls.length, { name: echo.name, arguments: { schema: focal.inputSchema } });
	}
	for (const call of calls)
		await climb(() => client.callTool(call)).catch((e) => console.error(`${call.name}: ${e.message}`));
	for (const [list, each] of [['listPrompts', 'getPrompt'], ['listResources', 'readResource']])
		if (client.getServerCapabilities()?.[list === 'listPrompts' ? 'prompts' : 'resources'])
			for (const one of Object.values(await client[list]()).find(Array.isArray) ?? [])
				await client[each](one.uri ? { uri: one.uri } : { name: one.name, arguments: {} }).catch((e) => console.error(e.message));
	await transport.close();
}

await main().then(() => process.exit(0), (e) => {
	console.error(e);
	process.exit(1);
});
