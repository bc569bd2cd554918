import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.errors import BadRequest, ModelNotFound, QueueFull
from agent.text_fragment import at_quote, without_quote
from agent.types import (
    Annotation,
    Answer,
    AnswerForm,
    Cited,
    Context,
    Coverage,
    Message,
    PageRecord,
    Plan,
    Progress,
    Reading,
    Source,
    Text,
    Thinking,
    Timings,
    Usage,
)
from agent.wire.answer_form import MAX_SCHEMA_CHARS, MAX_SCHEMA_DEPTH
from agent.wire.asking import Defaults, Hints
from agent.wire.chat_reply import ChatStream, Chunks, Head, completion_body
from agent.wire.chat_request import ChatRequest, chat_question
from agent.wire.conversation import MAX_QUESTION_CHARS
from agent.wire.coverage_record import coverage_line
from agent.wire.past_answers import past_answer
from agent.wire.refusals import error_body, invalid_request
from agent.wire.search_api import MAX_QUERY_CHARS, SearchRequest, search_body, search_question
from agent.wire.sources import annotation_list, unique_titles
from agent.wire.sse import sse
from retrieval.types import Document, EngineReport, Passage, Query, Ranked, SearchFilters

HEAD = Head("chatcmpl-1", 1_700_000_000, "wellread", "wellread-1")
ASKED = [{"role": "user", "content": "Who built it?"}]


def question(
    messages=ASKED,
    *,
    model="wellread",
    default="medium",
    style="link",
    hints=Hints(),  # noqa: B008 - frozen
    side_markers=(),
    **fields,
):
    try:
        request = ChatRequest.model_validate({"model": model, "messages": messages, **fields})
    except ValidationError as error:
        raise invalid_request([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None
    return chat_question(request, Defaults(default, style, side_markers), hints)


def refused(*args, **fields):
    with pytest.raises(BadRequest) as raised:
        question(*args, **fields)
    return raised.value


# ---- requests


def test_a_bare_question():
    asked = question()

    assert asked.messages == (Message("user", "Who built it?"),)
    assert (asked.effort, asked.search, asked.citation_style, asked.show_reasoning) == ("medium", True, "link", True)


OPTIONAL = sorted(set(ChatRequest.model_fields) - {"model", "messages"})


@given(st.sets(st.sampled_from(OPTIONAL)))
def test_null_is_absent_in_every_optional_field(names):
    assert question(**dict.fromkeys(names)) == question()


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.text().filter(lambda name: name not in {*ChatRequest.model_fields, "extra_body"}), JSON))
def test_unknown_fields_are_ignored(fields):
    request = ChatRequest.model_validate({**fields, "model": "wellread", "messages": ASKED})

    assert chat_question(request, Defaults("medium", "link"), Hints()) == question()


@given(JSON | st.dictionaries(st.text(), JSON))
def test_nonsense_is_refused_and_never_breaks(body):
    with pytest.raises(ValidationError) as raised:
        ChatRequest.model_validate(body)

    assert str(invalid_request(raised.value.errors()))


def test_parts_are_joined_and_roles_mapped():
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "42", "tool_call_id": "1"},
        {"role": "user", "content": [{"type": "text", "text": "It is 42."}, {"type": "text", "text": "Why so?"}]},
    ]

    assert question(messages).messages == (
        Message("system", "Be brief."),
        Message("user", "42"),
        Message("user", "It is 42.\nWhy so?"),
    )


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_parts_that_are_not_text_are_refused(kind):
    parts = [{"type": "text", "text": "What is this?"}, {"type": kind, kind: {"url": "data:"}}]

    error = refused([*ASKED, {"role": "user", "content": parts}])

    assert (error.param, error.code) == ("messages[1].content[1]", "unsupported_content")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<think>hm</think>\n\nYes.", "Yes."),
        ("<think>cut off", ""),
        ("<think>a</think>One.<think>b</think> Two.", "One.Two."),
        ("So [[1]](https://a.example/x_(y)) and [[12]](https://b.example).", "So [1] and [12]."),
        ("A [link](https://a.example) stays.", "A [link](https://a.example) stays."),
    ],
)
def test_past_answers_come_back_clean(before, after):
    assert past_answer(before) == after


