"""Limits of the stages of retrieval: small frozen values with units in their names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How far to search. `wanted` distinct URLs end the search early: `wanted_a_page` for each page to be read.

    The first `engines_at_once` healthy engines are asked together, the others when those fail or run dry. Of one site
    the first `pages_a_site` keep their place, unless the site was asked for; the rest go to the end of the list. Up
    to `bridges` names in the first results and `clauses` of a long question are searched further, each until it has
    found `further_wanted`.
    """

    wanted: int = 80
    wanted_a_page: float = 1.6
    bridges: int = 6
    clauses: int = 4
    further: int = 12
    further_wanted: int = 20
    engines_at_once: int = 2
    pages_a_site: int = 12
    result_pages: int = 16
    result_pages_at_once: int = 4
    engine_seconds: float = 6.0
    total_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class CooldownLimits:
    """How long a failing engine is left alone: the first time and at most, doubled in between.

    `refused` is for engines that turn us away without naming a time, `fault` for any other failure. A time that the
    engine names is honored up to `told_most_seconds`. Silence of `silent_seconds` is a failure too. Failures of an
    engine that nobody asks any more are forgotten after `kept_seconds`.
    """

    refused_first_seconds: float = 30.0
    refused_most_seconds: float = 1_800.0
    fault_first_seconds: float = 2.0
    fault_most_seconds: float = 8.0
    told_most_seconds: float = 3_600.0
    silent_seconds: float = 4.0
    kept_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """How large the reply of a search API may be, and how much of an error is looked at."""

    body_bytes: int = 4_000_000
    error_bytes: int = 100_000


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How hard to fetch. `pdf_bytes` is for a PDF instead of `wire_bytes` and `body_bytes`.

    A page that takes `hedge_seconds` to come, or `hedge_extract_seconds` to be cleaned (waiting for a worker is part of
    it), no longer holds back the next in reserve. Of connections that nobody uses `idle` are kept, each for
    `keep_alive_seconds`, or twice that at most: the pool looks at every one of them for each page.
    """

    wanted: int = 50
    total_seconds: float = 8.0
    page_seconds: float = 7.0
    hedge_seconds: float = 1.0
    hedge_extract_seconds: float = 3.0
    at_once: int = 48
    per_host: int = 4
    idle: int = 16
    keep_alive_seconds: float = 2.0
    redirects: int = 5
    url_chars: int = 4096
    wire_bytes: int = 5_000_000
    body_bytes: int = 8_000_000
    pdf_bytes: int = 20_000_000


@dataclass(frozen=True, slots=True)
class RobotsLimits:
    """What asking for robots.txt may cost a page, how much of one is read (RFC 9309: at least 500 KiB), and how long it
    is remembered (at most 24 h); `retry_seconds` is for one that did not come or whose server failed.
    """

    seconds: float = 1.5
    parsed_bytes: int = 512_000
    keep_seconds: float = 86_400.0
    retry_seconds: float = 8.0
    origins: int = 2_000
    kept_chars: int = 4_000_000


@dataclass(frozen=True, slots=True)
class BackoffLimits:
    """How long a site that answered 429 or 503 is left alone: at most, and when it names no time."""

    max_wait_seconds: float = 3_600.0
    default_wait_seconds: float = 8.0


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """What may be spent on what replicas must know of each other.

    No call waits longer than `wait_seconds` for the store; one that failed is left alone until it answers again, which
    is tried every `beat_seconds`. With each beat a replica renews its places: those of one that died end
    `lease_seconds` after its last. Who waits for a place looks every `look_seconds`. Of `notes` a process remembers so
    many.
    """

    wait_seconds: float = 0.5
    beat_seconds: float = 2.0
    lease_seconds: float = 10.0
    look_seconds: float = 0.05
    connections: int = 8
    notes: int = 2_000


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long what was searched, read and embedded is used again, and how much of it is kept.

    A page is used again for as long as its site says, `page_least_seconds` to `page_most_seconds`, or for
    `page_unsaid_seconds` where it says nothing; after that it is kept `page_stale_seconds` to ask the site whether it
    has changed. `recent_search_seconds` is for searches of the last hour or day. A store that fails is left alone for
    `retry_seconds`; `wait_seconds` is how long one may take to answer.
    """

    search_seconds: float = 3_600.0
    recent_search_seconds: float = 300.0
    page_least_seconds: float = 600.0
    page_unsaid_seconds: float = 21_600.0
    page_most_seconds: float = 86_400.0
    page_stale_seconds: float = 604_800.0
    text_seconds: float = 2_592_000.0
    vector_seconds: float = 2_592_000.0
    entry_bytes: int = 8_000_000
    unpacked_bytes: int = 32_000_000
    total_bytes: int = 1_000_000_000
    threads: int = 4
    wait_seconds: float = 1.0
    retry_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """How much of what was read is kept, for how long, and how many pages of it one search gives.

    The oldest pages make room when there are more than `passages` with vectors, or the file is larger than
    `total_bytes`. A search looks at the nearest `near` passages, or `near_filtered` where filters may drop most of
    them. When no vector was asked for `idle_seconds`, those that lack are computed `idle_texts` at a time, up to
    `passages_a_page`. `waiting` pages may wait to be kept; `close_seconds` are for those that wait at the end. From
    `hnsw_from` passages on a processor searches a graph instead of all, and a GPU looks into some of many lists. An
    index with more than `dead_share` of deleted passages is made anew.
    """

    keep_seconds: float = 7_776_000.0
    passages: int = 200_000
    total_bytes: int = 2_000_000_000
    results: int = 10
    near: int = 64
    near_filtered: int = 512
    passages_a_page: int = 128
    waiting: int = 400
    pages_at_once: int = 8
    idle_seconds: float = 20.0
    idle_texts: int = 8
    queries_known: int = 512
    hnsw_from: int = 50_000
    dead_share: float = 0.2
    threads: int = 4
    wait_seconds: float = 1.0
    retry_seconds: float = 10.0
    close_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """How large one file of a recording may be, and how long a replayed search waits for the one before it."""

    file_bytes: int = 64_000_000
    stall_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class ExtractLimits:
    """What cleaning one page may cost, and what is too little or too much to be a page.

    `niceness` is how far the workers stand behind the server where the cores are all taken (0 to 19, as of nice).
    Of a longer PDF the first `pdf_pages` pages are read, or as many as come in `pdf_seconds`.
    """

    workers: int = 2
    page_seconds: float = 6.0
    memory_bytes: int = 480_000_000
    niceness: int = 5
    tasks_per_worker: int = 500
    min_chars: int = 50
    max_chars: int = 400_000
    pdf_pages: int = 500
    pdf_seconds: float = 4.0
    title_chars: int = 200


