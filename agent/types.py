"""What travels between the stages of an answer. Frozen values only.

Knows nothing of HTTP or of OpenAI's shapes: `agent.wire` turns these into chunks and bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from retrieval.types import Document, EngineReport, Query, Ranked, SearchFilters

Role = Literal["system", "user", "assistant"]
Effort = Literal["low", "medium", "high"]
# Marks as [[1]](url), as that with an address that opens the page at the quote, or as [1].
CitationStyle = Literal["link", "quote", "numeric"]
# What becomes of a citation mark that no page proves: listed without a quote, left out, or marked for the eye.
LogForm = Literal["auto", "text", "json"]
Unsupported = Literal["annotate", "drop", "flag"]
Verbosity = Literal["low", "medium", "high"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, text only."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """What the client asked of the model's sampling; None leaves the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    logit_bias: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The JSON schema that an answer must keep to; such an answer carries no citation marks."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One request for an answer. The last message is what is asked; `search` False answers from the model alone.

    `must_search`: the client asked for a search by name, so it is not left out. `exact`: nothing is searched but the
    queries that come with the question.
    `brief`: a side request of a front end, such as for a title, answered with next to no thought.
    `max_answer_tokens` limits the visible answer, `max_total_tokens` reasoning and answer together.
    `max_seconds` is the time for all of it, at whose approach the answer is written without more thought.
    `stop` applies to the visible answer only (at most four strings). `think` False: it is answered without reasoning.
    `form` None: plain text. `place`: where the user is, in one line. The answer rests on at most `max_sources` pages,
    and at most `max_annotations` of its marks are listed; None sets no limit. What is remembered of it is for
    its `owner` alone.
    """

    messages: tuple[Message, ...]
    effort: Effort = "medium"
    search: bool = True
    must_search: bool = False
    brief: bool = False
    exact: bool = False
    filters: SearchFilters = field(default_factory=SearchFilters)
    sampling: Sampling = field(default_factory=Sampling)
    citation_style: CitationStyle = "link"
    show_reasoning: bool = True
    think: bool = True
    form: AnswerForm | None = None
    verbosity: Verbosity | None = None
    place: str = ""
    max_answer_tokens: int | None = None
    max_total_tokens: int | None = None
    max_seconds: float | None = None
    max_sources: int | None = None
    max_annotations: int | None = None
    stop: tuple[str, ...] = ()
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be searched: the question as it stands alone, and the queries.

    `further` are queries that only add to what those find: planned aspects, names that came up, and those of later
    rounds. `addresses` are pages that the user named. `search` False: nothing need be searched. `note` says what
    planning lacked; `usage` is what the model spent on it.
    """

    question: str
    language: str
    queries: tuple[Query, ...]
    note: str | None = None
    usage: "Usage" = field(default_factory=lambda: Usage())  # noqa: PLW0108  (defined below)
    further: tuple[Query, ...] = ()
    addresses: tuple[str, ...] = ()
    search: bool = True

    @property
    def all_queries(self) -> tuple[Query, ...]:
        """The queries, and then the further ones."""
        return (*self.queries, *self.further)

    @property
    def asked(self) -> tuple[str, ...]:
        """What passages are ranked by: the question first, then every query's text, each once."""
        return tuple(dict.fromkeys([self.question, *(query.text for query in self.all_queries)]))

    @property
    def beside_question(self) -> list[str]:
        """The texts of the queries that are not the question, nor the question with a name before it."""
        return [query.text for query in self.all_queries if not query.text.endswith(self.question)]


