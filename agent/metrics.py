"""Counts what happens, for Prometheus: every metric that `/metrics` serves is named here, with its unit and labels.

Names and units follow Prometheus' conventions. No label holds what a user or a page wrote.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from agent.errors import AgentError
from agent.pack import defused
from agent.types import Answer, CheckedMark, Event, Progress, Reading, Text, Thinking
from agent.version import VERSION

# Made once: it reads when the machine was started.
PROCESS: Final = ProcessCollector(registry=None)
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
LOOP_LOOK_SECONDS: Final = 0.05
LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HTTP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
RUN_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(PROCESS)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"wellread_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, *labels: str, buckets: tuple[float, ...] = RUN_SECONDS) -> Histogram:
            return Histogram(f"wellread_{name}", what, labels, registry=registry, buckets=buckets)

        self._gauge("build_info", "Which release runs; always 1.", "version").labels(VERSION).set(1)
        self._up = self._gauge("upstream_up", "Whether what an answer is made with works, as last seen.", "upstream")
        self._http = counter("http_requests", "Requests that ended, by route and status.", "method", "route", "status")
        first = "Time to the head of a reply."
        self._first_byte = histogram("http_first_byte_seconds", first, "route", buckets=HTTP_SECONDS)
        self._http_time = histogram("http_request_duration_seconds", "Whole requests.", "route", buckets=HTTP_SECONDS)
        self._lag = histogram(
            "event_loop_lag_seconds", "How late the event loop runs what is due.", buckets=LAG_SECONDS
        )
        self.runs = counter("runs", "Runs that ended: completed, abandoned or the code of an error.", "outcome")
        self.run_time = histogram("run_duration_seconds", "Whole runs, waiting for a seat included.", "outcome")
        self.reasoning = histogram("time_to_reasoning_seconds", "From a question to the model's first thought.")
        self.answer = histogram("time_to_answer_seconds", "From a question to the first words of its answer.")
        self.stages = histogram("stage_duration_seconds", "Stages of a reading; they overlap.", "stage")
        self.pages = counter("pages", "Pages that answers asked for: read, or why they were skipped.", "outcome")
        self.cached = counter("pages_cached", "Pages read that came from the cache.")
        self.engines = counter("engine_searches", "Searches, by engine and outcome.", "engine", "outcome")
        self.tokens = counter("tokens", "Tokens of the model.", "kind")
        self.citations = counter("citations", "Citation marks that the model wrote, by what became of them.", "verdict")
        self.defenses = counter("injection_defenses", "What of pages or of the model was made harmless.", "defense")

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"wellread_{name}", what, labels, registry=self._registry)

    def written(self) -> bytes:
        """Write all metrics in Prometheus' text format. Blocks: it reads what the system tells of this process."""
        return generate_latest(self._registry)

    def follow(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Serve a gauge whose value is asked for when it is looked at."""
        self._gauge(name, what).set_function(value)

    def note_upstreams(self, up: Mapping[str, bool]) -> None:
        """Note which upstreams work."""
        for name, works in up.items():
            self._up.labels(name).set(works)

    def note_first_byte(self, route: str, seconds: float) -> None:
        """Note when the head of a reply went out."""
        self._first_byte.labels(route).observe(seconds)

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note the end of a request."""
        self._http.labels(method, route, str(status)).inc()
        self._http_time.labels(route).observe(seconds)

    async def watch_loop(self) -> None:
        """Note how late the event loop is, as long as it goes on."""
        while True:
            due = time.perf_counter() + LOOP_LOOK_SECONDS
            await anyio.sleep(LOOP_LOOK_SECONDS)
            self._lag.observe(max(0.0, time.perf_counter() - due))

    def run(self) -> "RunMeter":
        """Begin to count a run."""
        return RunMeter(self)


class RunMeter:
    """Counts one run by what it tells on its way."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._start = time.monotonic()
        self._outcome = "abandoned"
        self._read = self._thought = self._said = self._ended = False

    def take(self, event: Event) -> None:
        """Take note of an event."""
        metrics, seconds = self._metrics, time.monotonic() - self._start
        if isinstance(event, Progress):
            if event.reading and not self._read:
                self._read = True
                self._count_reading(event.reading)
        elif isinstance(event, Thinking) and not self._thought:
            self._thought = True
            metrics.reasoning.observe(seconds)
        elif isinstance(event, Text) and not self._said:
            self._said = True
            metrics.answer.observe(seconds)
        elif isinstance(event, Answer):
            self._outcome = "completed"
            self._count_answer(event)

    def end(self, error: AgentError | None = None) -> None:
        """Take note of the end; what ends with neither an answer nor an error was left by its client."""
        if self._ended:
            return
        self._ended = True
        outcome = error.code if error else self._outcome
        self._metrics.runs.labels(outcome).inc()
        self._metrics.run_time.labels(outcome).observe(time.monotonic() - self._start)

    def _count_reading(self, reading: Reading) -> None:
        metrics, timings, coverage = self._metrics, reading.timings, reading.coverage
        for stage in ("search", "fetch", "extract", "rank", "pack", "total"):
            metrics.stages.labels(stage).observe(getattr(timings, stage) / 1000)
        for page in coverage.pages:
            metrics.pages.labels(page.reason or "read").inc()
        metrics.cached.inc(coverage.cached)
        for engine in coverage.engines:
            metrics.engines.labels(engine.name, engine.status).inc()
        given = [row.passage.text for source in reading.context.sources for row in source.passages]
        metrics.defenses.labels("defused_passage").inc(sum(defused(text) != text for text in given))

    def _count_answer(self, answer: Answer) -> None:
        usage = answer.usage
        for kind in ("prompt", "completion", "reasoning", "cached"):
            self._metrics.tokens.labels(kind).inc(max(0, getattr(usage, kind)))
        for mark in answer.checked:
            self._metrics.citations.labels(_verdict(mark)).inc()
        self._metrics.defenses.labels("removed_link").inc(answer.links_removed)


def _verdict(mark: CheckedMark) -> str:
    """Name what became of a mark."""
    if mark.written is None:
        return "added" if mark.url else "unknown_source"
    if mark.url is None:
        return "dropped"
    if mark.url != mark.written:
        return "moved"
    if mark.support is None:
        return "not_judged"
    return "supported" if mark.quote else "unsupported"