@dataclass(frozen=True, slots=True)
class LocalLimits:
    """How much of a local folder is searched, and how often it is looked over for changes.

    A search waits `wait_seconds` for what has changed; after that the first one fails, and a later one searches the
    files as they were. `total_chars` is of cleaned text, kept in memory.
    """

    files: int = 10_000
    file_bytes: int = 20_000_000
    total_chars: int = 30_000_000
    rescan_seconds: float = 2.0
    wait_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How long a passage is, in characters of the cleaned page."""

    target_chars: int = 700
    max_chars: int = 1_000


@dataclass(frozen=True, slots=True)
class RankLimits:
    """How many passages get vectors: the best by words, and those beside the first `neighbors_of`; how many are ranked.

    While pages are on their way, passages are embedded `ahead` at a time. A reranker orders the first `reranked` anew.
    Of the questions in work `at_once` are ranked or embedded together: one, where that takes every core as it is.
    """

    candidates: int = 72
    neighbors_of: int = 8
    reranked: int = 40
    ranked: int = 200
    ahead: int = 8
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class ModelApiLimits:
    """What one request to a server of embedding or ranking models may cost.

    One that could not be reached is not asked for `retry_seconds`: a question asks it several times.
    """

    seconds: float = 10.0
    retry_seconds: float = 5.0
    texts_at_once: int = 32
    requests_at_once: int = 4
    body_bytes: int = 64_000_000
