"""The environment as one frozen value: every WELLREAD_ variable, its default and what it is for; the effort profiles.

Knows the names of engines and networks only as text: `agent.build` and `retrieval.guard` know what they mean.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent import former_settings
from agent.errors import BadSettings
from agent.types import CitationStyle, Effort, LogForm, Unsupported

PREFIX = "WELLREAD_"
MAX_PAGES = 100


@dataclass(frozen=True, slots=True)
class EffortProfile:
    """What one step of the dial buys: at most so many pages in each of `rounds` rounds of searching and reading.

    `queries`: how many searches a model may plan besides the question itself; where it is 0, names in the first results
    are not searched either. `read_factor` multiplies the deadline of the reading. `seconds`: when thinking has taken so
    long that the whole answer would take longer, it is ended.
    """

    queries: int
    pages: int
    rounds: int
    read_factor: float
    source_tokens: int
    thinking_tokens: int
    answer_tokens: int
    seconds: float


EFFORTS: Mapping[Effort, EffortProfile] = {
    "low": EffortProfile(0, 15, 1, 0.6, 4_000, 1_024, 1_024, 60),
    "medium": EffortProfile(4, MAX_PAGES, 1, 1.0, 8_000, 4_096, 2_048, 180),
    "high": EffortProfile(6, MAX_PAGES, 3, 1.5, 16_000, 16_384, 4_096, 540),
}


def _split(value: object, separator: str = ",") -> object:
    """Read a variable as its parts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(separator) if part.strip())
    return value


def _address(value: str | None) -> str | None:
    """Take only an HTTP address, without the slash at its end."""
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/") if value is not None else None


