"""The fields that several requests share: what every body obeys, search filters, places, forms of an answer. Pure.

Fields that are not named in a request are ignored and never passed on to a model.
"""

import json
import re
import warnings
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from jsonschema import Draft202012Validator, SchemaError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agent.errors import BadRequest
from agent.types import AnswerForm, CitationStyle, Effort
from retrieval.types import Recency, SearchFilters

MAX_QUESTION_CHARS = 32_000
MAX_DOMAINS = 20
MAX_SCHEMA_CHARS = 100_000
# Those who read a schema descend it by recursion.
MAX_SCHEMA_DEPTH = 40
INT64 = 2**63

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
# Where scholars publish and where American companies report, for Perplexity's field search_mode.
SCHOLARLY = (
    "arxiv.org", "pubmed.ncbi.nlm.nih.gov", "ncbi.nlm.nih.gov", "doi.org", "semanticscholar.org", "nature.com",
    "science.org", "springer.com", "sciencedirect.com", "wiley.com", "jstor.org", "plos.org", "biorxiv.org",
    "medrxiv.org", "acm.org", "ieee.org", "aclanthology.org", "openreview.net", "cyberleninka.ru", "elibrary.ru",
    "mathnet.ru",
)  # fmt: skip
FILINGS = ("sec.gov",)
WORD_CHARACTER = re.compile(r"[^\W_]")
# How the document says what check_text holds.
WORDED: Any = {"pattern": WORD_CHARACTER.pattern}
NULL: Any = {"type": "null"}
DAY: Any = {"format": "date"}
FORMS: Any = {"enum": ["text", "json_object", "json_schema"]}
# A host, or an address with its host.
DOMAIN = re.compile(r"\s*(?:https?://)?([^\s/@?#:-][^\s/@?#:]*)(?::[0-9]+)?(?:/\S*)?\s*", re.IGNORECASE)


def _nullable(schema: dict[str, Any]) -> None:
    """Say that every field which may be left out may be null too."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if name not in required:
            said = {key: field.pop(key) for key in ("title", "description", "default", "examples") if key in field}
            kinds = field["anyOf"] if list(field) == ["anyOf"] else [field]
            schema["properties"][name] = {"anyOf": [*(kind for kind in kinds if kind != NULL), NULL], **said}


def only(value: object) -> WithJsonSchema:
    """Document that a field takes one value alone; others are refused with a message that names the remedy."""
    return WithJsonSchema({"const": value})


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop what is null; 3.0 is an integer in JSON, whose numbers are of one kind."""
    whole = {name: int(value) for name, value in fields.items() if isinstance(value, float) and value.is_integer()}
    return {name: value for name, value in {**fields, **whole}.items() if value is not None}


class Body(BaseModel):
    """What every request shares: null is absent, unknown fields are ignored, "1" is no number and 1 is not true."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, strict=True, allow_inf_nan=False, json_schema_extra=_nullable
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: object) -> object:
        if not isinstance(data, dict):
            raise ValueError("must be a JSON object")
        nested = data.get("extra_body")
        return _without_nulls({**nested, **data} if isinstance(nested, dict) else data)


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


Host = Annotated[str, Field(json_schema_extra={"pattern": f"^{DOMAIN.pattern}$"})]
Filtered = Annotated[str, Field(json_schema_extra={"pattern": rf"^\s*-?{DOMAIN.pattern}$"})]


def listed(value: object) -> object:
    """Read one string as a list of it."""
    return [value] if isinstance(value, str) else value


class FilterFields(Body):
    """What results must satisfy, in Perplexity's names."""

    search_domain_filter: list[Filtered] = Field(
        default=[],
        max_length=MAX_DOMAINS,
        description="only these domains; with a minus before it, not this one",
        examples=[["example.org", "-ads.example.org"]],
    )
    search_recency_filter: Recency | None = Field(default=None, description="only pages this young")
    search_after_date_filter: str | None = Field(
        default=None,
        description="only pages from this day on, as 2026-01-31 or 01/31/2026",
        examples=["2026-01-31"],
        json_schema_extra=DAY,
    )
    search_before_date_filter: str | None = Field(
        default=None, description="only pages up to this day", examples=["2026-01-31"], json_schema_extra=DAY
    )

    def filters(self) -> SearchFilters:
        """Turn the fields into filters. Raises BadRequest."""
        after = _iso_date(self.search_after_date_filter, "search_after_date_filter")
        before = _iso_date(self.search_before_date_filter, "search_before_date_filter")
        wanted, excluded = _domains(self.search_domain_filter)
        return SearchFilters(wanted, excluded, self.search_recency_filter, after, before)


Hosts = Annotated[list[Host], Field(max_length=MAX_DOMAINS)]
Hostnames = Annotated[Hosts, BeforeValidator(listed, json_schema_input_type=str | Hosts)]


