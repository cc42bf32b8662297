"""The official suite, run against a server or around a client, and what it found."""

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from processes import Failure, clean_environment

HERE = Path(__file__).resolve().parent
NEWEST, OLDER = "conformance", "conformance-0.1"
LONGEST = 400  # characters of a message; some name everything that was sent
TIMEOUT = 170  # seconds for one run of the suite
# What the suite counts. The others tell what it saw on the way, in numbers that depend on timing.
VERDICTS = ("SUCCESS", "FAILURE", "WARNING", "SKIPPED")


@dataclass
class Run:
    """What one run found: by scenario, how often each check had each verdict."""

    scenarios: dict = field(default_factory=dict)
    messages: dict = field(default_factory=dict)

    def count(self, verdict, scenario=None):
        chosen = [self.scenarios[scenario]] if scenario else self.scenarios.values()
        return sum(number for checks in chosen for (_, _, seen), number in checks.items() if seen == verdict)

    def add(self, scenario, checks):
        """A scenario that ran twice in one run counts twice."""
        known = self.scenarios.setdefault(scenario, Counter())
        for check in checks:
            if check["status"] in VERDICTS:
                known[check["id"], check["name"], check["status"]] += 1
                if check["status"] in ("FAILURE", "WARNING"):
                    said = check.get("errorMessage") or check["description"]
                    said = f"{check['status']} {check['id']}: {said.splitlines()[0][:LONGEST]}"
                    self.messages.setdefault(scenario, []).append(said)


class Suite:
    """The installed suites; their results go into directories of their own."""

    def __init__(self, tools, scratch):
        self.modules = tools / "node" / "node_modules" / "@modelcontextprotocol"
        self.tools = tools
        self.scratch = scratch

    def version(self, package):
        return json.loads((self.modules / package / "package.json").read_text())["version"]

    def server(self, name, url, choice, key=None, package=NEWEST):
        """Asks the server at `url` all that `choice` (options of the suite) says, with a key where one is needed."""
        environment = clean_environment()
        if key:
            environment |= {
                "CONFORMANCE_URL": url,
                "CONFORMANCE_KEY": key,
                "NODE_OPTIONS": f"--require={HERE / 'inject.cjs'}",
            }
        return self._run(name, package, ["server", "--url", url, *choice], environment, r"server-(.+)")

    def client(self, name, scenario, revision, keyrack=None):
        """Has the client play a scenario, through the gateway if one is given."""
        environment = clean_environment() | {"KEYRACK_TEST_TOOLS": str(self.tools)}
        if keyrack:
            environment |= {
                "CONFORMANCE_KEYRACK": keyrack.base,
                "CONFORMANCE_SESSION": keyrack.session,
                "CONFORMANCE_KEY": keyrack.keys["client"],
            }
        command = ["client", "--command", f"node {HERE / 'client.cjs'}"]
        command += ["--scenario", scenario, "--spec-version", revision]
        return self._run(name, NEWEST, command, environment, r"(.+)")

    def _run(self, name, package, arguments, environment, directory):
        results = self.scratch / name
        command = ["node", self.modules / package / "dist" / "index.js", *arguments, "-o", results]
        try:
            done = subprocess.run(
                [str(part) for part in command],
                env=environment | {"NO_COLOR": "1", "PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{name}: the suite took more than {TIMEOUT} s") from error
        (self.scratch / f"{name}.log").write_text(done.stdout)
        run = Run()
        # `<scenario>-<time>/checks.json`; the suite's exit status says no more than they do.
        for checks in sorted(results.glob("**/checks.json")):
            scenario = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", str(checks.parent.relative_to(results)))
            run.add(re.fullmatch(directory, scenario)[1], json.loads(checks.read_text()))
        if not run.scenarios:
            raise Failure(f"{name}: the suite found nothing\n{done.stdout[-4000:]}")
        return run
