"""Traces of runs for OpenTelemetry: a span for the run, its stages, each page and each call of the model.

Off unless WELLREAD_OTLP_URL says where spans go. Names and attributes follow OpenTelemetry's conventions, for the model
those of generative AI. No span holds what a user asked or a page wrote; of a page its site is named.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import Final, Self

from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from agent.errors import AgentError
from agent.reason import Finished, Model, ModelEvent, ModelInfo, Prompt
from agent.telemetry import trace_headers
from agent.types import Answer, Event, Message, PageOutcome, Progress, Thinking, Usage
from agent.version import VERSION
from retrieval import urls

# The trace alone: baggage is between the client and us.
W3C: Final = TraceContextTextMapPropagator()
# How long a collector may take, also while the server stops.
EXPORT_SECONDS: Final = 2
NS: Final = 1_000_000_000


class Tracing:
    """Makes the spans of one server, and sends them by `exporter`."""

    def __init__(self, exporter: SpanExporter) -> None:
        resource = Resource.create({"service.name": "wellread", "service.version": VERSION})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("wellread", VERSION)

    @classmethod
    def to(cls, url: str) -> Self:
        """Send spans to a collector, by OTLP over HTTP."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return cls(OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS))

    def run(self, run_id: str, headers: Mapping[str, str]) -> "RunTracer":
        """Begin the trace of a run, as a part of the client's trace where its headers name one."""
        return RunTracer(self._tracer, run_id, headers)

    def model(self, model: Model) -> Model:
        """Let each call of a model have a span."""
        return TracedModel(model, self._tracer)

    def close(self) -> None:
        """Send what is left. Blocks."""
        self._provider.shutdown()


class RunTracer:
    """Makes the spans of one run by what it tells on its way. Its span is the current one of the task that made it."""

    def __init__(self, tracer: Tracer, run_id: str, headers: Mapping[str, str]) -> None:
        self._tracer = tracer
        attributes = {"wellread.run.id": run_id}
        parent = W3C.extract(headers)
        self._span = tracer.start_span("run", parent, SpanKind.SERVER, attributes)
        self._inside = trace.set_span_in_context(self._span, parent)
        context.attach(self._inside)
        self._stage: Span | None = None
        self._outcome = "abandoned"

    def take(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Answer):
            self._outcome = "completed"
            if event.coverage:
                self._span.set_attribute("wellread.pages.read", event.coverage.read)
                self._span.set_attribute("wellread.pages.cited", event.coverage.cited)

    def end(self, error: AgentError | None = None) -> None:
        """End the run's span and the stage that is under way."""
        if not self._span.is_recording():
            return
        self._enter("")
        self._span.set_attribute("wellread.run.outcome", self._outcome)
        if error:
            _note_error(self._span, error)
        self._span.end()

    def _progress(self, event: Progress) -> None:
        if event.searching:
            self._enter("search")
        if event.found:
            self._enter("read")
        if event.page:
            self._page(event.page)
        if event.reading:
            self._enter("")

    def _enter(self, stage: str) -> None:
        """End the stage that is under way, and begin another, if one is named."""
        if self._stage:
            self._stage.end()
        self._stage = self._tracer.start_span(stage, self._inside) if stage else None

    def _page(self, page: PageOutcome) -> None:
        """Make the span of a page that has just ended."""
        now, record = time.time_ns(), page.record
        attributes: Attributes = {
            "server.address": urls.site(record.url),
            "wellread.page.outcome": record.reason or "read",
            "wellread.page.cached": record.cached,
            "http.response.body.size": record.bytes,
        }
        parent = trace.set_span_in_context(self._stage, self._inside) if self._stage else self._inside
        began = now - record.ms * (NS // 1000)
        self._tracer.start_span("page", parent, SpanKind.CLIENT, attributes, start_time=began).end(now)


@dataclass(frozen=True, slots=True)
class TracedModel:
    """A model whose calls have spans, of which its server is told by W3C's trace context."""

    model: Model
    tracer: Tracer

    async def info(self) -> ModelInfo:
        """Tell what the model is. Raises what it raises."""
        return await self.model.info()

    async def count(self, messages: tuple[Message, ...]) -> int | None:
        """Count the tokens of a prompt. Raises what the model raises."""
        return await self.model.count(messages)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Run the model. Raises what it raises."""
        info = await self.model.info()
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": info.id,
            "gen_ai.request.max_tokens": prompt.thinking_tokens + prompt.answer_tokens,
        }
        with self._span(info, attributes) as span:
            headers: dict[str, str] = {}
            W3C.inject(headers)
            told = trace_headers.set(headers)
            begun: set[type] = set()
            try:
                async with aclosing(self.model.stream(prompt)) as events:
                    async for event in events:
                        _note(span, event, begun)
                        yield event
            except AgentError as error:
                _note_error(span, error)
                raise
            finally:
                trace_headers.reset(told)

    def _span(self, info: ModelInfo, attributes: Attributes) -> AbstractContextManager[Span]:
        """Begin a span. It records no exception: what lies behind one may hold what the model said."""
        return self.tracer.start_as_current_span(
            f"chat {info.id}", None, SpanKind.CLIENT, attributes, record_exception=False, set_status_on_exception=False
        )


def _note_error(span: Span, error: AgentError) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error.code)


def _note(span: Span, event: ModelEvent, begun: set[type]) -> None:
    """Note the first thought, the first word and the end of a call."""
    if isinstance(event, Finished):
        span.set_attribute("gen_ai.response.finish_reasons", (event.reason,))
        _note_usage(span, event.usage)
    elif type(event) not in begun:
        begun.add(type(event))
        span.add_event("first thought" if isinstance(event, Thinking) else "first word")


def _note_usage(span: Span, usage: Usage) -> None:
    span.set_attribute("gen_ai.usage.input_tokens", usage.prompt)
    span.set_attribute("gen_ai.usage.output_tokens", usage.completion)