def test_past_thoughts_are_stripped_of_assistants_only():
    messages = [{"role": "assistant", "content": "<think>x</think>A"}, {"role": "user", "content": "<think>x</think>B"}]

    assert [message.content for message in question(messages).messages] == ["A", "<think>x</think>B"]


@pytest.mark.parametrize("piece", ["<think>", "</think>", "[[1]](", "[[1]](a(", "<think></think>", "[[1]]()"])
def test_cleaning_takes_linear_time(piece):
    start = time.monotonic()
    past_answer(piece * 100_000)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("last", ["system", "assistant", "tool", "function", "developer"])
def test_no_search_when_the_last_message_is_not_from_the_user(last):
    assert not question([*ASKED, {"role": last, "content": "continue"}]).search


@pytest.mark.parametrize(
    ("model", "effort", "search"),
    [
        ("wellread", "medium", True),
        ("wellread-quick", "low", True),
        ("wellread-deep", "high", True),
        ("wellread-chat", "low", False),
    ],
)
def test_models(model, effort, search):
    asked = question(model=model)

    assert (asked.effort, asked.search) == (effort, search)


def test_an_unknown_model_is_not_found():
    with pytest.raises(ModelNotFound, match="wellread-quick"):
        question(model="gpt-4")


@pytest.mark.parametrize(
    ("asked", "effort"),
    [("none", "low"), ("minimal", "low"), ("low", "low"), ("medium", "medium"), ("xhigh", "high"), ("max", "high")],
)
def test_effort_of_the_request(asked, effort):
    assert question(reasoning_effort=asked, default="high").effort == effort
    assert question(reasoning_effort=asked, model="wellread-deep").effort == "high"


def test_search_context_size_moves_the_dial_unless_effort_does():
    assert question(web_search_options={"search_context_size": "low"}).effort == "low"
    assert question(tools=[{"type": "web_search"}]).must_search
    assert not question(tools=[{"type": "function"}]).must_search
    assert question(web_search_options={"search_context_size": "low"}, reasoning_effort="high").effort == "high"
    assert question(web_search_options={"search_context_size": None}).effort == "medium"


def schema(value):
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": value}}}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"not": value}
    return value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"seed": 2**63}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [1]}, "stop[0]"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"web_search_options": {"search_context_size": "huge"}}, "web_search_options.search_context_size"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        (schema(5), "response_format"),
        (schema({"maximum": float("nan")}), "response_format"),
        (schema({"description": "x" * MAX_SCHEMA_CHARS}), "response_format"),
        (schema({"pattern": "(" * 3_000 + ")" * 3_000}), "response_format"),
        (schema({"pattern": "a{99999999999}"}), "response_format"),
        (schema(nested(MAX_SCHEMA_DEPTH)), "response_format"),
        ({"temperature": "0.5"}, "temperature"),
        ({"max_tokens": 10.5}, "max_tokens"),
        ({"stream": 1}, "stream"),
        ({"verbosity": "chatty"}, "verbosity"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"logit_bias": {"50256": 101}}, "logit_bias.50256"),
        ({"logit_bias": {"a": 1}}, "logit_bias.a"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"web_search_options": {"user_location": {"country": "Russia"}}}, "web_search_options.user_location.country"),
        ({"only_hostnames": [""]}, "only_hostnames"),
        ({"tools": [{"type": "function"}], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "function"}], "tool_choice": {"type": "function", "function": {}}}, "tool_choice"),
        ({"search_domain_filter": ["-"]}, "search_domain_filter"),
        ({"search_domain_filter": ["a.example OR site:b.example"]}, "search_domain_filter"),
        ({"search_recency_filter": "decade"}, "search_recency_filter"),
        ({"search_after_date_filter": "soon"}, "search_after_date_filter"),
        ({"search_before_date_filter": "31/12/2025"}, "search_before_date_filter"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [*ASKED, {"role": "user", "content": " \n "}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": "x" * (MAX_QUESTION_CHARS + 1)}]}, "messages[0].content"),
        ({"messages": [{"role": "system", "content": " "}]}, "messages"),
        ({"messages": "hello"}, "messages"),
    ],
)
def test_refusals_name_the_field(fields, param):
    error = refused(**fields)

    assert (error.status, error.param) == (400, param)
    assert str(error).startswith(param)


