"""What the OpenAPI document says of replies, errors and keys; requests describe themselves. Pure."""

from typing import Any, Final

from agent.wire.run_record import MOST_PASSAGES
from agent.wire.sse import Json

DESCRIPTION: Final = """Reads forty to fifty web pages, then lets a reasoning model answer from them, with citations.

Any client of OpenAI's API works: set its base URL to this server's /v1. Fields that are not listed are ignored.
Errors have OpenAI's shape. Streams are server-sent events."""

# The first version that knows events of a stream.
OPENAPI_VERSION: Final = "3.2.0"
STRING: Final[Json] = {"type": "string"}
INTEGER: Final[Json] = {"type": "integer"}
NUMBER: Final[Json] = {"type": "number"}
BOOLEAN: Final[Json] = {"type": "boolean"}
FREE: Final[Json] = {"type": "object", "additionalProperties": True}


def _nullable(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _many(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(optional: Json | None = None, **required: Json) -> Json:
    """Write an object that has at least these."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


NULL_STRING: Final = _nullable(STRING)
REASONS: Final = _one_of("stop", "length")
SPAN: Final[Json] = {"start_index": INTEGER, "end_index": INTEGER, "url": STRING, "title": STRING}
PROOF: Final[Json] = {
    "support": {
        "type": "number",
        "description": "how well the page supports the sentence, 0 to 1; absent for a page in another language",
    },
    "quote": {**NULL_STRING, "description": "the words of the page that do, letter for letter; null: it does not"},
    "quote_url": {**STRING, "description": "the address that opens the page at the quote"},
    "date": {**STRING, "description": "of the page, ISO; absent where it is not known"},
}
CITED: Final[Json] = {
    "citations": {**_many(STRING), "description": "addresses; the one at index i carries mark i+1"},
    "search_results": _many(_ref("SearchResult")),
    "unsupported": _many(_ref("UnsupportedMark")),
    "coverage": _ref("Coverage"),
}
THOUGHTS: Final[Json] = {"reasoning_content": STRING, "reasoning": STRING}
HEAD: Final[Json] = {"id": STRING, "created": INTEGER, "model": STRING, "system_fingerprint": STRING}

SCHEMAS: Final[Json] = {
    "Error": _object(error=_object(message=STRING, type=STRING, param=NULL_STRING, code=NULL_STRING)),
    "Usage": _object(
        prompt_tokens=INTEGER,
        completion_tokens=INTEGER,
        total_tokens=INTEGER,
        prompt_tokens_details=_object(cached_tokens=INTEGER),
        completion_tokens_details=_object(reasoning_tokens=INTEGER),
    ),
    "UrlCitation": _object(type=_one_of("url_citation"), url_citation=_object(PROOF, **SPAN)),
    "SearchResult": _object(
        title=STRING, url=STRING, date=NULL_STRING, last_updated=NULL_STRING, snippet=STRING, source=_one_of("web")
    ),
    "UnsupportedMark": _object(
        claim={**STRING, "description": "what the model's citation mark stood behind"},
        index={**INTEGER, "description": "where in the answer, in code points"},
        url={**STRING, "description": "the page that the model named"},
        support={**NUMBER, "description": "how well that page supports it, from 0 to 1"},
        quote={"type": "null"},
    ),
    "Coverage": _object(
        found={**INTEGER, "description": "distinct addresses that search gave"},
        asked={**INTEGER, "description": "pages that were begun to be fetched"},
        read={**INTEGER, "description": "pages whose text was ranked"},
        cached={**INTEGER, "description": "of these, pages that were in the cache"},
        used={**INTEGER, "description": "pages that the model was given"},
        cited={**INTEGER, "description": "pages that the answer names"},
        skipped={"type": "object", "additionalProperties": INTEGER, "description": "pages not read, by reason"},
        pages=_many(
            _object(
                {"cached": BOOLEAN},
                url=STRING,
                status=_one_of("read", "skipped"),
                reason=NULL_STRING,
                ms=INTEGER,
                bytes=INTEGER,
                chars=INTEGER,
            )
        ),
        engines=_many(_object({"reason": STRING}, name=STRING, status=STRING, results=INTEGER, ms=INTEGER)),
        rounds=INTEGER,
        deadline_hit=BOOLEAN,
        notes=_many(STRING),
    ),
    "ChatCompletion": _object(
        {**CITED, "service_tier": _one_of("default")},
        **HEAD,
        object=_one_of("chat.completion"),
        choices=_many(
            _object(
                index=INTEGER,
                message=_object(
                    THOUGHTS,
                    role=_one_of("assistant"),
                    content=STRING,
                    refusal=NULL_STRING,
                    annotations=_many(_ref("UrlCitation")),
                ),
                logprobs={"type": "null"},
                finish_reason=REASONS,
            )
        ),
        usage=_ref("Usage"),
    ),
    "ChatCompletionChunk": _object(
        {**CITED, "usage": _nullable(_ref("Usage")), "service_tier": _one_of("default"), "event": FREE},
        **HEAD,
        object=_one_of("chat.completion.chunk"),
        choices=_many(
            _object(
                index=INTEGER,
                delta=_object(
                    {
                        **THOUGHTS,
                        "role": _one_of("assistant"),
                        "content": STRING,
                        "refusal": STRING,
                        "annotations": _many(_ref("UrlCitation")),
                    }
                ),
                logprobs={"type": "null"},
                finish_reason=_nullable(REASONS),
            )
        ),
    ),
    "Response": _object(
        {**CITED, "usage": FREE},
        id=STRING,
        object=_one_of("response"),
        created_at=INTEGER,
        status=_one_of("completed", "incomplete", "failed", "in_progress"),
        error=_nullable(_object(code=STRING, message=STRING)),
        incomplete_details=_nullable(_object(reason=STRING)),
        instructions=NULL_STRING,
        model=STRING,
        output=_many(_object(id=STRING, type=_one_of("web_search_call", "reasoning", "message"))),
        parallel_tool_calls=BOOLEAN,
        metadata={"type": "object", "additionalProperties": STRING},
        tools=_many(FREE),
        tool_choice=STRING,
        temperature=_nullable(NUMBER),
        top_p=_nullable(NUMBER),
    ),
    "ResponseEvent": _object(
        {"response": _ref("Response"), "output_index": INTEGER, "item": FREE, "delta": STRING},
        type=STRING,
        sequence_number=INTEGER,
    ),
    "SearchReply": _object(
        id=STRING,
        object=_one_of("search.result"),
        queries=_many(STRING),
        context={**STRING, "description": "the very text that a model would be given"},
        results=_many(
            _object(
                index=INTEGER,
                url=STRING,
                title=STRING,
                date=NULL_STRING,
                site=STRING,
                language=NULL_STRING,
                also_at=_many(STRING),
                score=NUMBER,
                passages=_many(_object(text=STRING, score=NUMBER, start=INTEGER, end=INTEGER)),
            )
        ),
        coverage=_ref("Coverage"),
        timings_ms={"type": "object", "additionalProperties": INTEGER},
    ),
    "Run": _object(
        id={**STRING, "description": "of the run that was made; an answer given again has the record of its first run"},
        object=_one_of("run"),
        status={**_one_of("completed", "failed", "abandoned"), "description": "abandoned: its client left"},
        began={**NUMBER, "description": "in Unix seconds"},
        took_ms={**INTEGER, "description": "from the request to the end of the work, waiting for a seat included"},
        steps={
            **_many(_ref("RunStep")),
            "description": "what it told on its way, as with X-Watch: on",
        },
        error=_nullable(_ref("RunError")),
        plan={**_nullable(_ref("RunPlan")), "description": "null: nothing was searched"},
        coverage=_nullable(_ref("Coverage")),
        ranked={**INTEGER, "description": "how many passages were ranked"},
        passages={**_many(_ref("RunPassage")), "description": f"the first {MOST_PASSAGES} of them, best first"},
        unrelated={**BOOLEAN, "description": "nothing that was read has to do with the question"},
        context=_nullable(_ref("RunContext")),
        marks={
            **_many(_ref("RunMark")),
            "description": "citation marks as they were written, and what became of them",
        },
        timings_ms=_nullable({"type": "object", "additionalProperties": INTEGER}),
        usage=_nullable(_ref("Usage")),
        finish_reason=_nullable(REASONS),
    ),
    "RunStep": _object(
        {
            "begins": _one_of("reasoning", "answer"),
            "line": STRING,
            "searching": {**_many(STRING), "description": "queries that are asked now"},
            "found": {**_many(STRING), "description": "addresses that a search has given"},
            "page": {"type": "object", "description": "what became of a page"},
            "sources": {**_many(STRING), "description": "addresses of the pages that the model is given"},
        },
        at_ms=INTEGER,
    ),
    "RunError": _object(message=STRING, type=STRING, param=NULL_STRING, code=NULL_STRING),
    "RunPlan": _object(
        question={**STRING, "description": "as it stands alone"},
        language=STRING,
        queries=_many(_ref("RunQuery")),
        further={**_many(_ref("RunQuery")), "description": "queries that only add to what those find"},
        later_rounds={**_many(_many(_ref("RunQuery"))), "description": "the queries of each round after the first"},
        addresses={**_many(STRING), "description": "pages that the user named"},
        note={**NULL_STRING, "description": "what planning lacked"},
    ),
    "RunQuery": _object(
        text=STRING, language=NULL_STRING, recency=_nullable(_one_of("hour", "day", "week", "month", "year"))
    ),
    "RunPassage": _object(
        url=STRING,
        title=STRING,
        date=NULL_STRING,
        start={**INTEGER, "description": "in the cleaned text of the page, in Unicode code points"},
        end=INTEGER,
        text=STRING,
        score={**NUMBER, "description": "what orders"},
        words={**NUMBER, "description": "its part from words"},
        vectors={**_nullable(NUMBER), "description": "its part from vectors; null: not computed"},
    ),
    "RunContext": _object(
        text={**STRING, "description": "the sources as the model was given them"},
        sources=_many(
            _object(
                number=INTEGER,
                url=STRING,
                title=STRING,
                date=NULL_STRING,
                passages=_many(_object(start=INTEGER, end=INTEGER)),
            )
        ),
        dropped={**INTEGER, "description": "ranked passages that did not fit"},
    ),
    "RunMark": _object(
        claim={**STRING, "description": "what it stands behind"},
        written={**NULL_STRING, "description": "the page that the model named; null: none that was read"},
        url={**NULL_STRING, "description": "the page that the mark names now; null: it was dropped"},
        start={**INTEGER, "description": "where it stands, or stood, in the answer"},
        support=_nullable(NUMBER),
        quote=NULL_STRING,
    ),
    "Model": _object(
        {"name": STRING, "context_length": INTEGER, "max_model_len": INTEGER},
        id=STRING,
        object=_one_of("model"),
        created=INTEGER,
        owned_by=STRING,
    ),
    "ModelList": _object(object=_one_of("list"), data=_many(_ref("Model"))),
    "Health": _object(status=STRING),
    "Ready": _object(
        status=_one_of("ready", "not ready"),
        checks={"type": "object", "additionalProperties": STRING},
        engines={"type": "object", "additionalProperties": STRING},
        degraded={"type": "object", "additionalProperties": STRING},
    ),
    "Version": _object(name=STRING, version=STRING),
}
ERRORS: Final = {
    400: "Something in the request is wrong: `param` names the field, the message the remedy.",
    401: "No key, or not a valid one.",
    404: "There is no such model.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    429: "The server is busy, or the key has reached its limit; Retry-After says when to come again.",
    500: "A fault of the server.",
    502: "Search or the model failed; repeating does the whole work again.",
    503: "The model cannot be reached, or the server is stopping; nothing was done yet.",
    504: "The answer was not finished in time.",
}


def _reply(name: str, text: str, stream: str = "") -> Json:
    content: Json = {"application/json": {"schema": _ref(name)}}
    if stream:
        told = {"anyOf": [_ref(stream), _ref("Error")]}
        data = {**STRING, "contentMediaType": "application/json", "contentSchema": told}
        last = {"const": "[DONE]"}
        content["text/event-stream"] = {"itemSchema": _object({"event": STRING}, data={"anyOf": [data, last]})}
    return {"description": text, "content": content}


def _route(summary: str, done: Json, *refusals: int, other: dict[int, Json] | None = None) -> dict[str, Any]:
    errors = {status: _reply("Error", ERRORS[status]) for status in refusals}
    return {"summary": summary, "responses": {200: done, **errors, **(other or {})}}


WORK: Final = (400, 401, 404, 408, 413, 429, 500, 502, 503, 504)
CHAT: Final = _route("Answer a conversation", _reply("ChatCompletion", "The answer.", "ChatCompletionChunk"), *WORK)
RESPONSES: Final = _route(
    "Answer a conversation, in the newer API's shape", _reply("Response", "The answer.", "ResponseEvent"), *WORK
)
SEARCH: Final = _route("Read the web for a query, without an answer", _reply("SearchReply", "What was read."), *WORK)
NO_RUN: Final = {404: _reply("Error", "There is no such run of this key, or no longer; or none is kept here.")}
RUN: Final = _route("Tell its owner of one run", _reply("Run", "Its record."), 401, other=NO_RUN)
MODELS: Final = _route("List the models", _reply("ModelList", "The models."), 401)
MODEL: Final = _route("Tell of one model", _reply("Model", "The model."), 401, 404)
HEALTH: Final = _route("Tell that the process lives", _reply("Health", "It lives."))
NOT_READY: Final = {503: _reply("Ready", "It could not, and why.")}
READY: Final = _route("Tell whether an answer could be given now", _reply("Ready", "It could."), other=NOT_READY)
METRICS: Final = _route(
    "Give all metrics to Prometheus",
    {"description": "Its text format.", "content": {"text/plain": {"schema": STRING}}},
    401,
)
RELEASE: Final = _route("Tell which release runs", _reply("Version", "The release."))


def completed(document: Json) -> Json:
    """Add to the framework's document what it does not know, replies and keys, and take out what is not so."""
    paths = {
        path: {verb: _operation(told) for verb, told in verbs.items()} for path, verbs in document["paths"].items()
    }
    requests = {
        name: schema
        for name, schema in document.get("components", {}).get("schemas", {}).items()
        if name not in {"HTTPValidationError", "ValidationError"}
    }
    components = {"schemas": {**requests, **SCHEMAS}, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
    added = {"paths": paths, "components": components, "security": [{"key": []}, {}]}
    return document | {"openapi": OPENAPI_VERSION} | added


def _operation(told: Json) -> Json:
    """Take out the status 422: what is invalid is told with 400, as OpenAI does."""
    return told | {"responses": {status: reply for status, reply in told["responses"].items() if status != "422"}}
