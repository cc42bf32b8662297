"""The proxies of the benches, each started to carry the same call to the stub."""

import contextlib
import os
import re
import secrets
import sqlite3
from pathlib import Path

from . import HERE, ROOT
from .calls import SLUG, api, request
from .databases import start_postgres, start_redis
from .processes import START_TIMEOUT, Failure, find_program, free_port, listens

ENVOY_VERSION = "1.40.0"
# Where every target but Keyrack is asked: Keyrack says the same when its server is registered.
GATEWAY_PATH = f"/mcp-connect/{SLUG}/mcp"


def start_bare(stage, path):
    command = [stage.bin_dir / "bare_proxy", 0, f"http://127.0.0.1:{stage.stub_port}"]
    process = stage.processes.start("bare", command, stage.proxy_core)
    stage.add("bare", process, stage.processes.wait_for_port("bare"), path)


def filled_in(template, values):
    """A configuration with the names between at signs replaced."""
    return re.sub(r"@([A-Z_]+)@", lambda match: str(values[match[1]]), (HERE / template).read_text())


def start_nginx(stage, name, path):
    scratch = stage.scratch / f"nginx-{name}"
    scratch.mkdir()
    port = free_port()
    values = {
        # Started by root, nginx would drop to a user that cannot enter the scratch directory.
        "USER": "user root;" if os.geteuid() == 0 else "",
        "SCRATCH": scratch,
        "PORT": port,
        "UPSTREAM": f"127.0.0.1:{stage.stub_port}",
        "KEY": stage.key,
        "CREDENTIAL": secrets.token_hex(16),
    }
    configuration = scratch / "nginx.conf"
    configuration.write_text(filled_in(f"nginx/{name}.conf.in", values))
    command = [find_program("nginx"), "-p", scratch, "-e", "stderr", "-c", configuration]
    process = stage.processes.start(name, command, stage.proxy_core)
    stage.processes.wait_for(name, lambda: listens(port))
    target = stage.add(name, process, port, path)
    if name == "keymap":
        stage.expect(target, "a wrong key", 401, key=stage.key + "x")


def find_envoy():
    """The binary that tests/setup/load-tools installed; the package's own command is a script around it."""
    tools = Path(os.environ.get("KEYRACK_TEST_TOOLS") or ROOT / "target/test-tools")
    found = next(tools.glob("envoy/lib/python3*/site-packages/envoy/_bin/envoy"), None)
    if not found:
        raise Failure(f"Envoy {ENVOY_VERSION} is needed: tests/setup/load-tools installs it (or give --skip-envoy)")
    return found


def start_envoy(stage, path):
    port = free_port()
    values = {"PORT": port, "UPSTREAM_PORT": stage.stub_port, "KEY": stage.key}
    configuration = stage.scratch / "envoy.yaml"
    configuration.write_text(filled_in("envoy/api_key_auth.yaml.in", values))
    command = [find_envoy(), "--config-path", configuration, "--concurrency", 1, "--disable-hot-restart"]
    command += ["--log-level", "error"]
    process = stage.processes.start("envoy", command, stage.proxy_core)
    stage.processes.wait_for("envoy", lambda: listens(port))
    stage.spread(process)
    target = stage.add("envoy", process, port, path)
    stage.expect(target, "a wrong key", 401, key=stage.key + "x")


def start_keyrack(stage, name="keyrack", program="keyrack", settings=None, nodes=1, prepare=None):
    """A fresh installation, one server, one key of each type; `prepare` is given its data directory before anybody serves from
    it. Returns the gateway's path."""
    binary = stage.bin_dir / program
    password = secrets.token_urlsafe(24)
    owner = "owner@example.com"
    # Nothing of the caller's own installation may reach this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEYRACK_")}
    data = stage.scratch / f"data-{name}"
    data.mkdir()
    environment |= {"KEYRACK_DATA_DIR": str(data), "KEYRACK_LOG": "info", **(settings or {})}
    create = [binary, "admin", "create-owner", "--email", owner]
    create += ["--organization-name", "Bench", "--organization-slug", "bench"]
    secret = {"KEYRACK_OWNER_PASSWORD": password}
    stage.processes.run(f"create-owner-{name}", create, None, START_TIMEOUT, environment | secret)
    if prepare:
        prepare(data)

    environment |= {
        "KEYRACK_LISTEN": "127.0.0.1:0",
        "KEYRACK_WORKERS": "1",
        "KEYRACK_EGRESS_ALLOW": "127.0.0.0/8",
    }
    names = [name] if nodes == 1 else [f"{name}-{number}" for number in range(1, nodes + 1)]
    started = [start_node(stage, node, binary, environment | {"KEYRACK_NODE_NAME": node}) for node in names]
    processes, ports = ([node[part] for node in started] for part in (0, 1))
    port = ports[0]

    session = api(port, "/auth/login", {"email": owner, "password": password})["accessToken"]
    server = {
        "name": SLUG,
        "slug": SLUG,
        "url": f"http://127.0.0.1:{stage.stub_port}/mcp",
        "auth": {"kind": "bearer", "scope": "organization", "secret": secrets.token_hex(16)},
    }
    answer = api(port, "/mcp-servers", server, session)
    path = f"/mcp-connect/{answer.get('server', answer)['slug']}/mcp"

    def key(kind, **settings):
        body = {"name": f"bench {kind}", "type": kind, **settings}
        return api(port, "/api-keys", body, session)["token"]

    solo, client = key("solo"), key("client")
    stage.key = key("platform", tenants={"orgs": "*"})
    target = stage.add_all(name, processes, ports, path)
    # Everything is on: each type of key passes with its own parameters, and nothing else passes.
    stage.expect(target, "the solo key", 200, key=solo, query="")
    stage.expect(target, "the client key", 200, key=client, query="user_id=marina")
    stage.expect(target, "the platform key", 200)
    stage.expect(target, "the platform key without a tenant", 400, query="")
    stage.expect(target, "a wrong key", 401, key=stage.key[:-1] + ("0" if stage.key[-1] != "0" else "1"))
    return path


def start_node(stage, name, binary, environment):
    process = stage.processes.start(name, [binary, "serve"], stage.proxy_core, environment)
    port = stage.processes.wait_for_port(name)
    stage.processes.wait_for(name, lambda: request(port, "GET", "/ready")[0] == 200)
    stage.spread(process)
    return process, port


def leave_nothing_to_fold(data):
    """The database takes no calls for insights: there is nothing to store for them, to read, to fold and to throw away."""
    with contextlib.closing(sqlite3.connect(data / "keyrack.db")) as database, database:
        database.execute(
            "CREATE TRIGGER nothing_to_fold BEFORE INSERT ON insight_intake BEGIN SELECT RAISE(IGNORE); END"
        )


def start_stores(stage):
    """Keyrack on each store, and three nodes of it that count a limit together."""
    start_keyrack(stage)
    root = {"KEYRACK_ROOT_SECRET": secrets.token_hex(32)}
    url = start_postgres(stage.processes, stage.scratch, stage.other_core, databases=("one", "three"))
    start_keyrack(stage, "one", settings=root | {"KEYRACK_DATABASE_URL": f"{url}/one"})
    redis = {"KEYRACK_REDIS_URL": start_redis(stage.processes, core=stage.other_core)}
    three = root | redis | {"KEYRACK_DATABASE_URL": f"{url}/three"}
    start_keyrack(stage, "three", settings=three, nodes=3)