def test_a_missing_model_is_named():
    assert refused(model=None).param == "model"


def test_what_is_passed_on():
    asked = question(
        temperature=0.5, seed=7, top_k=20, min_p=0.1, stop="END", max_tokens=10, max_completion_tokens=99, n=1
    )

    assert (asked.sampling.temperature, asked.sampling.seed, asked.sampling.top_k, asked.sampling.min_p) == (
        0.5,
        7,
        20,
        0.1,
    )
    assert (asked.stop, asked.max_answer_tokens, asked.max_total_tokens) == (("END",), 10, 99)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"},
        {"tool_choice": "required"},
        {"web_search_options": {}},
        {"response_format": {"type": "text"}},
        {"logprobs": False, "top_logprobs": 0},
        {"stream_options": {"include_usage": None}},
    ],
)
def test_what_clients_attach_by_default_changes_nothing(fields):
    assert question(**fields) == question()


def test_filters():
    asked = question(
        search_domain_filter=["https://Example.org/x", "-ads.example"],
        search_recency_filter="week",
        search_after_date_filter="12/31/2025",
        search_before_date_filter="2026-02-01",
    )

    assert asked.filters == SearchFilters(("example.org",), ("ads.example",), "week", "2025-12-31", "2026-02-01")


def test_filters_in_jinas_names_and_modes():
    asked = question(
        only_hostnames=["https://Example.org/x"],
        bad_hostnames="ads.example",
        boost_hostnames=["docs.example"],
        search_mode="sec",
        search_domain_filter=["a.example"],
        max_returned_urls=3,
        max_annotations=0,
    )
    preferred = ("docs.example", "sec.gov")
    domains = ("a.example", "example.org")
    assert asked.filters == SearchFilters(domains, ("ads.example",), preferred_domains=preferred)
    assert (asked.max_sources, asked.max_annotations) == (3, 0)
    assert "arxiv.org" in question(search_mode="academic").filters.preferred_domains


@pytest.mark.parametrize(
    "place",
    [
        {"type": "approximate", "approximate": {"country": "ru", "city": "Пермь", "region": "Прикамье"}},
        {"country": "RU", "city": "Пермь", "region": "Прикамье"},
    ],
)
def test_the_users_place_in_both_forms(place):
    asked = question(web_search_options={"user_location": place})

    assert asked.filters.country == "ru"
    assert asked.place == "Пермь, Прикамье, RU"


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}},
        {"chat_template_kwargs": {"thinking": False}},
        {"chat_template_kwargs": {"enable_thinking": False, "custom": 1}},
    ],
)
def test_thinking_can_be_switched_off(fields):
    assert question().think
    assert not question(**fields).think


def test_forms_of_an_answer():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}

    assert question().form is None
    assert question(response_format={"type": "json_object"}).form == AnswerForm({"type": "object"})
    assert question(response_format=form).form == AnswerForm(schema)


def test_a_schema_may_be_deep():
    assert question(**schema(nested(MAX_SCHEMA_DEPTH - 1))).form == AnswerForm(nested(MAX_SCHEMA_DEPTH - 1))


