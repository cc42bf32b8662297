"""RESULTS.md: what was run, on what, and what came of it."""

import datetime
import os
import platform
import subprocess

from suite import VERDICTS

HEAD = """# Conformance results

The official suite, run against an MCP server with every fixture that it asks for (`upstream/`, on rmcp), directly and
through the gateway with a key of each type. Written by `tests/conformance/run --full`, which fails unless every check of
every scenario has the same verdict through the gateway as directly. Scenarios of clients have the TypeScript client
speak to the scenario's own server, directly and with the gateway in between; those about OAuth are left out, as the
gateway asks for a key and has no authorization server. Last comes Keyrack's own endpoint, with a solo key: what it does
not pass stands in endpoint-expected-failures.toml with its reason, and nothing else does.
"""


def text(root, suite, tables, clients, endpoint, seconds):
    """`tables`: (title, [(column, Run)]); `clients`: (title, direct Run, Run through the gateway); `endpoint`: Runs by
    revision, and what was expected of them."""
    lines = [HEAD]
    lines += [f"- {name}: {value}" for name, value in _facts(root, suite, seconds)]
    for title, columns in tables:
        lines += ["", f"## {title}", "", "Passed, failed, warnings, skipped.", ""]
        lines.append("| scenario | " + " | ".join(column for column, _ in columns) + " |")
        lines.append("|---|" + "---:|" * len(columns))
        for scenario in sorted(columns[0][1].scenarios):
            lines.append(f"| {scenario} | " + " | ".join(_counts(run, scenario) for _, run in columns) + " |")
        lines.append("| **total** | " + " | ".join(f"**{_counts(run)}**" for _, run in columns) + " |")
    lines += ["", "## Scenarios of clients", "", "Passed, failed, warnings, skipped.", ""]
    lines += ["| revision, scenario | direct | gateway |", "|---|---:|---:|"]
    lines += [f"| {title} | {_counts(direct)} | {_counts(through)} |" for title, direct, through in clients]
    lines += _endpoint(*endpoint)
    return "\n".join(lines) + "\n"


def _endpoint(runs, expected):
    lines = []
    for revision, run in runs.items():
        lines += ["", f"## Keyrack's own endpoint, {revision}", "", "Passed, failed, warnings, skipped.", ""]
        lines += ["| scenario | /mcp | what does not pass |", "|---|---:|---|"]
        for scenario in sorted(run.scenarios):
            lines.append(f"| {scenario} | {_counts(run, scenario)} | {expected.reasons(revision, run, scenario)} |")
        whole = sum(not expected.reasons(revision, run, scenario) for scenario in run.scenarios)
        lines.append(f"| **total** | **{_counts(run)}** | {whole} of {len(run.scenarios)} scenarios pass |")
    return lines


def _counts(run, scenario=None):
    return " / ".join(str(run.count(verdict, scenario)) for verdict in VERDICTS)


def _facts(root, suite, seconds):
    def output(*command):
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    changed = " with changes" if output("git", "status", "--porcelain", "--", ".", ":!tests/conformance/RESULTS.md") else ""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    client = suite.version("client")
    return [
        ("date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", output("git", "rev-parse", "--short", "HEAD") + changed),
        ("machine", f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"),
        ("suite", f"{suite.version('conformance')}, and {suite.version('conformance-0.1')} where it says 0.1"),
        ("client", f"@modelcontextprotocol/client {client}, Node {output('node', '--version')}"),
        ("took", f"{seconds:.0f} s"),
    ]
