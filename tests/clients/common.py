"""What the Python clients share: arguments, the time limit, and how a result or a failure is told.

One line of JSON on stdout and exit code 0, or a message on stderr and exit code 1.
"""

import argparse
import asyncio
import json
import os
import signal
import sys

LIMIT_SECONDS = 30

# The tests talk to loopback only: neither a proxy from the environment nor LangChain's tracing may come in between.
os.environ["NO_PROXY"] = "*"
os.environ["LANGSMITH_TRACING"] = "false"


def run(client, *, modes=()):
    """Runs `client(url, headers, mode, calls)`, a coroutine function that returns the object to print.

    `calls`: names of tools with their arguments. What is printed has a text for each: `answers`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--header", choices=["x-api-key", "bearer"], required=True)
    parser.add_argument("--calls", type=json.loads, required=True, help="JSON: [[tool, arguments], …]")
    if modes:
        parser.add_argument("--mode", choices=modes, default=modes[0])
    args = parser.parse_args()

    token = os.environ.get("KEYRACK_TOKEN")
    if not token:
        sys.exit("KEYRACK_TOKEN is not set")
    headers = {"x-api-key": token} if args.header == "x-api-key" else {"authorization": f"Bearer {token}"}

    # An alarm, not a cancelled task: the SDKs' clean-up may itself wait on a server that does not answer.
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(LIMIT_SECONDS)
    try:
        result = asyncio.run(client(args.url, headers, getattr(args, "mode", None), args.calls))
    except Exception as error:
        sys.exit("\n".join(_reasons(error)))
    print(json.dumps(result))


def _too_late(_signal, _frame):
    os.write(2, f"no result within {LIMIT_SECONDS} s\n".encode())
    os._exit(1)


def _reasons(error):
    """The errors themselves: task groups wrap them, possibly more than once."""
    parts = getattr(error, "exceptions", None)
    if parts is None:
        return [f"{type(error).__name__}: {error}"]
    return [reason for part in parts for reason in _reasons(part)]