def test_numbers_are_of_one_kind_as_in_json():
    assert question(max_tokens=10.0) == question(max_tokens=10)
    assert question(temperature=1) == question(temperature=1.0)


def test_a_schema_that_is_none_is_refused_before_any_work():
    error = refused(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "wizard"}}})

    assert error.param == "response_format"
    assert "wizard" in str(error)


def test_the_rest_of_the_dials():
    asked = question(verbosity="high", logit_bias={"50256": -100}, modalities=["text"], service_tier=3)

    assert (asked.verbosity, asked.sampling.logit_bias) == ("high", {"50256": -100})


@pytest.mark.parametrize("kind", ["web_search", "web_search_2025_08_26", "web_search_preview", "deepseek_web_search"])
def test_tools_of_search_force_one(kind):
    assert question(tools=[{"type": kind}]).must_search


def test_extra_body_counts_as_merged():
    assert not question(extra_body={"disable_search": True}).search
    assert not question(extra_body={"include_reasoning": False}).show_reasoning


def search(**fields):
    return search_question(SearchRequest.model_validate({"query": "Kafka", **fields}))


def test_a_client_that_chooses_no_tool_forces_no_search():
    assert not question(tools=[{"type": "web_search"}], tool_choice="none").must_search


@pytest.mark.parametrize("text", ["👍", "?!"])
def test_where_there_is_no_word_there_is_nothing_to_search_for(text):
    asked = question([*ASKED, {"role": "assistant", "content": "He."}, {"role": "user", "content": text}])

    assert asked.messages[-1].content == text
    assert not asked.search


def test_a_search_becomes_a_question():
    assert search(query=" Kafka ").messages == (Message("user", "Kafka"),)
    assert SearchRequest(query="x").max_chars == 12_000


@pytest.mark.parametrize("query", ["", " \n", "?!", "x" * (MAX_QUERY_CHARS + 1)])
def test_a_search_for_nothing_or_too_much_is_refused(query):
    with pytest.raises(BadRequest) as raised:
        search(query=query)

    assert raised.value.param == "query"


@pytest.mark.parametrize(
    "fields",
    [
        {"query": 5},
        {"max_chars": 99},
        {"max_chars": 200_001},
        {"pages": 0},
        {"pages": 101},
        {"queries": []},
        {"queries": ["x"] * 11},
        {"queries": [5]},
        {"language": "english"},
    ],
)
def test_a_search_out_of_bounds_is_refused(fields):
    with pytest.raises(ValidationError):
        search(**fields)


# ---- replies

COVERAGE = Coverage(
    found=3,
    asked=2,
    read=1,
    used=1,
    cited=1,
    pages=(
        PageRecord("https://a.example", "read", None, 5, 10, 9),
        PageRecord("https://b.example", "skipped", "timeout", 7000, 0, 0),
    ),
    engines=(EngineReport("ddgs", "ok", 3, 40), EngineReport("searxng", "failed", 0, 9, "refused")),
    rounds=1,
)
MARK = "[[1]](https://a.example)"
ANSWER = Answer(
    text=f"𝒜 tower {MARK}",
    reasoning="Hm.",
    annotations=(Annotation(8, 8 + len(MARK), "https://a.example", "A"),),
    cited=(Cited("https://a.example", "A", "2026-01-01", "the tower"),),
    usage=Usage(10, 20, 5, 2),
    finish_reason="stop",
    coverage=COVERAGE,
)


