"""What the platform's own endpoint is known not to pass (endpoint-expected-failures.toml), held against what a run found."""

import tomllib

from processes import Failure


class Expected:
    """The list: by revision, the reason of each `scenario` or `scenario:check`."""

    def __init__(self, path):
        self.by_revision = tomllib.loads(path.read_text())
        for revision, entries in self.by_revision.items():
            for entry, reason in entries.items():
                if not isinstance(reason, str) or not reason.strip():
                    raise Failure(f"{path.name}: {revision}, {entry}: the reason is missing")
                if ":" in entry and entry.split(":")[0] in entries:
                    raise Failure(f"{path.name}: {revision}, {entry}: its scenario is listed as a whole")

    def faults(self, revision, run, every):
        """One line for whatever is not as the list says, either way. `every`: the scenarios that have to have run."""
        entries, used, lines = self.by_revision.get(revision, {}), set(), []
        for scenario in sorted(every - run.scenarios.keys()):
            lines.append(f"{scenario}: did not run")
        for scenario, checks in sorted(run.scenarios.items()):
            missed, passed = _missed(checks), run.count("SUCCESS", scenario)
            if missed or not passed:
                used.add(scenario)
            unlisted = [identifier for identifier in missed if f"{scenario}:{identifier}" not in entries]
            used.update(f"{scenario}:{identifier}" for identifier in missed)
            if scenario in entries:
                continue
            lines += [f"{scenario}: {identifier} did not pass and is not listed" for identifier in unlisted]
            if unlisted:
                lines += [f"    {said}" for said in run.messages.get(scenario, [])]
            # Where nothing was checked, nothing was shown either.
            if not missed and not passed:
                lines.append(f"{scenario}: checked nothing and is not listed")
        lines += [f"{entry}: listed, and does not fail; take it off the list" for entry in sorted(entries.keys() - used)]
        return lines

    def reasons(self, revision, run, scenario):
        """Why not all of a scenario passes, for people."""
        entries = self.by_revision.get(revision, {})
        missed = {f"{scenario}:{identifier}" for identifier in _missed(run.scenarios[scenario])}
        found = [reason for entry, reason in entries.items() if entry == scenario or entry in missed]
        return "; ".join(dict.fromkeys(found))


def _missed(checks):
    """A warning is a failure here. What the suite skips depends on what it found before."""
    return sorted({identifier for identifier, _, verdict in checks if verdict in ("FAILURE", "WARNING")})
