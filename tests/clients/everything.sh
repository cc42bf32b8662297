#!/usr/bin/env bash
# The reference MCP server on 127.0.0.1:$PORT, at /mcp. PORT=0 takes a free port; stdout then has a line
# "listening on 127.0.0.1:<port>". Ends with this process: node replaces the shell.
set -euo pipefail
# shellcheck source=tests/setup/env
source "$(dirname "$0")/../setup/env"

export PORT="${PORT:?set PORT, 0 for any}"
exec node --require "$root/tests/clients/loopback.cjs" \
  "$KEYRACK_TEST_TOOLS/node/node_modules/@modelcontextprotocol/server-everything/dist/index.js" streamableHttp