def deltas(chunks):
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def test_a_whole_stream():
    chunks = Chunks(HEAD)
    events = [Progress("Searching\n"), Thinking("Hm."), Text("A tower"), Text(""), ANSWER]

    stream = [chunks.opening(), chunks.keep_alive(), *(chunk for event in events for chunk in chunks.event(event))]

    assert deltas(stream)[:5] == [
        {"role": "assistant", "content": ""},
        {},
        {"reasoning_content": "Searching\n", "reasoning": "Searching\n"},
        {"reasoning_content": "Hm.", "reasoning": "Hm."},
        {"content": "A tower"},
    ]
    assert list(deltas(stream)[5]) == ["annotations"]
    assert len(stream) == 6
    assert [chunk["choices"][0]["finish_reason"] for chunk in stream] == [None] * 5 + ["stop"]
    assert stream[-1]["citations"] == ["https://a.example"]
    assert stream[-1]["coverage"]["skipped"] == {"timeout": 1}
    assert not any("usage" in chunk or "error" in chunk for chunk in stream)


def test_usage_is_null_until_its_own_chunk():
    chunks = Chunks(HEAD, include_usage=True)

    *before, last = [chunks.opening(), chunks.keep_alive(), *chunks.event(Text("x")), *chunks.event(ANSWER)]

    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


def test_hidden_reasoning_is_not_sent():
    chunks = Chunks(HEAD, show_reasoning=False)

    assert chunks.event(Thinking("x")) == chunks.event(Progress("x")) == []
    message = completion_body(HEAD, ANSWER, show_reasoning=False)["choices"][0]["message"]
    assert not {"reasoning", "reasoning_content"} & set(message)


def test_a_service_tier_is_told_only_when_asked_for():
    told = completion_body(replace(HEAD, tiered=True), ANSWER)

    assert told["service_tier"] == "default"
    assert "service_tier" not in completion_body(HEAD, ANSWER)


def test_an_answer_without_a_search_has_no_search_keys():
    plain = Answer("Hi.", "", (), (), Usage(), "length", None)

    (last,) = Chunks(HEAD).event(plain)

    assert (deltas([last]), last["choices"][0]["finish_reason"]) == ([{}], "length")
    assert not {"citations", "search_results", "coverage"} & set(last)


def test_the_body_of_a_completion():
    body = completion_body(HEAD, ANSWER)
    choice = body["choices"][0]

    assert (body["object"], choice["logprobs"], choice["message"]["refusal"]) == ("chat.completion", None, None)
    assert choice["message"]["reasoning_content"] == choice["message"]["reasoning"] == "Hm."
    assert body["search_results"] == [
        {
            "title": "A",
            "url": "https://a.example",
            "date": "2026-01-01",
            "last_updated": None,
            "snippet": "the tower",
            "source": "web",
        }
    ]


def test_spans_count_code_points():
    citation = annotation_list(ANSWER)[0]["url_citation"]

    assert ANSWER.text[citation["start_index"] : citation["end_index"]] == MARK


def test_what_proves_a_mark_stands_beside_the_standard_fields():
    proof = {"support": 0.91234, "quote": "built by Vold", "date": "2026-01-01"}
    mark = replace(ANSWER.annotations[0], **proof)

    (citation,) = annotation_list(replace(ANSWER, annotations=(mark,)))

    told = citation["url_citation"]
    assert {key: told[key] for key in proof} == proof | {"support": 0.912}
    assert told["quote_url"] == "https://a.example#:~:text=built%20by%20Vold"
    unsupported = replace(mark, support=0.1, quote=None)
    (citation,) = annotation_list(replace(ANSWER, annotations=(unsupported,)))
    assert (citation["url_citation"]["quote"], citation["url_citation"]["quote_url"]) == (None, "https://a.example")


