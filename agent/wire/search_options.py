"""What a request says of how to search: the tools that ask for it, how much, from where. Pure."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.errors import BadRequest
from agent.types import Effort
from agent.wire.fields import Body

# Tools by which a client asks for a search; dated versions begin with the same words.
SEARCH_TOOL = "web_search"
SEARCH_TOOLS = (SEARCH_TOOL, "deepseek_web_search")

EffortStep = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORT_STEPS: dict[EffortStep, Effort] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


class Kind(Body):
    """The kind of a tool or of a choice among them."""

    type: str


class Place(Body):
    """Where the user is: OpenAI's form with an inner `approximate`, or the flat one."""

    country: Annotated[str, Field(pattern="^[A-Za-z]{2}$")] | None = None
    region: Annotated[str, Field(max_length=100)] | None = None
    city: Annotated[str, Field(max_length=100)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, data: object) -> object:
        nested = data.get("approximate") if isinstance(data, dict) else None
        return nested if isinstance(nested, dict) else data

    @property
    def said(self) -> str:
        """The place in one line, for a model; "" for none."""
        named = ", ".join(part for part in (self.city, self.region, (self.country or "").upper()) if part)
        zone = f"time zone {self.timezone}" if self.timezone else ""
        return " ".join(", ".join(part for part in (named, zone) if part).split())


class WebSearchOptions(Body):
    """OpenAI's dial of the search."""

    search_context_size: Effort | None = Field(
        default=None, description="how much to read: low about 15 pages, medium 50, high 50 a round in up to 3 rounds"
    )
    user_location: Place = Field(default=Place(), description="where the user is; its country is searched from")


def is_search(kind: str) -> bool:
    """Tell whether tools of a kind search the web."""
    return kind.startswith(SEARCH_TOOLS)


def refuse_functions(tools: Sequence[Kind], choice: str | Kind) -> None:
    """Refuse what must end in a call of a function: this server calls none of a client's functions."""
    if not any(tool.type == "function" for tool in tools):
        return
    if choice == "required" or (isinstance(choice, Kind) and choice.type == "function"):
        message = "tool_choice: functions are never called here; send 'auto' or 'none', or leave the tools out."
        raise BadRequest(message, "tool_choice", "unsupported_value")
