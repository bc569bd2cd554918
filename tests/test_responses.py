"""The Responses API: its requests become questions, and its events tell one whole response whatever comes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

from agent.errors import BadRequest, ModelFailed
from agent.types import Annotation, Answer, Cited, Coverage, Message, Progress, Text, Thinking, Usage
from agent.wire.asking import Defaults, Hints
from agent.wire.refusals import invalid_request
from agent.wire.responses_reply import SOURCES, ResponseStream, response_object
from agent.wire.responses_request import ResponsesRequest, responses_question
from retrieval.types import SearchFilters

EVENT = TypeAdapter(ResponseStreamEvent)
URL = "https://a.example/tower"
MARK = f"[[1]]({URL})"
ANSWER = Answer(
    f"Eiffel {MARK}",
    "Hm.",
    (Annotation(7, 7 + len(MARK), URL, "Tower"),),
    (Cited(URL, "Tower", None, "built by"),),
    Usage(10, 20, 5, 2),
    "stop",
    Coverage(found=1, asked=1, read=1, used=1, cited=1, rounds=1),
)
EVENTS = (
    Progress("Searching\n", searching=("tower", "builder")),
    Progress("Found 1\n", found=(URL,)),
    Progress("Read 1\n"),
    Thinking("Hm."),
    Text("Eiffel "),
    Text(MARK),
    ANSWER,
)


def request(**fields):
    try:
        return ResponsesRequest.model_validate({"model": "wellread", "input": "Who built it?", **fields})
    except ValidationError as error:
        raise invalid_request([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


def question(hints=Hints(), recalled=lambda _: None, **fields):  # noqa: B008 - frozen
    return responses_question(request(**fields), Defaults("medium", "link"), hints, recalled)


def stream(**fields):
    asked = request(**fields)
    return ResponseStream(response_object(asked, "resp_1", 1_700_000_000), with_sources=SOURCES in asked.include)


def told(events, error=None, **fields):
    """Write a whole stream, and read it back as clients do."""
    writer = stream(**fields)
    written = writer.opening() + b"".join(map(writer.event, events)) + writer.ending(error)
    parsed = []
    for block in written.decode().strip().split("\n\n"):
        kind, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert kind == f"event: {event['type']}"
        parsed.append(event)
    return parsed


# ---- requests


def test_a_string_is_a_question():
    asked = question()

    assert asked.messages == (Message("user", "Who built it?"),)
    assert (asked.search, asked.effort, asked.think) == (True, "medium", True)


def test_items_become_turns_and_others_are_passed_over():
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "How tall?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": f"330 m {MARK}", "annotations": []}],
        },
        {"type": "item_reference", "id": "msg_7"},
        {"type": "item_reference", "id": "rs_7"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Who built it?"},
    ]

    asked = question(recalled={"msg_7": f"In 1889 {MARK}."}.get, input=items, instructions=" Be kind. ")

    assert asked.messages == (
        Message("system", "Be kind."),
        Message("user", "How tall?"),
        Message("assistant", "330 m [1]"),
        Message("assistant", "In 1889 [1]."),
        Message("system", "Be brief."),
        Message("user", "Who built it?"),
    )
    assert asked.search


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input[0].content"),
        ({"input": " "}, "input[0].content"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_9"}]}, "input[0]"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "function", "name": "f"}], "tool_choice": "required"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": "wizard"}}}}, "text.format"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"model": None}, "model"),
    ],
)
def test_refusals_name_the_field(fields, param):
    with pytest.raises(BadRequest) as raised:
        question(**fields)

    assert (raised.value.status, raised.value.param) == (400, param)


def test_tools_of_search_are_its_options_and_others_are_ignored():
    tools = [
        {"type": "namespace", "x": 1},
        {"type": "function", "name": "f", "parameters": {}, "strict": True},
        {
            "type": "web_search_2025_08_26",
            "search_context_size": "high",
            "filters": {"allowed_domains": ["a.example"]},
            "user_location": {"type": "approximate", "country": "RU", "city": "Perm", "timezone": "Asia/Yekaterinburg"},
        },
    ]
    asked = question(tools=tools)

    assert (asked.must_search, asked.effort) == (True, "high")
    assert asked.filters == SearchFilters(("a.example",), country="ru")
    assert asked.place == "Perm, RU, time zone Asia/Yekaterinburg"
    assert not question(tools=[{"type": "web_search", "external_web_access": False}]).search


def test_the_result_of_a_call_is_no_new_question():
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "42"}

    assert not question(input=[{"role": "user", "content": "How tall?"}, call, output]).search


def test_fields_of_other_tools_mean_what_they_like():
    other = {"type": "mcp", "search_context_size": "auto", "user_location": 5, "filters": "x", "external_web_access": 0}

    assert question(tools=[other]) == question()


def test_a_domain_that_is_none_is_refused_by_the_name_that_was_sent():
    with pytest.raises(BadRequest) as raised:
        question(tools=[{"type": "web_search", "filters": {"allowed_domains": ["a b"]}}])

    assert raised.value.param == "tools.filters.allowed_domains"


def test_what_was_asked_for_is_told_again():
    place = {"type": "approximate", "country": "RU", "city": "Пермь"}
    tool = {"type": "web_search", "search_context_size": "low", "user_location": place}
    asked = request(tools=[tool, {"type": "mcp"}], reasoning={"effort": "low", "summary": "auto"})
    response = response_object(asked, "resp_1", 1_700_000_000)

    assert response["tools"] == [tool]
    assert response["reasoning"] == {"effort": "low", "summary": "auto"}


def test_a_response_that_fails_keeps_what_was_said():
    last = told(EVENTS[:5], ModelFailed("It broke off."))[-1]["response"]

    *_, thought, message = last["output"]
    assert thought["summary"][0]["text"].endswith("Hm.")
    assert message["content"][0]["text"] == "Eiffel "


def test_the_dials():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    form = {"format": {"type": "json_schema", "name": "n", "schema": schema}, "verbosity": "low"}
    asked = question(text=form, reasoning={"effort": "none"}, max_output_tokens=99, temperature=0.1, top_p=0.5)

    assert asked.form is not None
    assert asked.form.schema == schema
    assert (asked.verbosity, asked.think, asked.max_total_tokens) == ("low", False, 99)
    assert (asked.sampling.temperature, asked.sampling.top_p) == (0.1, 0.5)
    assert not question(hints=Hints(task="title_generation")).search
    assert not question(hints=Hints(search="off")).search
    assert not question(disable_search=True).search


# ---- replies


def test_a_whole_stream():
    kinds = [event["type"].removeprefix("response.") for event in told(EVENTS)]

    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "output_item.done",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_the_response_at_its_end():
    last = told(EVENTS, include=[SOURCES], metadata={"a": "b"}, tools=[{"type": "web_search"}])[-1]["response"]
    search, thought, message = last["output"]

    assert (search["status"], search["action"]["queries"]) == ("completed", ["tower", "builder"])
    assert search["action"]["sources"] == [{"type": "url", "url": URL}]
    assert thought["summary"][0]["text"] == "Found 1\nRead 1\nHm."
    part = message["content"][0]
    assert part["text"] == ANSWER.text
    mark = part["annotations"][0]
    assert part["text"][mark["start_index"] : mark["end_index"]] == MARK
    assert (last["status"], last["metadata"], last["store"]) == ("completed", {"a": "b"}, False)
    assert last["tools"] == [{"type": "web_search"}]
    assert last["usage"]["output_tokens_details"] == {"reasoning_tokens": 5}
    assert last["usage"]["input_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 0}
    assert Response.model_validate(last).output_text == ANSWER.text


def test_sources_of_a_search_are_listed_only_when_wanted():
    assert "sources" not in told(EVENTS)[-1]["response"]["output"][0]["action"]


def test_no_usage_before_the_end():
    for event in told(EVENTS)[:-1]:
        assert "usage" not in event.get("response", {})


@pytest.mark.parametrize("count", range(len(EVENTS)))
def test_an_error_ends_in_a_failed_response_with_nothing_in_progress(count):
    last = told(EVENTS[:count], ModelFailed("It broke off."))[-1]

    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "It broke off."}
    assert all(item.get("status") != "in_progress" for item in last["response"]["output"])


def test_an_answer_cut_short_is_incomplete():
    answer = Answer("Eiffel", "", (), (), Usage(), "length", None)
    last = told([Text("Eiffel"), answer])[-1]

    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_refusal_is_a_part_of_its_own():
    answer = Answer("", "", (), (), Usage(), "stop", None, refusal="Nothing was read.")
    last = told([answer])[-1]["response"]

    assert last["output"][0]["content"] == [{"type": "refusal", "refusal": "Nothing was read."}]


WORDS = st.text(max_size=5)
STEPS = st.one_of(
    st.builds(Progress, WORDS, st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
    st.builds(Progress, WORDS, st.just(()), st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
    st.builds(Progress, WORDS),
    st.builds(Thinking, WORDS),
    st.builds(Text, WORDS),
)


@given(st.lists(STEPS, max_size=12))
def test_whatever_happens_is_a_whole_response(steps):
    """Numbers count up, every item that is added is done, deltas make up what is done, and the SDK reads all of it."""
    text = "".join(step.text for step in steps if isinstance(step, Text))
    events = told([*steps, Answer(text, "", (), (), Usage(), "stop", None)])

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(event)
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"]["id"] for event in events if event["type"] == "response.output_item.done"]
    assert sorted(added) == sorted(done)
    response = events[-1]["response"]
    assert [item["id"] for item in response["output"]] == added
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    (message,) = [item for item in response["output"] if item["type"] == "message"]
    assert deltas == text == message["content"][0]["text"]
    thoughts = "".join(event["delta"] for event in events if event["type"] == "response.reasoning_summary_text.delta")
    summaries = [item["summary"][0]["text"] for item in response["output"] if item["type"] == "reasoning"]
    assert thoughts == "".join(summaries)