@pytest.mark.parametrize(
    ("url", "quote", "expected"),
    [
        ("https://a.example", "мост, 1886", "https://a.example#:~:text=%D0%BC%D0%BE%D1%81%D1%82%2C%201886"),
        ("https://a.example/p#top", "well-known & old", "https://a.example/p#top:~:text=well%2Dknown%20%26%20old"),
        (
            "https://a.example",
            "a b c d e f\ng h i j k",
            "https://a.example#:~:text=a%20b%20c%20d%20e,g%20h%20i%20j%20k",
        ),
    ],
)
def test_an_address_opens_a_page_at_a_quote(url, quote, expected):
    assert at_quote(url, quote) == expected
    assert without_quote(expected) == url


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["https://a.example/1", "https://a.example/2", "https://b.example", "nonsense", "http://["]
            ),
            st.sampled_from(["", " ", "Home", "Home (a.example)", "a.example", "x"]),
        )
    )
)
def test_titles_are_never_empty_and_never_shared(pages):
    titles = unique_titles([Cited(url, title, None, "") for url, title in pages])

    assert all(title.strip() for title in titles.values())
    assert len(set(titles.values())) == len(titles) == len({url for url, _ in pages})


@given(st.text())
def test_any_text_is_one_line_of_an_event_stream(text):
    line = sse({"x": text}).decode()

    assert line.endswith("\n\n")
    assert line.splitlines() == [line[:-2], ""]
    assert json.loads(line.removeprefix("data: "))["x"] == text


@given(st.sampled_from([Text, Thinking]), st.text(st.characters(categories=None)), st.booleans(), st.booleans())
def test_a_token_is_written_as_its_chunks(kind, text, include_usage, show_reasoning):
    chunks = Chunks(HEAD, include_usage, show_reasoning)

    assert ChatStream(chunks).event(kind(text)) == b"".join(map(sse, chunks.event(kind(text))))


def test_half_a_character_does_not_break_the_stream():
    assert json.loads(sse({"x": "a\ud800b"}).decode().removeprefix("data: ")) == {"x": "a?b"}


def test_errors_have_all_four_keys():
    assert error_body(QueueFull(10))["error"] | {"message": ""} == {
        "message": "",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
    }


def test_the_reply_of_a_search():
    document = Document("https://a.example/p", "P", "abc def", "a.example", "2026-01-01", "en")
    ranked = Ranked(Passage(document, 4, 7), 0.5, 1.0)
    reading = Reading(
        Plan("Kafka", "en", (Query("kafka"), Query("kafka prague"))),
        (ranked,),
        Context("[1] def", (Source(1, document, (ranked,)),)),
        COVERAGE,
        Timings(1, 2, 3, 4, 5, 6),
    )

    body = search_body("search-1", reading)

    assert (body["object"], body["queries"], body["context"]) == ("search.result", ["kafka", "kafka prague"], "[1] def")
    assert body["results"] == [
        {
            "index": 1,
            "url": "https://a.example/p",
            "title": "P",
            "date": "2026-01-01",
            "site": "a.example",
            "language": "en",
            "also_at": [],
            "score": 0.5,
            "passages": [{"text": "def", "score": 0.5, "start": 4, "end": 7}],
        }
    ]
    assert body["timings_ms"] == {"search": 1, "fetch": 2, "extract": 3, "rank": 4, "pack": 5, "total": 6}
    assert json.loads(json.dumps(body)) == body
    assert coverage_line(body["coverage"]) == "3 found, 2 asked, 1 read, 1 used, 1 cited; skipped: 1 timeout"


def test_a_side_request_searches_nothing_and_is_brief():
    asked = question([*ASKED, {"role": "user", "content": "Summarize in a 10-word Title. Give the title only."}])
    assert (asked.search, asked.brief) == (False, True)
    marked = question([{"role": "user", "content": "Benenne es"}], side_markers=("Benenne",))
    assert (marked.search, marked.brief) == (False, True)


@pytest.mark.parametrize(
    ("hints", "search", "brief"),
    [
        (Hints(task="title_generation"), False, True),
        (Hints(task="{{TASK}}"), True, False),
        (Hints(task=""), True, False),
        (Hints(search="off"), False, False),
        (Hints(search="Off"), False, False),
        (Hints(search="on"), True, False),
    ],
)
def test_headers_tell_side_requests(hints, search, brief):
    asked = question(hints=hints)
    assert (asked.search, asked.brief) == (search, brief)
