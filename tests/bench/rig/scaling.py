"""What a call costs when several nodes carry as much as one does, each: the same, if their work adds up.

At saturation the comparison would be of something else: nodes that share a core find fewer calls waiting each time, and pay the
kernel for each of them.
"""

import statistics
from dataclasses import dataclass

from . import constant_rate
from .saturation import clocks

RATE = 1_000  # calls a second of each node
CONNECTIONS = 16  # of each node


@dataclass
class Cost:
    """CPU per call, in microseconds."""

    nodes: float
    database: float


def measure(stage, options, names):
    """The costs of these targets' calls, in every round, by name."""
    targets = [target for target in stage.targets if target.name in names]
    costs = {target.name: [] for target in targets}
    for number in range(options.rounds):
        first = number % len(targets)
        for target in targets[first:] + targets[:first]:
            cost = run(stage, target, options.seconds, number)
            costs[target.name].append(cost)
            print(
                f"round {number + 1}/{options.rounds}  {target.name:8} {RATE} calls/s each of {len(target.ports)}: "
                f"{cost.nodes:6.1f} µs CPU per call, {cost.database:.1f} of databases",
                flush=True,
            )
    return costs


def run(stage, target, seconds, number):
    jobs = {
        f"{target.name}-{number}-{place}": constant_rate.job(target, RATE, seconds, CONNECTIONS, port=port)
        for place, port in enumerate(target.ports)
    }
    before = clocks(stage, target)
    for name, job in jobs.items():
        constant_rate.start(stage, name, job)
    for name in jobs:
        stage.processes.finish(name, seconds + constant_rate.SLACK)
    _, nodes, _, _, _, database = (now - then for now, then in zip(clocks(stage, target), before))
    calls = sum(constant_rate.report(stage, name, job)["calls"] for name, job in jobs.items())
    stage.processes.alive()
    return Cost(nodes / calls * 1e6, database / calls * 1e6)


def median(costs, name, what="nodes"):
    return statistics.median(getattr(cost, what) for cost in costs[name])


def ratio(costs, name, base):
    """Median over the rounds of the ratio within each round."""
    return statistics.median(own.nodes / other.nodes for own, other in zip(costs[name], costs[base], strict=True))


def table(costs, titles):
    lines = [f"| {RATE:,} calls a second of each node | CPU of the nodes per call, µs | of PostgreSQL and Redis, µs |"]
    lines.append("|---|---:|---:|")
    for name in costs:
        lines.append(f"| {titles[name]} | {median(costs, name):.1f} | {median(costs, name, 'database'):.1f} |")
    return "\n".join(lines)


def report(costs, titles):
    return f"""\
Where every node has the same to do, {RATE:,} calls a second over {CONNECTIONS} connections, evenly spaced, CPU of all threads:

{table(costs, titles)}

Three nodes cost {ratio(costs, "three", "one"):.2f} times as much per call as one; at most 1.1 is asked for."""
