"""The programs that a run starts: each ends with the run, whatever happens."""

import contextlib
import os
import re
import signal
import subprocess
import time

START_TIMEOUT = 60  # seconds until a started program listens
STOP_TIMEOUT = 5  # seconds between the polite signal and the other one


class Failure(Exception):
    """The suite could not be run; its verdict is another matter."""


class Processes:
    """Started programs and their logs, which go into one directory."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []

    def start(self, name, command, pattern, environment):
        """Starts a program and waits for the line that `pattern` finds; returns the pattern's group."""
        log = self.directory / f"{name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.directory,
                start_new_session=True,
            )
        self.running.append(process)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            found = re.search(pattern, log.read_text(errors="replace"))
            if found:
                return found[1]
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{name} did not start\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)

    def stop(self):
        for process in self.running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
            # Also when the leader is gone already: a group may outlive it.
            _signal(process, signal.SIGKILL)
            process.wait()


def clean_environment():
    """Nothing of the caller's own installation may reach the one under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KEYRACK_")}


def _signal(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
