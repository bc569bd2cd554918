"""Cleans pages: from bytes to the text a reader would see, in worker processes that can be stopped.

One page of 172 kB can cost a cleaner 13 s of CPU, and a thread cannot be stopped: each page has a time and a memory
limit, and a worker that breaks them dies alone. A page is parsed once; its main text is found by `retrieval.main_text`,
its title and date by trafilatura and htmldate (Barbaresi, ACL 2021; JOSS 2020).
"""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import re
import resource
import signal
import sys
import time
import unicodedata
import warnings
from concurrent.futures import CancelledError
from dataclasses import replace
from importlib.machinery import ModuleSpec
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from types import TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from retrieval import freshness, pdf, signatures, stand_ins, urls
from retrieval.limits import CacheLimits, ExtractLimits
from retrieval.types import Document, Page, Skipped, SkipReason

log = logging.getLogger(__name__)

TAGS_BEFORE_PARSING = 40_000
# A tag of so many attributes: parsing takes the square of their number.
MANY_ATTRIBUTES = re.compile(r"<[a-zA-Z](?:[^<>\s]*+\s++){2000}")
PARENT_DEATH_SIGNAL = 1
# NUL and other controls, lone surrogates, zero-width and bidirectional controls, tag characters, variation selectors.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
MARKUP = re.compile(r"<[a-zA-Z!/?]")
BLANK_LINES = re.compile(r"\n\s*\n+")
FRAME = re.compile(r'File "(?:[^"\n]*/)?([^"/\n]+)", line (\d+)')
SPACES = re.compile(r"[^\S\n]+")


class Extractor:
    """A pool of cleaning workers. Use as an async context manager; closing it stops every worker at once."""

    def __init__(self, limits: ExtractLimits) -> None:
        self._limits = limits

    async def __aenter__(self) -> Self:
        context = _worker_context()
        self._pool = ProcessPool(
            max_workers=self._limits.workers,
            max_tasks=self._limits.tasks_per_worker,
            initializer=_prepare_worker,
            initargs=(self._limits.memory_bytes, self._limits.niceness),
            context=context,
        )
        # The first task starts the workers: now, so that the first question does not wait for them.
        await asyncio.wrap_future(await asyncio.to_thread(self._pool.schedule, readable, args=("",)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)

    async def extract(self, page: Page) -> Document | Skipped:
        """Clean one page. Cancelling stops the worker's task."""
        start = time.monotonic()
        try:
            future = self._pool.schedule(clean, args=(page, self._limits), timeout=self._limits.page_seconds)
            outcome: Document | Skipped = await asyncio.wrap_future(future)
        except TimeoutError:
            outcome = _skipped(page, SkipReason.PARSER_LIMIT, f"over {self._limits.page_seconds:g} s")
        except (ProcessExpired, MemoryError, RecursionError) as error:
            outcome = _skipped(page, SkipReason.PARSER_LIMIT, repr(error))
        except Exception as error:  # noqa: BLE001
            # A fault of a parser or of ours, in a process of its own: it costs the page, not the request.
            log.warning("a page could not be cleaned: %s in %s", type(error).__name__, _place(error))
            outcome = _skipped(page, SkipReason.PARSER_LIMIT, type(error).__name__)
        ms = page.ms + round((time.monotonic() - start) * 1000)
        if isinstance(outcome, Document):
            outcome = replace(outcome, fresh_seconds=freshness.unasked_seconds(page.headers, CacheLimits()))
        return replace(outcome, ms=ms, bytes=len(page.body))


def prepare() -> None:
    """Begin to load what the workers need, in a process of its own, while this one goes on. Blocks shortly."""
    _worker_context()
    forkserver.ensure_running()


def _worker_context() -> ForkServerContext:
    """Return how workers are started: ready, and without running the program's main file once more each."""
    # For a second and 45 MB, and they need nothing of it. What has this name is not run again.
    main = sys.modules["__main__"]
    if main.__spec__ is None:
        main.__spec__ = ModuleSpec("__main__", None)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["retrieval.preload"])
    return context


