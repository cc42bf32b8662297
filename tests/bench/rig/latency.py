"""What Keyrack adds to the time of a call at a constant rate, far from saturation."""

import os
import statistics

from . import constant_rate
from .results import circumstances
from .stage import TITLES

RATE = 3000
# Many short rounds: what a stranger disturbs is then some of them, and the median is of the others. Two seconds are 6,000
# calls, and both of a pair still meet the same machine.
FULL_SECONDS, FULL_ROUNDS = 2, 20
SHORT_SECONDS, SHORT_ROUNDS = 2, 4
MAX_ADDED = 1000  # microseconds that the 99th percentile may rise
# On a machine shared with other work, a stranger's time slice is several milliseconds, several times over. The short form
# therefore judges the best of its rounds: strangers disturb some, a gateway that became slow is slow in all of them.
MAX_ADDED_SHORT = 50_000

COLUMNS = ("p50", "p90", "p99", "p999", "max", "late_p99")


def stolen():
    """Seconds that the hypervisor kept a core that had work (proc(5), `steal`), of all cores together."""
    fields = open("/proc/stat").readline().split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def measure(stage, options):
    for target in stage.targets:
        constant_rate.run(stage, "warm", constant_rate.job(target, RATE, 1, options.connections))
    for number in range(options.rounds):
        first = number % len(stage.targets)
        for target in stage.targets[first:] + stage.targets[:first]:
            job = constant_rate.job(target, RATE, options.seconds, options.connections)
            before = stolen()
            seen = constant_rate.run(stage, f"{target.name}-{number}", job)
            seen["stolen"] = (stolen() - before) / options.seconds
            target.samples.append(seen)
            stage.processes.alive()
            numbers = "  ".join(f"{column} {seen[column]:6,d}" for column in COLUMNS)
            print(f"round {number + 1}/{options.rounds}  {target.name:8} µs: {numbers}  stolen {seen['stolen']:.1%}", flush=True)


def added(stage, column, over=statistics.median):
    """Of the differences within each round, in microseconds, the median or another."""
    named = {target.name: target.samples for target in stage.targets}
    pairs = zip(named["keyrack"], named["bare"], strict=True)
    return over(own[column] - base[column] for own, base in pairs)


def table(stage):
    lines = ["| target, medians in µs | " + " | ".join(COLUMNS[:-1]) + " | the loader's own p99 |"]
    lines.append("|---|" + "---:|" * len(COLUMNS))
    for target in stage.targets:
        medians = (statistics.median(seen[column] for seen in target.samples) for column in COLUMNS)
        lines.append(f"| {TITLES[target.name]} | " + " | ".join(f"{value:,.0f}" for value in medians) + " |")
    differences = (f"{added(stage, column):+,.0f}" for column in COLUMNS[:-1])
    lines.append("| added, median of the differences in a round | " + " | ".join(differences) + " | |")
    taken = statistics.mean(seen["stolen"] for target in stage.targets for seen in target.samples)
    lines += ["", f"The hypervisor kept a core that had work for {taken:.1%} of the time."]
    return "\n".join(lines)


def report(stage, options):
    command = f"tests/bench/load --latency --profile {options.bin_dir.name} --seconds {options.seconds}"
    command += f" --rounds {options.rounds} --connections {options.connections}"
    return f"""\
{RATE:,} calls a second, evenly spaced, over {options.connections} connections, each measured from the time when it was meant to
begin to the last byte of its answer: a call that had to wait for its connection, or for the loader, has waited. The
call, the stub and the targets are those of the bench under load, but that all threads of a proxy share its core and
leave the other to loader and stub. {options.rounds} rounds of {options.seconds} s per target. "The
loader's own" is how late calls began whose connection was free; it is part of the other numbers.

{circumstances(options, command)}

{table(stage)}

Asked for: less than {MAX_ADDED:,} µs added at p99. {"Met" if added(stage, "p99") < MAX_ADDED else "NOT met"} by this run.
"""
