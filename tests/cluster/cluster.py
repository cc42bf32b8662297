"""A whole installation as processes: PostgreSQL, Redis, nodes, nginx, and the sample MCP server. What docker-compose.yml
starts as containers, with the commands, health checks and settings that stand there, and the same nginx.conf; everything on
127.0.0.1."""

import json
import os
import re
import secrets
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/bench"))

from compose import Compose  # noqa: E402
from rig import databases  # noqa: E402
from rig.databases import HOST  # noqa: E402
from rig.processes import Failure, find_program, free_port, listens  # noqa: E402

OWNER = {"email": "ann@example.com", "password": "correct horse battery"}
class Answer:
    """An answer, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        """The body; of a stream of events the data of its last."""
        text = self.body.decode()
        if self.headers.get_content_type() == "text/event-stream":
            text = [line[5:] for line in text.splitlines() if line.startswith("data:") and line[5:].strip()][-1]
        return json.loads(text)


def ask(port, method, path, body=None, headers=(), timeout=30):
    """One request over a connection of its own."""
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **dict(headers)}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def expect(status, answer):
    if answer.status != status:
        raise Failure(f"answered {answer.status}, expected {status}: {answer.body.decode(errors='replace')[:500]}")
    return answer.json() if answer.body else None


class Cluster:
    def __init__(self, binary, scratch, processes, nodes):
        self.binary, self.scratch, self.processes = binary, scratch, processes
        self.port = free_port()
        self.ports = {f"keyrack-{number}": free_port() for number in range(1, nodes + 1)}
        self.sample_port = free_port()
        self.sample_url = f"http://{HOST}:{self.sample_port}/mcp"
        self.variables = {
            "KEYRACK_PUBLIC_URL": self.public_url,
            "KEYRACK_ROOT_SECRET": secrets.token_hex(32),
            "POSTGRES_PASSWORD": secrets.token_hex(24),
        }
        self.postgres = self.redis = self.compose = None

    @property
    def public_url(self):
        return f"http://{HOST}:{self.port}"

    def start(self):
        self.compose = Compose(self.variables, self.places())
        self.postgres = databases.start_postgres(self.processes, self.scratch, databases=[self.database()])
        self.redis = databases.start_redis(self.processes, self.compose.command("redis")[1:])
        self.compose.places = self.places()
        # All at once: one of them migrates, and the others wait for it.
        for name in self.ports:
            self.start_node(name)
        for name in self.ports:
            self.wait_for_node(name)
        self.start_nginx()
        self.start_sample()

    def database(self):
        """The image of PostgreSQL makes a user and a database of these names; the user is that of every cluster here."""
        said = self.compose.services["postgres"]["environment"]
        if said["POSTGRES_USER"] != "keyrack":
            raise Failure("the user of the database is called otherwise")
        return said["POSTGRES_DB"]

    def places(self):
        """Where what the files name is here."""
        sample = f"{HOST}:{self.sample_port}"
        places = {
            "0.0.0.0:3001": sample,
            "sample:3001": sample,
            f"{HOST}/3001": f"{HOST}/{self.sample_port}",
            "proxy:8080": f"{HOST}:{self.port}",
            f"{HOST}:8080": f"{HOST}:{self.port}",
            # The network of the containers.
            "10.83.0.0/24": "127.0.0.0/8",
        }
        for name, url in (("postgres", self.postgres), ("redis", self.redis)):
            if url:
                at, address = ("@", url.rpartition("@")[2]) if name == "postgres" else ("://", url.rpartition("://")[2])
                places[f"{at}{name}"] = f"{at}{address}"
        return places

    def environment(self, name):
        data = self.scratch / name
        data.mkdir(exist_ok=True)
        # A third node is as the others are.
        said = self.compose.settings(name if name in self.compose.services else self.compose.nodes()[0])
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEYRACK_")},
            **said,
            # What a container has by itself: an address, a directory and a name of its own, and the log that its image says.
            "KEYRACK_LISTEN": f"{HOST}:{self.ports[name]}",
            "KEYRACK_DATA_DIR": str(data),
            "KEYRACK_NODE_NAME": name,
            "KEYRACK_LOG_FORMAT": "json",
        }

    def check(self, service):
        """Runs a service's health check, as the files have it; whether it is well."""
        program, *arguments = self.compose.check(service)
        environment = dict(os.environ)
        if program == "keyrack":
            program, environment = self.binary, self.environment(service)
        elif service == "postgres":
            port = self.postgres.rpartition(":")[2]
            environment |= {"PGHOST": HOST, "PGPORT": port}
        elif service == "redis":
            # Its program knows no variable for where to ask.
            arguments = ["-p", self.redis.rpartition(":")[2], *arguments]
        try:
            self.processes.run(f"check-{service}", [program, *arguments], None, 10, environment)
        except Failure:
            return False
        return True

    def start_node(self, name):
        self.processes.start(name, [self.binary, *self.compose.serves()], None, self.environment(name))

    def wait_for_node(self, name):
        self.processes.wait_for(name, lambda: is_ready(self.ports[name]))

    def command(self, node, *arguments, environment=()):
        """Runs another command with a node's settings, as `docker compose exec` would; what it printed."""
        settings = {**self.environment(node), **dict(environment)}
        return self.processes.run(f"{arguments[0]}-{node}", [self.binary, *arguments], None, 60, settings)

    def start_nginx(self):
        text = (ROOT / "deploy/nginx.conf").read_text()
        servers = re.compile(r"(?P<indent> +)server keyrack-1:8080(?P<rest>.*;)\n +server keyrack-2:8080.*;\n")
        here = lambda found: "".join(  # noqa: E731
            f"{found['indent']}server {HOST}:{port}{found['rest']}\n" for port in self.ports.values()
        )
        text, replaced = servers.subn(here, text)
        if replaced != 1:
            raise Failure("deploy/nginx.conf does not name its nodes as it did")
        text = text.replace("listen 8080;", f"listen {HOST}:{self.port};")
        text = text.replace("pid /tmp/nginx.pid;", f"pid {self.scratch}/nginx.pid;")
        config = self.scratch / "nginx.conf"
        config.write_text(text)
        self.processes.start("nginx", [find_program("nginx"), "-c", config, "-g", "daemon off;"], None)
        self.processes.wait_for("nginx", lambda: listens(self.port))

    def start_sample(self):
        self.processes.start("sample", [self.binary, *self.compose.command("sample")], None)
        self.processes.wait_for("sample", lambda: listens(self.sample_port))

    def create_owner(self):
        arguments = ["--email", OWNER["email"], "--organization-name", "Acme", "--organization-slug", "acme"]
        password = {"KEYRACK_OWNER_PASSWORD": OWNER["password"]}
        self.command(next(iter(self.ports)), "admin", "create-owner", *arguments, environment=password)

    def sign_in(self):
        return Person(self.port, expect(200, ask(self.port, "POST", "/api/v1/auth/login", OWNER))["accessToken"])


class Person:
    """The owner, signed in."""

    def __init__(self, port, token):
        self.port, self.headers = port, {"Authorization": f"Bearer {token}"}

    def ask(self, method, path, body=None, port=None):
        return ask(port or self.port, method, f"/api/v1{path}", body, self.headers)

    def create(self, path, body):
        return expect(201, self.ask("POST", path, body))


def is_ready(port):
    try:
        return ask(port, "GET", "/ready", timeout=2).status == 200
    except (OSError, HTTPException):
        return False
