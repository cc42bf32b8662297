"""Calls at a constant rate, by bin/constant_rate.rs."""

import json

from .calls import CALL, HEADERS, RESULT
from .processes import Failure

SLACK = 15  # seconds that the loader may take beyond its duration
BEHIND = 1  # seconds that the last answer may come after the end before the rate counts as not held


def job(target, rate, seconds, connections, session_every=0, port=None):
    return {
        "address": f"127.0.0.1:{port or target.port}",
        "target": target.path,
        "headers": list({**HEADERS, "X-API-Key": target.key}.items()),
        "body": CALL,
        "expected": RESULT.decode(),
        "rate": rate,
        "seconds": seconds,
        "connections": connections,
        "session_every": session_every,
    }


def start(stage, name, job):
    """Starts the loader, on the core that the proxy's worker leaves free."""
    given = stage.scratch / f"{name}.json"
    given.write_text(json.dumps(job))
    return stage.processes.start(name, [stage.bin_dir / "constant_rate"], stage.other_core, stdin=given)


def report(stage, name, job, behind=BEHIND):
    """What an ended loader saw; every call has to be made, and the last one to end at most so many seconds late."""
    seen = json.loads(stage.processes.output(name))
    calls = job["rate"] * job["seconds"]
    if seen["calls"] != calls:
        raise Failure(f"{name}: {seen['calls']} of {calls} calls were made")
    if seen["seconds"] > job["seconds"] + behind:
        raise Failure(f"{name}: the rate was not held: {calls} calls took {seen['seconds']:.1f} s")
    return seen


def run(stage, name, job):
    before = stage.answered()
    start(stage, name, job)
    stage.processes.finish(name, job["seconds"] + SLACK)
    seen = report(stage, name, job)
    if stage.answered() - before < seen["calls"]:
        raise Failure(f"{name}: {seen['calls']} answers, but only {stage.answered() - before} calls reached the stub")
    return seen
