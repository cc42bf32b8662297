"""What docker-compose.yml and the Dockerfile say, as what is run here: the commands, the health checks and the settings are
read from the files, and only where things are is another place. A change of a file changes what is run."""

import json
import os
import re
import subprocess
from pathlib import Path

from rig.processes import Failure

ROOT = Path(__file__).resolve().parent.parent.parent
READER = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"


def python_with_yaml():
    """The interpreter that tests/setup has installed PyYAML for."""
    tools = Path(os.environ.get("KEYRACK_TEST_TOOLS") or ROOT / "target/test-tools")
    python = tools / "deployment/bin/python"
    if not python.exists():
        raise Failure(f"{python} is not there: run tests/setup/all")
    return python


class Compose:
    """The files. `variables` are those of the environment that the compose file asks for; `places` says where what it names
    is here."""

    def __init__(self, variables, places):
        self.variables, self.places = variables, places
        command = [python_with_yaml(), "-c", READER, ROOT / "docker-compose.yml"]
        self.services = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["services"]
        self.dockerfile = (ROOT / "Dockerfile").read_text()

    def nodes(self):
        """The services that are nodes: those of our image that do not say what to run."""
        ours = {name: service for name, service in self.services.items() if service["image"] == "keyrack:local"}
        return [name for name, service in ours.items() if "command" not in service]

    def settings(self, node):
        return {name: self.text(value) for name, value in self.services[node]["environment"].items()}

    def command(self, service):
        return [self.text(word) for word in self.services[service]["command"]]

    def check(self, service):
        """Its health check; of a service that has none, its image's, which must be ours."""
        said = self.services[service].get("healthcheck")
        if said is None:
            return self.listed("HEALTHCHECK")
        kind, *words = said["test"]
        if kind != "CMD":
            raise Failure(f"the health check of {service} is {kind}, which is not run here")
        return [self.text(word) for word in words]

    def serves(self):
        """What a node runs, as the image says."""
        return self.listed("CMD", start=True)

    def listed(self, instruction, start=False):
        pattern = r"^CMD (\[.*\])$" if start else rf"^{instruction} .*?CMD (\[.*\])$"
        found = re.search(pattern, self.dockerfile, re.MULTILINE)
        if not found:
            raise Failure(f"the Dockerfile has no {instruction} that can be read here")
        return json.loads(found[1])

    def text(self, said):
        """What is said, with the variables put in and every place as it is here."""

        def given(found):
            value = self.variables.get(found["name"]) or (found["rest"][2:] if found["rest"].startswith(":-") else None)
            if value is None:
                raise Failure(f"docker-compose.yml asks for {found['name']}, which is not given here")
            return value

        text = re.sub(r"\$\{(?P<name>\w+)(?P<rest>[^}]*)\}", given, said)
        return re.sub("|".join(map(re.escape, self.places)), lambda found: self.places[found[0]], text)
