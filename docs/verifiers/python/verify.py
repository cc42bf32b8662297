"""Verifies Keyrack's assertions, one per line of standard input: prints the claims, or why it refused.

    python3 verify.py https://keys.example.com https://notes.example.com/mcp
"""

import json
import sys
import time
import urllib.request

import jwt

# Seconds that fetched keys are kept, and how soon an unknown one makes us fetch again.
KEEP = 300
AGAIN = 30


class Verifier:
    def __init__(self, issuer: str, audience: str):
        self.issuer, self.audience = issuer, audience
        self.address = issuer.rstrip("/") + "/.well-known/jwks.json"
        self.keys: dict[str, jwt.PyJWK] = {}
        self.fetched: float | None = None

    def verify(self, assertion: str) -> dict:
        kid = jwt.get_unverified_header(assertion).get("kid")
        age = None if self.fetched is None else time.monotonic() - self.fetched
        if age is None or age > KEEP or (age > AGAIN and kid not in self.keys):
            self.fetch()
        if kid not in self.keys:
            raise jwt.InvalidTokenError("the key is not published")
        return jwt.decode(
            assertion,
            self.keys[kid].key,
            algorithms=["EdDSA"],  # one, whatever the token says
            issuer=self.issuer,
            audience=self.audience,
            leeway=5,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )

    def fetch(self) -> None:
        with urllib.request.urlopen(self.address, timeout=5) as answer:
            published = json.load(answer)["keys"]
        self.keys = {key["kid"]: jwt.PyJWK(key) for key in published}
        self.fetched = time.monotonic()


def main() -> int:
    if len(sys.argv) != 3:
        sys.exit("usage: verify.py ISSUER AUDIENCE")
    verifier = Verifier(*sys.argv[1:])
    all_good = True
    for line in sys.stdin:
        try:
            print(json.dumps(verifier.verify(line.strip())))
        except jwt.InvalidTokenError as error:
            all_good = False
            print(json.dumps({"refused": str(error)}))
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
