"""PostgreSQL and Redis, started as processes for one run."""

import os
import shutil
import time
from pathlib import Path

from .processes import Failure, find_program, free_port, listens

HOST = "127.0.0.1"
CREATE_TIMEOUT = 30  # seconds


def start_postgres(processes, scratch, core=None, databases=("keyrack",)):
    """A new cluster with these databases, empty; its URL, without one. Everything is as it comes: what is committed is on
    the disk."""
    directory, port = scratch / "postgres", free_port()
    directory.mkdir()
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    binaries = programs[-1].parent if programs else Path(find_program("initdb")).parent
    prefix = []
    if os.getuid() == 0:
        # It refuses to run as root.
        shutil.chown(directory, "nobody")
        for above in [scratch, *scratch.parents][:2]:
            above.chmod(above.stat().st_mode | 0o011)
        prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    made = [*prefix, binaries / "initdb", "--username=keyrack", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
    processes.run("initdb", [*made, "--no-sync", "-D", directory / "data"], None, 120, directory=directory)
    options = ["-c", f"listen_addresses={HOST}", "-c", "max_connections=200", "-p", port, "-k", directory]
    started = [*prefix, binaries / "postgres", "-D", directory / "data", *options]
    processes.start("postgres", started, core, directory=directory)
    processes.wait_for("postgres", lambda: listens(port))
    base = f"postgres://keyrack@{HOST}:{port}"
    for name in databases:
        create_database(processes, binaries / "psql", base, name)
    return base


def create_database(processes, psql, base, name):
    deadline = time.monotonic() + CREATE_TIMEOUT
    while True:
        try:
            processes.run("psql", [psql, f"{base}/postgres", "-qc", f"CREATE DATABASE {name}"], None, CREATE_TIMEOUT)
            return
        except Failure:
            # It listens before it lets anybody in.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def start_redis(processes, arguments=(), core=None):
    """A Redis with these arguments; its URL."""
    port = free_port()
    command = [find_program("redis-server"), *arguments, "--bind", HOST, "--port", port]
    processes.start("redis", command, core)
    processes.wait_for("redis", lambda: listens(port))
    return f"redis://{HOST}:{port}"
