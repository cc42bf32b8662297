// Preload (`node --require`) for the conformance suite, which has no option for headers and drops a query: every request
// to the origin of CONFORMANCE_URL gets `X-API-Key` from CONFORMANCE_KEY, and that URL's query where it has none.
// Node tells of requests before they are sent: undici's are those of fetch as well.
'use strict';
const { subscribe } = require('node:diagnostics_channel');

const gateway = new URL(process.env.CONFORMANCE_URL);
const key = process.env.CONFORMANCE_KEY;
if (!key) throw new Error('inject.cjs: CONFORMANCE_KEY must be set');
const withQuery = (path) => (path.includes('?') ? path : path + gateway.search);

subscribe('undici:request:create', ({ request }) => {
  if (new URL(request.origin).origin !== gateway.origin) return;
  request.addHeader('x-api-key', key);
  request.path = withQuery(request.path);
});
subscribe('http.client.request.created', ({ request }) => {
  if (request.getHeader('host') !== gateway.host) return;
  request.setHeader('x-api-key', key);
  request.path = withQuery(request.path);
});
