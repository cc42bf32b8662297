"""A Keyrack of the run's own: a fresh installation, the upstream registered, one key of each type."""

import http.client
import json
import secrets
import subprocess
import urllib.error
import urllib.request

from processes import Failure, clean_environment

HTTP_TIMEOUT = 15  # seconds
SLUG = "conformance"
QUERIES = {"solo": "", "client": "?user_id=marina", "platform": "?org_id=globex&user_id=marina"}


class Keyrack:
    """A running gateway. `session` is its owner's access token, `keys` the tokens by type."""

    def __init__(self, processes, binary, upstream):
        environment = clean_environment() | {
            "KEYRACK_LISTEN": "127.0.0.1:0",
            "KEYRACK_DATA_DIR": str(processes.directory / "data"),
            # Scenarios of clients bring servers on either loopback.
            "KEYRACK_EGRESS_ALLOW": "127.0.0.0/8,::1/128",
            "KEYRACK_SHUTDOWN_TIMEOUT": "1",
        }
        password = secrets.token_urlsafe(24)
        owner = "owner@example.com"
        create = [binary, "admin", "create-owner", "--email", owner]
        create += ["--organization-name", "Conformance", "--organization-slug", "conformance"]
        made = subprocess.run(
            create, env=environment | {"KEYRACK_OWNER_PASSWORD": password}, capture_output=True, text=True
        )
        if made.returncode:
            raise Failure(f"create-owner failed: {made.stderr}")
        self.base = processes.start("keyrack", [binary, "serve"], r"(http://127\.0\.0\.1:\d+)", environment)
        self.session = self.post("/auth/login", {"email": owner, "password": password})["accessToken"]
        self.post("/mcp-servers", {"name": SLUG, "slug": SLUG, "url": upstream})
        self.keys = {
            "solo": self.key("solo"),
            "client": self.key("client"),
            "platform": self.key("platform", tenants={"orgs": "*"}),
        }

    def key(self, kind, **settings):
        return self.post("/api-keys", {"name": f"conformance {kind}", "type": kind, **settings})["token"]

    def url(self, kind):
        """The upstream's address for a key of this type, with its tenant parameters."""
        return f"{self.base}/mcp-connect/{SLUG}/mcp{QUERIES[kind]}"

    @property
    def endpoint(self):
        """Keyrack's own."""
        return f"{self.base}/mcp"

    def post(self, path, body):
        """One REST call that has to succeed."""
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "session"):
            headers["Authorization"] = f"Bearer {self.session}"
        request = urllib.request.Request(f"{self.base}/api/v1{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failure(f"POST {path} answered {error.code}: {error.read()[:500]!r}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"POST {path}: {error!r}") from error
