"""A stage: one stub upstream, the proxies in front of it, and which core each runs on."""

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from .calls import CALL, HEADERS, RESULT, TENANT, request
from .processes import Failure

# How the threads that carry calls are named, as far as the kernel keeps a name: actix's workers and Envoy's.
WORKER_THREADS = ("actix-rt|system", "wrk:worker_")

TITLES = {
    "bare": "bare actix-web + awc proxy",
    "keyrack": "Keyrack, everything on",
    "plain": "nginx, plain proxy",
    "keymap": "nginx, static map of keys",
    "envoy": "Envoy 1.40, only api_key_auth",
    "unaudited": "Keyrack, decisions not recorded",
    "unfolded": "Keyrack, nothing folded into insights",
    "against": "the other build",
    "one": "the same on PostgreSQL",
    "three": "three nodes on PostgreSQL",
}


@dataclass
class Target:
    """A proxy that is ready, or several that are one service, and what was measured of it."""

    name: str
    processes: list[Popen]
    ports: list[int]
    path: str
    key: str
    samples: list = field(default_factory=list)

    @property
    def process(self):
        (process,) = self.processes
        return process

    @property
    def port(self):
        (port,) = self.ports
        return port


class Stage:
    def __init__(self, bin_dir, scratch, processes, spreads=True):
        self.bin_dir = bin_dir
        self.spreads = spreads
        self.scratch = scratch
        self.processes = processes
        cores = sorted(os.sched_getaffinity(0))
        self.pinned = len(cores) >= 2
        self.proxy_core, self.other_core = cores[:2] if self.pinned else (None, None)
        self.key = f"kr_{secrets.token_hex(8)}_{secrets.token_hex(25)[:49]}"
        self.stub_port = None
        self.targets = []
        # What calls of several nodes cost, where that is measured.
        self.costs = {}

    def start_stub(self):
        self.processes.start("stub", [self.bin_dir / "stub_upstream", 0], self.other_core)
        self.stub_port = self.processes.wait_for_port("stub")

    def add(self, name, process, port, path):
        return self.add_all(name, [process], [port], path)

    def add_all(self, name, processes, ports, path):
        """A service of several processes, each of which carries its part of the calls."""
        target = Target(name, processes, ports, f"{path}?{TENANT}", self.key)
        self.targets.append(target)
        return target

    def set_in_order(self):
        """The order of the titles; every target has to pass a good call."""
        order = list(TITLES)
        self.targets.sort(key=lambda target: order.index(target.name))
        for target in self.targets:
            self.expect(target, "a good call", 200)

    def spread(self, process):
        """Leaves a proxy's worker alone on its core: its other threads go to where the load generator is. Where times
        are measured and not throughput, they stay: there they would disturb the clock, and here only their own proxy."""
        if not self.pinned or not self.spreads:
            return
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            # A thread may end while we look at it.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                worker = (task / "comm").read_text().startswith(WORKER_THREADS)
                os.sched_setaffinity(int(task.name), {self.proxy_core if worker else self.other_core})

    def expect(self, target, what, status, key=None, query=None):
        """One call of each process outside the measurement, with the answer's body compared."""
        path = target.path if query is None else target.path.partition("?")[0] + (query and f"?{query}")
        headers = {**HEADERS, "X-API-Key": key or target.key}
        for port in target.ports:
            seen, body = request(port, "POST", path, CALL, headers)
            if seen != status or (body == RESULT) != (status == 200):
                raise Failure(
                    f"{target.name}: {what} answered {seen}, expected {status}: {body.decode(errors='replace')[:500]}\n"
                    + self.tail(target)
                )

    def tail(self, target):
        """What its processes said last."""
        names = {process: name for name, process in self.processes.running.items()}
        return "\n".join(self.processes.tail(names[process]) for process in target.processes)

    def answered(self):
        """How many calls have reached the stub."""
        status, body = request(self.stub_port, "GET", "/bench/answered")
        if status != 200:
            raise Failure(f"the stub answered {status} when asked for its count")
        return int(body)
