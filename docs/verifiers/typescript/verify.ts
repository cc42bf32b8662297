// Verifies Keyrack's assertions, one per line of standard input: prints the claims, or why it refused.
//
//     node --experimental-strip-types verify.ts https://keys.example.com https://notes.example.com/mcp

import { createInterface } from 'node:readline';
import process from 'node:process';
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload } from 'jose';

const [issuer, audience] = process.argv.slice(2);
if (!issuer || !audience) {
  console.error('usage: verify.ts ISSUER AUDIENCE');
  process.exit(2);
}

// Keeps keys by `kid` for five minutes; an unknown one makes it fetch again, at most every 30 seconds.
const address = new URL(issuer.replace(/\/$/, '') + '/.well-known/jwks.json');
const keys = createRemoteJWKSet(address, { cacheMaxAge: 300_000, cooldownDuration: 30_000, timeoutDuration: 5_000 });

async function verify(assertion: string): Promise<JWTPayload> {
  const { payload } = await jwtVerify(assertion, keys, {
    algorithms: ['EdDSA'], // one, whatever the token says
    issuer,
    audience,
    clockTolerance: 5,
    requiredClaims: ['exp', 'iss', 'aud', 'sub'],
  });
  return payload;
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(await verify(line)));
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    process.exitCode = 1;
    console.log(JSON.stringify({ refused: error.message }));
  }
}
