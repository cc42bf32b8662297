// The official TypeScript SDK: `--sdk 1` is @modelcontextprotocol/sdk, which speaks the legacy protocol only, `--sdk 2`
// @modelcontextprotocol/client, whose mode "auto" speaks the newest where the server does. Told like the Python
// clients (common.py): one line of JSON and exit code 0, or a message on stderr and exit code 1.
'use strict';
const { createRequire } = require('node:module');
const { parseArgs } = require('node:util');
const load = createRequire(`${process.env.KEYRACK_TEST_TOOLS}/node/`);

const LIMIT_SECONDS = 30;
const { values } = parseArgs({
  options: {
    sdk: { type: 'string' },
    url: { type: 'string' },
    header: { type: 'string' },
    calls: { type: 'string' },
    mode: { type: 'string', default: 'legacy' },
  },
});

function sdk() {
  if (values.sdk === '2') return load('@modelcontextprotocol/client');
  const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
  return { Client, ...load('@modelcontextprotocol/sdk/client/streamableHttp.js') };
}

async function main() {
  const { Client, StreamableHTTPClientTransport } = sdk();
  const token = process.env.KEYRACK_TOKEN;
  const headers = values.header === 'bearer' ? { authorization: `Bearer ${token}` } : { 'x-api-key': token };
  const transport = new StreamableHTTPClientTransport(new URL(values.url), { requestInit: { headers } });
  const client = new Client(
    { name: 'keyrack-node-client', version: '1.0.0' },
    { versionNegotiation: { mode: values.mode } },
  );
  await client.connect(transport);
  const { tools } = await client.listTools();
  const answers = [];
  for (const [name, given] of JSON.parse(values.calls)) {
    const result = await client.callTool({ name, arguments: given });
    answers.push(result.content.map(({ text }) => text).join(''));
    if (result.isError) throw new Error(`${name} answered with an error: ${answers.at(-1)}`);
  }
  const protocol = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
  await transport.terminateSession?.();
  await client.close();
  console.log(JSON.stringify({ tools: tools.map(({ name }) => name), answers, protocol }));
}

setTimeout(() => {
  console.error(`no result within ${LIMIT_SECONDS} s`);
  process.exit(1);
}, LIMIT_SECONDS * 1000).unref();
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
