"""What differs between what the suite found directly and through the gateway, and what failed."""


def differences(direct, through):
    """One line for each scenario's check whose number differs; none if both found the same."""
    lines = []
    for scenario in sorted(direct.scenarios.keys() | through.scenarios.keys()):
        if scenario not in direct.scenarios or scenario not in through.scenarios:
            where = "directly" if scenario in direct.scenarios else "through the gateway"
            lines.append(f"{scenario}: ran {where} only")
            continue
        one, other = direct.scenarios[scenario], through.scenarios[scenario]
        for check in sorted(one.keys() | other.keys()):
            if one[check] != other[check]:
                identifier, name, verdict = check
                lines.append(
                    f"{scenario}: {identifier} ({name}) {verdict}: {one[check]} directly, {other[check]} through the gateway"
                )
        if one != other:
            lines += [f"    directly: {said}" for said in direct.messages.get(scenario, [])]
            lines += [f"    through the gateway: {said}" for said in through.messages.get(scenario, [])]
    return lines


def failures(run):
    """One line for each check that failed."""
    return [
        f"{scenario}: {said}"
        for scenario, messages in sorted(run.messages.items())
        for said in messages
        if said.startswith("FAILURE")
    ]
