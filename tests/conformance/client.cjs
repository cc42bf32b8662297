// The client of the suite's client scenarios: the TypeScript client, newest. The suite names the scenario's own server
// as the last argument. With CONFORMANCE_KEYRACK set, that server is registered there, and the client knows only the
// gateway. Exit status 0 if everything was done.
'use strict';
const { createRequire } = require('node:module');
const { Client, StreamableHTTPClientTransport } = createRequire(`${process.env.KEYRACK_TEST_TOOLS}/node/`)(
  '@modelcontextprotocol/client',
);

const {
  CONFORMANCE_KEYRACK: keyrack,
  CONFORMANCE_SESSION: session,
  CONFORMANCE_KEY: key,
  MCP_CONFORMANCE_SCENARIO: scenario,
  MCP_CONFORMANCE_PROTOCOL_VERSION: revision,
  MCP_CONFORMANCE_CONTEXT: context = '{}',
} = process.env;

async function throughTheGateway(url) {
  const slug = `scenario-${process.pid}`;
  const answer = await fetch(`${keyrack}/api/v1/mcp-servers`, {
    method: 'POST',
    headers: { authorization: `Bearer ${session}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: slug, slug, url }),
  });
  if (answer.status !== 201) throw new Error(`registering answered ${answer.status}: ${await answer.text()}`);
  return `${keyrack}/mcp-connect/${slug}/mcp?user_id=marina`;
}

// What a scenario wants called, where it is not every listed tool without arguments.
const calls = {
  initialize: () => [],
  tools_call: () => [{ name: 'add_numbers', arguments: { a: 5, b: 3 } }],
  'http-custom-headers': () => JSON.parse(context).toolCalls,
  'http-invalid-tool-headers': (tools) => tools.map(({ name }) => ({ name, arguments: { region: 'us-west1' } })),
  'json-schema-ref-no-deref': () => [],
  'json-schema-2020-12-preservation': (tools) => [
    { name: 'json_schema_echo', arguments: { schema: tools.find(({ name }) => name !== 'json_schema_echo').inputSchema } },
  ],
};

async function play(client) {
  const { tools } = await client.listTools();
  const every = () => tools.map(({ name }) => ({ name, arguments: {} }));
  for (const call of (calls[scenario] ?? every)(tools)) await client.callTool(call);
  if (scenario !== 'http-standard-headers') return;
  for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
  for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
}

async function main() {
  const url = process.argv.at(-1);
  const client = new Client(
    { name: 'keyrack-conformance-client', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: { applyDefaults: true } }, roots: {}, sampling: {} },
      versionNegotiation: { mode: revision >= '2026' ? { pin: revision } : 'legacy' },
    },
  );
  // Accepts whatever is asked; what has a default is left to the client.
  client.setRequestHandler('elicitation/create', async ({ params }) => {
    const missing = Object.entries(params.requestedSchema.properties).filter(([, property]) => property.default === undefined);
    return { action: 'accept', content: Object.fromEntries(missing.map(([name]) => [name, true])) };
  });
  const target = new URL(keyrack ? await throughTheGateway(url) : url);
  const headers = keyrack ? { 'x-api-key': key } : {};
  await client.connect(new StreamableHTTPClientTransport(target, { requestInit: { headers } }));
  await play(client);
  await client.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
