"""What the benches under load share: processes, targets, and the file of results. `load` and `soak` are the programs."""

from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
