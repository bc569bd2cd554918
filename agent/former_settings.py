"""Settings that had another name, or are gone: what becomes of an environment that was written for an older release.

Pure. A renamed one is understood under its old name until the release that its row names; a removed one stops the start
with the remedy. CONTRIBUTING.md says when a row comes and goes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from agent.errors import BadSettings

# Of 0 to 1, as difflib counts: what is less alike is another word, not a slip.
ALIKE: Final = 0.7
KUBERNETES: Final = "_SERVICE_HOST"


@dataclass(frozen=True, slots=True)
class Renamed:
    """A variable whose name changed in the release `since`; the old one is understood until before `until`."""

    name: str
    now: str
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A variable that is gone since the release `since`; `remedy` is a sentence: what to do instead."""

    name: str
    since: str
    remedy: str


Former = Renamed | Removed

# None yet: 0.1.0 is the first release.
FORMER: Final[tuple[Former, ...]] = ()


@dataclass(frozen=True, slots=True)
class Understood:
    """What an environment says through former names: values by the name of now, and what to tell the operator."""

    values: Mapping[str, str]
    warnings: tuple[str, ...]


def understood(environment: Mapping[str, str], table: Iterable[Former] = FORMER) -> Understood:
    """Read the former names in an environment; empty ones are unset. Names are taken in any case.

    Raises BadSettings for a removed one, and for a renamed one whose new name says something else. Shows no value.
    """
    given = {name.upper(): value for name, value in environment.items() if value}
    values, warnings, wrong = dict[str, str](), list[str](), list[str]()
    for former in table:
        if former.name not in given:
            continue
        if isinstance(former, Removed):
            wrong.append(f"{former.name} is gone since {former.since}. {former.remedy}")
        elif given.get(former.now, given[former.name]) != given[former.name]:
            wrong.append(f"{former.name} is now {former.now}, and both are set, to different values: unset the former.")
        else:
            values[former.now] = given[former.name]
            warnings.append(
                f"{former.name} is {former.now} since {former.since}: rename it, {former.until} will not know it."
            )
    if wrong:
        raise BadSettings("\n".join(wrong))
    return Understood(values, tuple(warnings))


def unknown(environment: Iterable[str], prefix: str, known: Iterable[str], table: Iterable[Former] = FORMER) -> str:
    """Say which names with our prefix are no settings, and which known ones they resemble; "" when all are known."""
    names = list(known)
    taken = {*names, *(former.name for former in table)}
    strange = sorted(name for name in environment if name.upper().startswith(prefix) and name.upper() not in taken)
    if not strange:
        return ""
    told = ", ".join(name + _guess(name.upper(), prefix, names) for name in strange)
    return f"Unknown settings: {told}.{_about_kubernetes(strange)} Known: {', '.join(names)}."


def _guess(name: str, prefix: str, known: Iterable[str]) -> str:
    """Return a question after the likeliest name; the prefix that all share proves nothing."""
    tails = [each.removeprefix(prefix) for each in known]
    found = get_close_matches(name.removeprefix(prefix), tails, 1, ALIKE)
    return f" (did you mean {prefix}{found[0]}?)" if found else ""


def _about_kubernetes(strange: Iterable[str]) -> str:
    """Explain the variables that Kubernetes adds to every pod beside a service of our name."""
    if not any(name.upper().endswith(KUBERNETES) for name in strange):
        return ""
    return " Kubernetes makes such variables for a service: set enableServiceLinks to false in the pod."