class AnswerFields(FilterFields):
    """What both ways of asking for an answer take beyond OpenAI's fields: those of Perplexity, Jina and our own."""

    disable_search: bool = Field(default=False, description="answer from the model alone")
    search_mode: Literal["web", "academic", "sec"] = Field(
        default="web", description="academic: scholarly sites are read first; sec: sec.gov is read first"
    )
    only_hostnames: Hostnames = Field(default=[], description="only these hosts (Jina's name)")
    bad_hostnames: Hostnames = Field(default=[], description="never these hosts (Jina's name)")
    boost_hostnames: Hostnames = Field(default=[], description="these hosts are read first (Jina's name)")
    max_returned_urls: int | None = Field(
        default=None, ge=1, le=100, description="the answer rests on at most so many pages"
    )
    max_annotations: int | None = Field(
        default=None, ge=0, le=1_000, description="at most so many citations are listed; marks in the text stay"
    )
    max_time: float | None = Field(
        default=None, gt=0, le=3_600, description="seconds for the whole answer; at their end it is written unthought"
    )
    citation_style: CitationStyle | None = Field(
        default=None, description="marks in the answer: link for [[1]](url), numeric for [1]"
    )

    def filters(self) -> SearchFilters:
        """Turn the fields into filters. Raises BadRequest."""
        base = super().filters()
        modes = {"web": (), "academic": SCHOLARLY, "sec": FILINGS}
        return SearchFilters(
            (*base.domains, *_hosts(self.only_hostnames, "only_hostnames")),
            (*base.excluded_domains, *_hosts(self.bad_hostnames, "bad_hostnames")),
            base.recency,
            base.after,
            base.before,
            preferred_domains=(*_hosts(self.boost_hostnames, "boost_hostnames"), *modes[self.search_mode]),
        )


def answer_form(kind: str, schema: object, param: str) -> AnswerForm | None:
    """Read the form of an answer; None for plain text. `schema` goes with json_schema. Raises BadRequest."""
    if kind == "text":
        return None
    if kind == "json_object":
        return AnswerForm({"type": "object"})
    if kind != "json_schema":
        message = f"{param}.type: must be text, json_object or json_schema, not {kind!r}."
        raise BadRequest(message, f"{param}.type", "unsupported_value")
    if not isinstance(schema, dict):
        raise BadRequest(f"{param}: json_schema needs a JSON schema, as an object.", param)
    _check_schema(schema, param)
    return AnswerForm(schema)


def _check_schema(schema: dict[str, Any], param: str) -> None:
    if _is_deeper(schema, MAX_SCHEMA_DEPTH):
        raise BadRequest(f"{param}: the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels.", param)
    try:
        chars = len(json.dumps(schema, allow_nan=False))
        # Python warns of patterns that other languages, and later versions of its own, read in another way.
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        message = f"{param}: not a valid JSON schema at {error.json_path}: {error.message[:200]}."
        raise BadRequest(message, param) from error
    except (RecursionError, OverflowError) as error:
        raise BadRequest(f"{param}: the schema holds a pattern that cannot be read.", param) from error
    except ValueError as error:
        raise BadRequest(f"{param}: NaN and Infinity are no JSON; take them out of the schema.", param) from error
    if chars > MAX_SCHEMA_CHARS:
        raise BadRequest(f"{param}: the schema is longer than {MAX_SCHEMA_CHARS} characters.", param)


def _is_deeper(value: object, levels: int) -> bool:
    """Tell whether lists and objects are nested more than so many levels, without descending further."""
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _inside(outer)]
    return bool(layer)


def _inside(value: object) -> list[object]:
    """List the lists and objects right inside one."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in inner if isinstance(one, dict | list)]


def refuse_functions(tools: Sequence[Kind], choice: str | Kind) -> None:
    """Refuse what must end in a call of a function: this server calls none of a client's functions."""
    if not any(tool.type == "function" for tool in tools):
        return
    if choice == "required" or (isinstance(choice, Kind) and choice.type == "function"):
        message = "tool_choice: functions are never called here; send 'auto' or 'none', or leave the tools out."
        raise BadRequest(message, "tool_choice", "unsupported_value")


def check_text(text: str, param: str, limit: int) -> None:
    """Raise BadRequest for a text that is too long or without a word."""
    if len(text) > limit:
        message = f"{param}: {len(text)} characters are too many; shorten it to at most {limit}."
        raise BadRequest(message, param, "string_above_max_length")
    if not WORD_CHARACTER.search(text):
        raise BadRequest(f"{param}: there is nothing to answer; write a question with at least one word.", param)


def not_text(kind: str, param: str) -> BadRequest:
    """Say that a part of a message is not read here."""
    return BadRequest(f"{param}: only text is read here, not {kind!r}.", param, "unsupported_content")


def parts(content: Any) -> Any:  # noqa: ANN401  (whatever a client sends)
    """Read a string as one part; null is a turn without text (a call of a tool)."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError("must be a string or a list of parts")
    return content


def _domains(entries: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part wanted domains from excluded ones, which begin with a minus."""
    excluded = [entry.strip().removeprefix("-") for entry in entries if entry.strip().startswith("-")]
    wanted = [entry for entry in entries if not entry.strip().startswith("-")]
    return _hosts(wanted, "search_domain_filter"), _hosts(excluded, "search_domain_filter")


def _hosts(entries: Sequence[str], param: str) -> tuple[str, ...]:
    return tuple(_host(entry, param) for entry in entries)


def _host(entry: str, param: str) -> str:
    found = DOMAIN.fullmatch(entry)
    if found is None:
        raise BadRequest(f"{param}: {entry[:100]!r} is no domain; write it as in 'example.org'.", param)
    return found[1].lower()


def _iso_date(text: str | None, param: str) -> str | None:
    """Read a date as Perplexity (%m/%d/%Y) or ISO writes it. Raises BadRequest."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%m/%d/%Y").date() if "/" in text else date.fromisoformat(text)
    except ValueError:
        message = f"{param}: write the date as 2026-01-31 or 01/31/2026."
        raise BadRequest(message, param) from None
    return day.isoformat()
