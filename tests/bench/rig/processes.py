"""Processes that a bench starts, and what the kernel says that they cost."""

import contextlib
import ctypes
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

START_TIMEOUT = 30  # seconds until a started process listens
STOP_TIMEOUT = 3  # seconds between the polite signal and the other one

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """The bench could not be run, or its numbers would not mean what they say."""


class Processes:
    """Every process that the bench starts. Each has a group of its own, which ends with the bench, whatever happens."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.running = {}

    def start(self, name, command, core, environment=None, directory=None, stdin=os.devnull):
        log = self.scratch / f"{name}.out"
        with open(log, "wb") as out, open(self.scratch / f"{name}.err", "wb") as err, open(stdin, "rb") as given:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=given,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=directory or self.scratch,
                start_new_session=True,
                preexec_fn=lambda: prepare_child(core),
            )
        self.running[name] = process
        return process

    def run(self, name, command, core, timeout, environment=None, directory=None):
        """Runs a command to its end and returns what it printed."""
        self.start(name, command, core, environment, directory)
        return self.finish(name, timeout)

    def finish(self, name, timeout):
        """Waits for the end of what was started, and returns what it printed."""
        process = self.running[name]
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} did not end within {timeout} s\n{self.tail(name)}") from None
        finally:
            self.stop([name])
        if status != 0:
            raise Failure(f"{name} ended with status {status}\n{self.tail(name)}")
        return self.output(name)

    def output(self, name, stream="out"):
        return (self.scratch / f"{name}.{stream}").read_text(errors="replace")

    def tail(self, name):
        lines = (self.output(name) + self.output(name, "err")).splitlines()[-20:]
        return "\n".join(f"  {name}: {line}" for line in lines)

    def wait_for(self, name, ready):
        """Waits until `ready()` gives something, and returns it."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            found = ready()
            if found:
                return found
            if self.running[name].poll() is not None:
                raise Failure(f"{name} ended before it was ready\n{self.tail(name)}")
            if time.monotonic() > deadline:
                raise Failure(f"{name} was not ready within {START_TIMEOUT} s\n{self.tail(name)}")
            time.sleep(0.02)

    def wait_for_port(self, name):
        """Waits for the line with the address, and for the port behind it; returns the port."""

        def announced():
            line = re.search(r"http://127\.0\.0\.1:(\d+)", self.output(name))
            return line and int(line[1])

        port = self.wait_for(name, announced)
        self.wait_for(name, lambda: listens(port))
        return port

    def alive(self):
        self.alive_but(None)

    def alive_but(self, may_end):
        """Fails when any has ended but the one that may."""
        for name, process in self.running.items():
            if name != may_end and process.poll() is not None:
                raise Failure(f"{name} ended by itself with status {process.returncode}\n{self.tail(name)}")

    def stop(self, names=None):
        ending = [self.running.pop(name) for name in list(names or self.running) if name in self.running]
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in ending:
            if process.poll() is None:
                signal_group(process, signal.SIGTERM)
        for process in ending:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
            # Also when the leader is gone already: a group may outlive it.
            signal_group(process, signal.SIGKILL)
            process.wait()


def prepare_child(core):
    """Between fork and exec: one core, and the same end as the bench even if that is killed."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def signal_group(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(root):
    """CPU time of a process and its children so far, in user and kernel mode."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid, _, rest = path.read_text().partition(" (")
            fields = rest.rpartition(") ")[2].split()
            if root in (int(pid), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def threads_seconds(pid, names):
    """CPU time so far of a process's threads whose names begin with one of these."""
    ticks = 0
    for path in Path(f"/proc/{pid}/task").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = path.read_text().partition(" (")[2].rpartition(") ")
            if name.startswith(names):
                fields = rest.split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """CPU time that the whole machine has spent on anything so far, time taken by its host included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def ended_children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def find_program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Failure(f"{name} is needed: on Debian, apt-get install {name}")
    return found