@dataclass(frozen=True, slots=True)
class Source:
    """One page in the context. `number` counts from 1 in rank order; `passages` are in rank order."""

    number: int
    document: Document
    passages: tuple[Ranked, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a source says: `quote` its words, fit to be shown, `exact` those of the page, letter for letter.

    `value` is the stems in it that so many sites have there.
    """

    number: int
    quote: str
    exact: str
    value: tuple[str, ...]
    sites: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two statements of sources that seem to give different values for one thing."""

    one: Statement
    other: Statement


@dataclass(frozen=True, slots=True)
class Context:
    """What the model is given. `dropped` counts ranked passages that did not fit.

    `disagreements` are what its sources disagree on, as it is told.
    """

    text: str
    sources: tuple[Source, ...]
    dropped: int = 0
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One asked page in the coverage record; `status` is "read" or "skipped"."""

    url: str
    status: Literal["read", "skipped"]
    reason: str | None
    ms: int
    bytes: int
    chars: int
    cached: bool = False


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What became of a page, as soon as that is known; what is copied later, or comes too late, is told in the end.

    `asked` is the address that a search gave; `title` is the page's own, or the search result's.
    """

    asked: str
    title: str
    record: PageRecord


@dataclass(frozen=True, slots=True)
class Coverage:
    """The honest record of what was searched and read. Counts are pages."""

    found: int = 0
    asked: int = 0
    read: int = 0
    used: int = 0
    cited: int = 0
    pages: tuple[PageRecord, ...] = ()
    engines: tuple[EngineReport, ...] = ()
    rounds: int = 0
    deadline_hit: bool = False
    notes: tuple[str, ...] = ()

    @property
    def cached(self) -> int:
        """How many of the pages that were read came from the cache."""
        return sum(page.cached for page in self.pages)

    @property
    def skipped(self) -> dict[str, int]:
        """How many pages were skipped, by reason."""
        counts: dict[str, int] = {}
        for page in self.pages:
            if page.reason is not None:
                counts[page.reason] = counts.get(page.reason, 0) + 1
        return counts


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of each stage of the reading. Stages overlap, so they need not add up."""

    search: int = 0
    fetch: int = 0
    extract: int = 0
    rank: int = 0
    pack: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """The outcome of the reading: what was planned, ranked, packed and covered.

    `unrelated`: nothing that was read has to do with the question, as far as the embedder can tell.
    `context_chars` is the length that the context could have had. `again` are the queries of each round after the
    first.
    """

    plan: Plan
    ranked: tuple[Ranked, ...]
    context: Context
    coverage: Coverage
    timings: Timings
    unrelated: bool = False
    context_chars: int = 0
    again: tuple[tuple[Query, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of all model calls of one request. `reasoning` is part of `completion`, `cached` part of `prompt`."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.reasoning + other.reasoning,
            self.cached + other.cached,
        )


@dataclass(frozen=True, slots=True)
class Thinking:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the visible answer, citation marks already in their final form."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """One readable line about the reading, in the language of the question, that ends with a newline; or none.

    `page`: what became of a page. `searching`: the queries that are asked now; `found`: the addresses that a search has
    given. `plan`: what is planned by now; `reading`: what came of it all, as the model is given it.
    """

    text: str
    searching: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    page: PageOutcome | None = None
    plan: Plan | None = None
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """A citation mark in the answer: `answer[start:end]` is the mark, in Unicode code points.

    `url` is the page's, or opens it at the quote where the marks themselves do.

    `support`, from 0 to 1, tells how well the page supports what the mark stands behind; None: that was not judged.
    `quote` are the words of the page that do so, letter for letter; None where it does not support it enough. `date` is
    the page's, ISO.
    """

    start: int
    end: int
    url: str
    title: str
    support: float | None = None
    quote: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedMark:
    """A citation mark as the model wrote it, and what became of it.

    `claim` is what it stands behind. `written` is the URL of the page that the model named, None for a number that no
    source has and for a mark that was added. `url`, `support` and `quote` are as in Annotation, of the page that the
    mark names now; `url` None: it names none, for it was dropped. `start` is where it stands, or stood, in the answer.
    """

    claim: str
    written: str | None
    url: str | None
    start: int
    support: float | None = None
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class Cited:
    """A source that the answer cites, in order of first appearance; `snippet` is its best passage."""

    url: str
    title: str
    date: str | None
    snippet: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer ended. `text` is the whole visible answer; `cited[i]` is the source of mark i+1.

    `checked` are its marks as the model wrote them, in their order: the first two hundred.
    `links_removed` counts addresses that were neither read nor named by the user, and so do not stand in it.
    `refusal`: why there is no answer in the form that was asked for; None where there is one.
    """

    text: str
    reasoning: str
    annotations: tuple[Annotation, ...]
    cited: tuple[Cited, ...]
    usage: Usage
    finish_reason: FinishReason
    coverage: Coverage | None
    refusal: str | None = None
    checked: tuple[CheckedMark, ...] = ()
    links_removed: int = 0


Event = Progress | Thinking | Text | Answer
