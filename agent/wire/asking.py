"""What both ways of asking for an answer share: their fields, what stands beside them, their Question. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from agent.side_requests import TASKS, is_side_request
from agent.types import CitationStyle, Effort, Message, Question
from agent.wire.conversation import Said, messages
from agent.wire.fields import has_word
from agent.wire.filters import FilterFields, Hostnames, hosts
from agent.wire.offers import Offer, find_offer
from agent.wire.search_options import EFFORT_STEPS, EffortStep, Kind, WebSearchOptions, is_search, refuse_functions
from retrieval.types import SearchFilters

# Where scholars publish and where American companies report, for Perplexity's field search_mode.
SCHOLARLY = (
    "arxiv.org", "pubmed.ncbi.nlm.nih.gov", "ncbi.nlm.nih.gov", "doi.org", "semanticscholar.org", "nature.com",
    "science.org", "springer.com", "sciencedirect.com", "wiley.com", "jstor.org", "plos.org", "biorxiv.org",
    "medrxiv.org", "acm.org", "ieee.org", "aclanthology.org", "openreview.net", "cyberleninka.ru", "elibrary.ru",
    "mathnet.ru",
)  # fmt: skip
FILINGS = ("sec.gov",)


@dataclass(frozen=True, slots=True)
class Hints:
    """What comes beside the body: the headers X-Task (the name of a side request) and X-Search ("off")."""

    task: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the server's settings say of every request; `side_markers` mark side requests beside those known."""

    effort: Effort
    style: CitationStyle
    side_markers: tuple[str, ...] = ()


class AnswerFields(FilterFields):
    """What both ways of asking for an answer take beyond OpenAI's fields: those of Perplexity, Jina and our own."""

    model: str = Field(examples=["wellread"])
    stream: bool = False
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
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
        default=None,
        description="marks in the answer: link for [[1]](url), quote for the same with an address that opens the page "
        "at the words that prove it, numeric for [1]",
    )

    def filters(self) -> SearchFilters:
        """Turn the fields into filters. Raises BadRequest."""
        base = super().filters()
        modes = {"web": (), "academic": SCHOLARLY, "sec": FILINGS}
        return replace(
            base,
            domains=(*base.domains, *hosts(self.only_hostnames, "only_hostnames")),
            excluded_domains=(*base.excluded_domains, *hosts(self.bad_hostnames, "bad_hostnames")),
            preferred_domains=(*hosts(self.boost_hostnames, "boost_hostnames"), *modes[self.search_mode]),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks, by whichever API it came; `param` names its turns, `off`: it wants no search."""

    turns: Sequence[Said]
    param: str
    tools: Sequence[Kind]
    tool_choice: str | Kind
    step: EffortStep | None
    options: WebSearchOptions
    max_answer_tokens: int | None = None
    off: bool = False


def common_question(request: AnswerFields, asked: Asked, defaults: Defaults, hints: Hints) -> Question:
    """Make the part of a Question that both APIs share. Raises BadRequest."""
    offer = find_offer(request.model)
    refuse_functions(asked.tools, asked.tool_choice)
    told = messages(asked.turns, asked.param)
    brief = _is_brief(request, asked, told, defaults, hints)
    off = asked.off or request.disable_search or hints.search.lower() == "off" or brief
    last = asked.turns[-1]
    return Question(
        messages=told,
        effort=_effort(offer, asked, defaults.effort),
        search=offer.search and not off and last.role == "user" and has_word(last.text),
        must_search=asked.tool_choice != "none" and any(is_search(tool.type) for tool in asked.tools),
        brief=brief,
        filters=_located(request.filters(), asked.options),
        citation_style=request.citation_style or defaults.style,
        think=asked.step != "none",
        place=asked.options.user_location.said,
        max_answer_tokens=asked.max_answer_tokens,
        max_seconds=request.max_time,
        max_sources=request.max_returned_urls,
        max_annotations=request.max_annotations,
    )


def _is_brief(request: AnswerFields, asked: Asked, told: Sequence[Message], defaults: Defaults, hints: Hints) -> bool:
    limit = asked.max_answer_tokens
    return hints.task in TASKS or is_side_request(told, defaults.side_markers, stream=request.stream, max_tokens=limit)


def _effort(offer: Offer, asked: Asked, default: Effort) -> Effort:
    """Choose the effort: quick, deep and chat have their own; else the request's, else the server's."""
    if offer.effort is not None:
        return offer.effort
    if asked.step is not None:
        return EFFORT_STEPS[asked.step]
    return asked.options.search_context_size or default


def _located(filters: SearchFilters, options: WebSearchOptions) -> SearchFilters:
    """Add the country that a search is to be made from."""
    country = options.user_location.country
    return filters.at(country.lower()) if country else filters
