"""Building what a bench measures, unless it is there already and no source is newer."""

import os

from . import ROOT
from .processes import Failure
from .results import commit_name

BUILD_TIMEOUT = 3600  # seconds for cargo, from nothing, on a small machine


def add_options(parser):
    parser.add_argument(
        "--bin-dir",
        type=lambda text: ROOT.cwd() / text,
        help="where the binaries are; given, nothing is built (default ${CARGO_TARGET_DIR:-target}/PROFILE)",
    )
    parser.add_argument(
        "--profile", default="release", help="cargo profile of all binaries (default %(default)s)"
    )


def settle_options(options):
    options.build = options.bin_dir is None
    if options.build:
        options.bin_dir = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / options.profile
    options.bin_dir = options.bin_dir.resolve()


def newest_source():
    skipped = {"target", ".git", "node_modules", "data"}
    newest = 0
    for directory, below, files in os.walk(ROOT):
        below[:] = [name for name in below if name not in skipped]
        for name in files:
            if name.endswith(".rs") or name in ("Cargo.toml", "Cargo.lock"):
                newest = max(newest, os.stat(os.path.join(directory, name)).st_mtime)
    return newest


def build_missing(options, processes, binaries):
    """Builds when a binary is missing or older than a source, so that the commit in the report is the one measured."""
    paths = [options.bin_dir / name for name in binaries]
    oldest = min((path.stat().st_mtime if path.exists() else 0 for path in paths), default=0)
    if options.build and oldest < newest_source():
        command = ["cargo", "build", "--locked", "-p", "keyrack", "-p", "keyrack-tests", "--profile", options.profile]
        command += [part for binary in binaries for part in ("--bin", binary)]
        print(" ".join(command), flush=True)
        processes.run("cargo", command, None, BUILD_TIMEOUT, directory=ROOT)
    for path in paths:
        if not os.access(path, os.X_OK):
            raise Failure(f"{path} is missing")
    options.commit = commit_name()
