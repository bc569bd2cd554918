"""What tells of an answer's sources: the lists beside it, its marks, and what it cost."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from agent.text_fragment import at_quote, without_quote
from agent.types import Annotation, Answer, CheckedMark, Cited, Usage
from agent.wire.coverage_record import coverage_body
from agent.wire.sse import Json


def sources(answer: Answer) -> Json:
    """Write the keys beside `choices` that tell of the search; none when nothing was searched."""
    if answer.coverage is None:
        return {}
    titles = unique_titles(answer.cited)
    return {
        "citations": [cited.url for cited in answer.cited],
        "search_results": [_search_result(cited, titles[cited.url]) for cited in answer.cited],
        "unsupported": [_unsupported(mark) for mark in answer.checked if mark.support is not None and not mark.quote],
        "coverage": coverage_body(answer.coverage),
    }


def annotation_list(answer: Answer) -> list[Json]:
    """Write the citation marks as chat completions have them."""
    return [{"type": "url_citation", "url_citation": mark} for mark in marks(answer)]


def marks(answer: Answer) -> list[Json]:
    """Write where the citation marks stand, and what proves them.

    Offsets count Unicode code points, the end is exclusive.
    """
    titles = unique_titles((*answer.cited, *answer.annotations))
    return [
        {"start_index": mark.start, "end_index": mark.end, "url": mark.url, "title": titles[_page(mark)]} | _proof(mark)
        for mark in answer.annotations
    ]


def _proof(mark: Annotation) -> Json:
    """Write what beside OpenAI's fields tells of a mark's page; of its support nothing where it was not looked at."""
    dated: Json = {"date": mark.date} if mark.date else {}
    if mark.support is None:
        return dated
    opened = mark.url if mark.quote is None else at_quote(_page(mark), mark.quote)
    return {"support": round(mark.support, 3), "quote": mark.quote, "quote_url": opened} | dated


def _unsupported(mark: CheckedMark) -> Json:
    """Write a mark that no page proves: what it stood behind, where, and the page that the model named."""
    told = {"claim": mark.claim, "index": mark.start, "url": mark.written, "support": round(mark.support or 0.0, 3)}
    return told | {"quote": None}


def unique_titles(pages: Iterable[Cited | Annotation]) -> dict[str, str]:
    """Give every URL a title of its own: front ends number sources by distinct titles."""
    titles: dict[str, str] = {}
    taken: set[str] = set()
    for page in pages:
        if _page(page) not in titles:
            titles[_page(page)] = _free_title(page.title, page.url, taken)
            taken.add(titles[_page(page)])
    return titles


def usage_body(usage: Usage) -> Json:
    """Write the tokens of all model calls of a request."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _search_result(cited: Cited, title: str) -> Json:
    result = {"title": title, "url": cited.url, "date": cited.date, "last_updated": None, "snippet": cited.snippet}
    return result | {"source": "web"}


def _page(page: Cited | Annotation) -> str:
    """Return the address of a page, where a mark's own opens it at its quote."""
    return without_quote(page.url)


def _free_title(title: str, url: str, taken: set[str]) -> str:
    host = _host(url)
    title = " ".join(title.split()) or host
    number = 1
    free = title
    while free in taken:
        number += 1
        free = f"{title} ({host})" if number == 2 else f"{title} ({host}, {number - 1})"
    return free


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url
