"""RESULTS.md, whose sections stand between markers, and what a reader has to know of machine and build."""

import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path

from . import HERE, ROOT
from .processes import Failure

RESULTS = HERE / "RESULTS.md"


def write_section(name, text):
    """Replaces the section of this name. One that is not there yet comes last."""
    before, after = frame(name)
    temporary = RESULTS.with_suffix(".tmp")
    begin, end = markers(name)
    temporary.write_text(f"{before}{begin}\n{text.rstrip()}\n{end}{after}")
    os.replace(temporary, RESULTS)
    print(f"wrote {RESULTS.relative_to(ROOT)}")


def markers(name):
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def frame(name):
    """What stands before and after the section. Called before a measurement too, which a broken file would waste."""
    text = RESULTS.read_text() if RESULTS.exists() else "# Bench results\n"
    begin, end = markers(name)
    if begin not in text and end not in text:
        return f"{text.rstrip()}\n\n## {name}\n\n", "\n"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise Failure(f"{RESULTS.name} has to hold {begin} and then {end}, each once")
    return text.partition(begin)[0], text.partition(end)[2]


def circumstances(options, command):
    """The list that stands under every table."""
    built = "built by this command" if options.build else "given by `--bin-dir`, not built by this command"
    return f"""\
- command: `{command}`
- commit: {options.commit}
- date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC
- machine: {cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}
- build: {rust_version()}; {build_profile(options.bin_dir)}; binaries {built}"""


def output_of(*command):
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (run.stdout + run.stderr).strip() if run.returncode == 0 else None


def commit_name():
    name = output_of("git", "rev-parse", "--short", "HEAD")
    if name is None:
        return "none"
    # Not the file that the bench itself writes.
    changes = output_of("git", "status", "--porcelain", "--", ".", f":(exclude){RESULTS.relative_to(ROOT)}")
    return name + ("-dirty" if changes != "" else "")


def cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def rust_version():
    return output_of("rustc", "--version") or "rustc unknown"


def build_profile(directory):
    """The profile's name is its directory's; what the workspace sets for it stands in brackets, RUSTFLAGS too."""
    try:
        import tomllib

        profiles = tomllib.loads((ROOT / "Cargo.toml").read_text()).get("profile", {})
    except (ImportError, OSError):
        profiles = {}
    name, settings = directory.name, {}
    current = name
    while current in profiles:
        own = profiles[current]
        settings = {key: value for key, value in own.items() if key != "inherits"} | settings
        current = own.get("inherits", "")
    shown = ", ".join(
        f"{key} = {json.dumps(value)}" if not isinstance(value, dict) else f"{key} overrides: {', '.join(value)}"
        for key, value in settings.items()
    )
    shown = shown or "cargo's defaults"
    flags = os.environ.get("RUSTFLAGS")
    return f"profile `{name}` ({shown})" + (f", RUSTFLAGS `{flags}`" if flags else "")