def cache_dir() -> Path:
    """Return the folder of this program in the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "wellread"


Phrases = Annotated[tuple[str, ...], NoDecode, BeforeValidator(lambda value: _split(value, "|"))]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Address = Annotated[str | None, AfterValidator(_address)]


class Settings(BaseSettings):
    """Everything that can be set, each from the variable WELLREAD_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1", description="address to listen on; anything but a loopback address needs WELLREAD_API_KEYS"
    )
    port: int = Field(default=8000, description="port to listen on; 0 takes a free one and prints it", ge=0, le=65_535)
    api_keys: Secrets = Field(
        default=(), description="comma-separated keys that clients may use; none leaves the server open"
    )
    cors_origins: Words = Field(
        default=(),
        description="comma-separated origins of browser pages that may call; unset: any with a key, else local ones",
    )
    model_url: Address = Field(
        default=None, description="OpenAI-compatible base URL ending in /v1; unset runs the embedded model"
    )
    model_name: str | None = Field(
        default=None, description="the model's id at WELLREAD_MODEL_URL; unset takes the first one listed there"
    )
    model_api_key: SecretStr | None = Field(default=None, description="key for WELLREAD_MODEL_URL")
    model_profile: Literal["auto", "r1", "deepseek-api", "plain"] = Field(
        default="auto",
        description="how to talk to the model: r1 (it thinks of itself), deepseek-api, plain (it is asked to think "
        "first); auto tells by its id and a first short reply",
    )
    model_think: Literal["on", "off"] = Field(
        default="on", description="off: a plain model is not asked to think first, for one that cannot"
    )
    embedded_model: Literal["1.5b", "0.5b", "echo"] = Field(
        default="1.5b",
        description="which embedded model runs without WELLREAD_MODEL_URL; echo is a scripted one, to try clients",
    )
    models_dir: Path = Field(
        default_factory=cache_dir,
        description="folder that keeps embedded weights (default: wellread in the user's cache folder)",
    )
    search: Words = Field(
        default=("ddgs",), description="comma-separated search engines, in order of preference", min_length=1
    )
    searxng_url: Address = Field(default=None, description="address of a SearXNG server, for the engine searxng")
    brave_api_key: SecretStr | None = Field(
        default=None, description="key for the Brave Search API, for the engine brave"
    )
    deepseek_api_key: SecretStr | None = Field(
        default=None, description="key for DeepSeek's search API, for the engine deepseek"
    )
    serper_api_key: SecretStr | None = Field(default=None, description="key for the Serper API, for the engine serper")
    tavily_api_key: SecretStr | None = Field(default=None, description="key for the Tavily API, for the engine tavily")
    local_dir: Path | None = Field(
        default=None, description="folder of your own HTML, Markdown, PDF and text files, for the engine local"
    )
    embedder: Literal["auto", "embedded", "sentence-transformers", "openai", "hashing", "none"] = Field(
        default="auto", description="what computes vectors for the ranking; none ranks by words alone"
    )
    embedder_model: str | None = Field(
        default=None,
        description="name of the embedding model, for sentence-transformers (unset: its default one) and openai",
    )
    embedder_url: Address = Field(
        default=None, description="base URL ending in /v1 of a server with /embeddings, for the embedder openai"
    )
    embedder_api_key: SecretStr | None = Field(default=None, description="key for WELLREAD_EMBEDDER_URL")
    reranker: Literal["none", "sentence-transformers", "openai"] = Field(
        default="none", description="what orders the best passages once more"
    )
    reranker_model: str | None = Field(default=None, description="name of the reranking model")
    reranker_url: Address = Field(
        default=None, description="base URL ending in /v1 of a server with /rerank, for the reranker openai"
    )
    reranker_api_key: SecretStr | None = Field(default=None, description="key for WELLREAD_RERANKER_URL")
    pages: int = Field(default=50, description="how many pages to read for one question", ge=1, le=MAX_PAGES)
    read_seconds: float = Field(default=8.0, description="deadline of the reading of pages, in seconds", gt=0, le=120)
    effort: Effort = Field(default="medium", description="default effort of the model wellread: low, medium or high")
    cache: SecretStr = Field(
        default=SecretStr("sqlite"),
        description="where searches, pages and vectors are kept: sqlite, a path for it, a redis:// address, or off",
    )
    shared: SecretStr | None = Field(
        default=None,
        description="redis:// address of what replicas share: engines and sites to leave alone, places at each site, "
        "limits of keys; unset: each process for itself",
    )
    memory: SecretStr = Field(
        default=SecretStr("off"),
        description="where what was read is kept to be searched beside the web: a folder's path, a Qdrant server as "
        "qdrant+http://host:6333 (its key before the host, as in qdrant+https://:KEY@host:6333), or off",
    )
    allow_nets: Words = Field(
        default=(),
        description="comma-separated CIDR or CIDR:port to fetch from besides public addresses",
    )
    robots: Literal["respect", "ignore"] = Field(
        default="respect", description="whether pages that a site's robots.txt forbids are left out: respect or ignore"
    )
    max_concurrent: int = Field(default=4, description="how many questions are worked on at once", ge=1)
    max_queue: int = Field(default=16, description="how many questions may wait; beyond that clients get 429", ge=0)
    key_requests_per_minute: int | None = Field(
        default=None,
        description="how many requests a key, or all who come without one, may make in a minute; unset sets no limit",
        ge=1,
    )
    key_concurrent: int | None = Field(
        default=None,
        description="how many requests of a key, or of all without one, may run at once; unset sets no limit",
        ge=1,
    )
    repeat_seconds: float = Field(
        default=120.0,
        description="how long an answer is kept for a client that repeats its request by itself; 0 keeps none",
        ge=0,
        le=3_600,
    )
    recall_seconds: float = Field(
        default=3_600.0,
        description="how long an answer is kept for a client that sends its id in place of its text; 0 keeps none",
        ge=0,
        le=86_400,
    )
    run_seconds: float = Field(
        default=0.0,
        description="how long the record of a run is kept for its owner, who asks for it by its id; 0 keeps none",
        ge=0,
        le=86_400,
    )
    log_queries: bool = Field(default=False, description="whether questions appear in the log")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what the log tells: debug, info (a line for each request), warning or error"
    )
    log_format: LogForm = Field(
        default="auto",
        description="how the log is written: text, json (one object a line), or auto: text on a terminal",
    )
    otlp_url: str | None = Field(
        default=None,
        description="where traces go by OTLP over HTTP, such as http://localhost:4318/v1/traces; unset: nowhere",
    )
    citation_style: CitationStyle = Field(
        default="link",
        description="marks in answers: link ([[1]](url)), quote (the same, and the address opens the page at the words "
        "that prove it) or numeric ([1])",
    )
    unsupported: Unsupported = Field(
        default="drop",
        description="what becomes of a citation mark when no page that was read says what it stands behind: drop, flag "
        "(it stays, with [?] after it) or annotate (it stays, and its annotation has no quote)",
    )
    add_citations: Literal["on", "off"] = Field(
        default="off", description="on: a sentence to which the model put no mark gets one where a page says it"
    )
    side_markers: Phrases = Field(
        default=(),
        description="beginnings of further side requests (titles and the like), which search nothing, separated by |",
    )
    max_body_bytes: int = Field(default=2_000_000, description="largest request body taken, in bytes", ge=1_000)
    drain_seconds: float = Field(
        default=25.0,
        description="how long answers that are under way may take after SIGTERM, in seconds; new ones are refused",
        ge=0,
    )
    answer_seconds: float = Field(default=600.0, description="deadline of a whole answer, in seconds", gt=0)

    @model_validator(mode="after")
    def _open_only_at_home(self) -> "Settings":
        if not self.api_keys and not is_loopback(self.host):
            raise ValueError(
                f"{PREFIX}HOST: {self.host} can be reached by others and no key is set. "
                f"Set {PREFIX}API_KEYS, or listen on 127.0.0.1."
            )
        return self


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def variables() -> dict[str, str]:
    """Name every variable and what it is for, in the order of the README."""
    return {PREFIX + name.upper(): field.description or "" for name, field in Settings.model_fields.items()}


def load_settings(**given: object) -> Settings:
    """Read the environment, former names too; `given` values (from the command line) come first. Raises BadSettings."""
    if told := former_settings.unknown(os.environ, PREFIX, variables()):
        raise BadSettings(told)
    renamed = former_settings.understood(os.environ).values
    earlier = {name.removeprefix(PREFIX).lower(): value for name, value in renamed.items()}
    try:
        return Settings(**earlier | given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings("\n".join(_complaint(dict(one)) for one in error.errors(include_input=False))) from None


def outdated() -> tuple[str, ...]:
    """Say which former names the environment uses, and what they are called now. Raises BadSettings."""
    return former_settings.understood(os.environ).warnings


def _complaint(error: Mapping[str, Any]) -> str:
    """Say what is wrong with one variable, without its value: it may be a secret."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = PREFIX + str(error["loc"][0]).upper()
    return f"{name}: {message}. It is: {variables().get(name, 'not a setting')}."