def clean(page: Page, limits: ExtractLimits) -> Document | Skipped:
    """Turn the bytes of a page into a document. Runs in a worker process; blocks."""
    from retrieval.decode import decode

    if pdf.is_pdf(page.body):
        return _pdf(page, limits)
    if kind := "called a PDF, but none" if page.content_type in pdf.TYPES else signatures.binary_kind(page.body):
        return _skipped(page, SkipReason.WRONG_TYPE, kind)
    html = decode(page.body, page.charset)
    if html is None:
        return _skipped(page, SkipReason.BAD_ENCODING, "no encoding fits")
    if "\x00" in html[:1000] and html.count("\x00") > len(html) / 100:
        return _skipped(page, SkipReason.WRONG_TYPE, "binary data")
    plain = page.content_type in ("text/plain", "text/markdown")
    if len(MARKUP.findall(html)) > TAGS_BEFORE_PARSING or (not plain and MANY_ATTRIBUTES.search(html)):
        return _skipped(page, SkipReason.PARSER_LIMIT, "too many tags or attributes")
    return _finished(page, _plain(html) if plain else _main_content(html, page.url), limits)


def _pdf(page: Page, limits: ExtractLimits) -> Document | Skipped:
    try:
        return _finished(page, pdf.pdf_fields(page.body, limits), limits)
    except pdf.UnreadablePdf as error:
        return _skipped(page, error.reason, str(error))


def _finished(page: Page, fields: dict[str, Any], limits: ExtractLimits) -> Document | Skipped:
    text = stand_ins.without_paywall(readable(fields["text"])[: limits.max_chars])
    if len(text) < limits.min_chars:
        return _skipped(page, SkipReason.EMPTY, f"{len(text)} characters after cleaning")
    if kind := stand_ins.stand_in(fields["title"], text):
        return _skipped(page, SkipReason.EMPTY, kind)
    return _document(page, fields, text, limits)


def readable(text: str) -> str:
    """Remove what no reader sees, fold spaces and blank lines, and compose characters (NFC)."""
    text = INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n"))
    text = BLANK_LINES.sub("\n\n", SPACES.sub(" ", unicodedata.normalize("NFC", text)))
    return text.strip()


def _plain(text: str) -> dict[str, Any]:
    first = next((line.strip("# \t") for line in text.splitlines() if line.strip()), "")
    return {"text": text, "title": first, "date": None}


def _main_content(html: str, url: str) -> dict[str, Any]:
    import trafilatura

    from retrieval.main_text import main_text

    tree = trafilatura.load_html(html)
    if tree is None:
        return {"text": "", "title": "", "date": None}
    return {"text": main_text(tree), "title": _title(tree), "date": _date(tree, url)}


def _title(tree: Any) -> str:  # noqa: ANN401  (lxml's elements have no types)
    from trafilatura.metadata import extract_title

    named = tree.xpath("//meta[@property='og:title']/@content")
    return str(named[0] if named and named[0].strip() else extract_title(tree) or tree.findtext(".//title") or "")


def _date(tree: Any, url: str) -> str | None:  # noqa: ANN401
    from htmldate import find_date

    # From the page's metadata only: a guess from its text is wrong too often and costs as much as the cleaning.
    try:
        found: str | None = find_date(tree, extensive_search=False, original_date=True, url=url)
    except Exception:  # noqa: BLE001  (htmldate fails on odd trees; a page whose date is not known is a page still)
        return None
    return found


def _document(page: Page, fields: dict[str, Any], text: str, limits: ExtractLimits) -> Document:
    from retrieval.language import detect

    title = " ".join(readable(fields["title"] or page.hit.title).split())[: limits.title_chars]
    return Document(
        url=page.url,
        title=title or urls.site(page.url),
        text=text,
        site=urls.site(page.url),
        date=page.hit.date or fields["date"],
        language=detect(text[:1000]),
    )


def _place(error: BaseException) -> str:
    """Name the file and line in the worker where an error arose, not its message, which may hold text of the page."""
    frames = FRAME.findall(str(error.__cause__))
    return ":".join(frames[-1]) if frames else "an unknown place"


def _skipped(page: Page, reason: SkipReason, detail: str) -> Skipped:
    return Skipped(page.hit.url, reason, detail, 200, page.ms, len(page.body))


def _prepare_worker(memory_bytes: int, niceness: int) -> None:
    """Bound the worker's memory, let the server go first, leave Ctrl-C to the parent, and die with the parent."""
    # Parsers warn of what is wrong with a page, which is nothing that the operator can mend.
    warnings.simplefilter("ignore")
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


__all__ = ["CancelledError", "Extractor", "clean", "prepare", "readable"]
