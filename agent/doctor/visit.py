"""Runs every check in a time of its own, tells what each found as it comes, and sums up in the exit code.

A check that fails, hangs or breaks hides no other. Nothing secret is told.
"""

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from agent.build import Parts
from agent.doctor import machine, parts, surroundings
from agent.doctor.finding import Finding, failed
from agent.doctor.secrets import masked, secrets
from agent.errors import AgentError, BadSettings
from agent.settings import Settings, load_settings
from retrieval.errors import RetrievalError

Told = Finding | list[Finding]
Look = Callable[[], Awaitable[Told]]

SECONDS: Final = 20.0
# Weights are read whole and their hash is checked; a probe tells what kind of model another server has.
MODEL_SECONDS: Final = 150.0
EMBEDDER_SECONDS: Final = 60.0

MACHINE: Final[Mapping[str, Callable[[], Finding]]] = {
    "python": machine.python,
    "packages": machine.packages,
    "processor": machine.processor,
    "gpu": machine.gpu,
    "clock": machine.clock,
}
SURROUNDINGS: Final[Mapping[str, Callable[[Settings], Told]]] = {
    "settings": surroundings.settings_set,
    "disk": surroundings.disk,
    "memory": surroundings.memory,
    "open files": surroundings.open_files,
    "port": surroundings.port,
    "network": surroundings.network,
}
PARTS: Final[Mapping[str, tuple[Callable[[Parts], Awaitable[Told]], float]]] = {
    "weights": (parts.weights, SECONDS),
    "cache": (parts.cache, SECONDS),
    "shared": (parts.shared, SECONDS),
    "remembered": (parts.remembered, SECONDS),
    "reading": (parts.reading, SECONDS),
    "embedder": (parts.embedder, EMBEDDER_SECONDS),
    "reranker": (parts.reranker, EMBEDDER_SECONDS),
    "search": (parts.search, SECONDS),
    "model": (parts.model, MODEL_SECONDS),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at, and how many seconds that may take."""

    name: str
    look: Look
    seconds: float = SECONDS


async def visit(say: Callable[[str], None], *, as_json: bool = False) -> int:
    """Look at everything that the environment sets up, and tell it by `say`; returns 1 when something failed, or 0."""
    try:
        settings: Settings | BadSettings = load_settings()
    except BadSettings as error:
        settings = error
    hidden = () if isinstance(settings, BadSettings) else secrets(settings)
    return await examine(tuple(checks(settings)), hidden, say, as_json=as_json)


async def examine(
    todo: Sequence[Check], hidden: tuple[str, ...], say: Callable[[str], None], *, as_json: bool = False
) -> int:
    """Make the checks one after another: each has the machine to itself, since some take its speed."""
    rows = []
    for check in todo:
        start = time.monotonic()
        found = [replace(each, text=masked(each.text, hidden)) for each in await findings(check)]
        seconds = round(time.monotonic() - start, 3)
        rows += [each.fields | {"seconds": seconds} for each in found]
        if not as_json:
            for each in found:
                say(each.line)
    well = all(row["state"] != "failed" for row in rows)
    if as_json:
        say(json.dumps({"ok": well, "checks": rows}, ensure_ascii=False, indent=1))
    return int(not well)


def checks(settings: Settings | BadSettings) -> Iterator[Check]:
    """Give the checks that can be made with the settings, in the order of telling."""
    for name, look in MACHINE.items():
        yield Check(name, _in_thread(look))
    if isinstance(settings, BadSettings):
        yield Check("settings", _in_thread(partial(_wrong_settings, settings)))
        return
    for name, at in SURROUNDINGS.items():
        yield Check(name, _in_thread(partial(at, settings)))
    opened = Parts(settings)
    for name, (use, seconds) in PARTS.items():
        yield Check(name, partial(use, opened), seconds)


def _wrong_settings(error: BadSettings) -> Finding:
    return failed("settings", f"{error} What they name was not looked at.")


def _in_thread(look: Callable[[], Told]) -> Look:
    # A thread that hangs, as in a name server's silence, is left behind.
    return lambda: anyio.to_thread.run_sync(look, abandon_on_cancel=True)


async def findings(check: Check) -> list[Finding]:
    """Make one check within its time; what it raises is what it found."""
    try:
        with anyio.fail_after(check.seconds):
            found = await check.look()
    except TimeoutError:
        told = f"no answer within {check.seconds:g} s: what it asks hangs, or this machine is overloaded. Try it alone."
        return [failed(check.name, told)]
    except Exception as error:  # noqa: BLE001  (a check that breaks is told, and hides no other)
        return [failed(check.name, _reason(error))]
    return [found] if isinstance(found, Finding) else found


def _reason(error: Exception) -> str:
    """Say what went wrong; the words of foreign errors may hold anything, so only their kind is told."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(dict.fromkeys(_reason(each) for each in error.exceptions))
    if isinstance(error, BadSettings | AgentError | RetrievalError):
        return str(error)
    return f"the check itself failed ({type(error).__name__}): report it, with the log of `wellread serve`."
