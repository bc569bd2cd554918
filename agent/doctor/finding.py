"""What a check found, and how it is told: a line for people, an object for programs. Pure."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one thing; `text` of what is not well says what is wrong and what to do."""

    name: str
    state: State
    text: str

    @property
    def line(self) -> str:
        """The finding for people."""
        told = {"ok": "ok, ", "warning": "warning: ", "failed": ""}[self.state] + self.text
        return f"{self.name}: {told}"

    @property
    def fields(self) -> dict[str, Any]:
        """The finding for programs."""
        return asdict(self)


def ok(name: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(name, "ok", text)


def warning(name: str, text: str) -> Finding:
    """Answers come, but something will be missed."""
    return Finding(name, "warning", text)


def failed(name: str, text: str) -> Finding:
    """Answers will not come."""
    return Finding(name, "failed", text)
