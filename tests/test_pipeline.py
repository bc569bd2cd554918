import re
from dataclasses import dataclass, field

import anyio
import pytest

from agent.errors import BadRequest, ContextOverflow, ModelFailed, ModelUnavailable, SearchUnavailable
from agent.models.echo import EchoModel
from agent.pipeline import answer, check, read
from agent.plan import given, unaided
from agent.reason import Finished, ModelInfo, Patience
from agent.tools import Tools
from agent.types import Answer, Message, Progress, Question, Text, Thinking, Usage
from retrieval.embedders.hashing import HashingEmbedder
from retrieval.errors import EmbedderUnavailable, EngineError
from retrieval.types import Hit, Query
from tests import web as local
from tests.watched import Watched

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings")]
ASKED = "How long is the old pier of Brighton?"
FOLLOW_UP = (Message("user", ASKED), Message("assistant", "It is 525 m long."), Message("user", "And how wide?"))
SHELL = b"<html><body><div id=root></div></body></html>"


@dataclass
class Engine:
    """An engine with one page of results, or an error."""

    hits: tuple[Hit, ...] = ()
    error: str | None = None
    name: str = "scripted"
    asked: list[Query] = field(default_factory=list)

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        if self.error:
            raise EngineError(self.error)
        if page > 1:
            return ()
        self.asked.append(query)
        return self.hits


class Broken:
    unrelated_below = None
    dimensions = 2

    def embed(self, texts, kind):
        raise EmbedderUnavailable("out of memory")


def piers(web, count: int, start: int = 0) -> tuple[Hit, ...]:
    """Put up pages about piers, of which only number 3 is about the one asked for."""
    return tuple(pier(web, number) for number in range(start, start + count))


def pier(web, number: int, **options) -> Hit:
    name = "the old pier of Brighton" if number == 3 else f"a jetty in town number {number}"
    text = f"The structure called {name} is {500 + number} m long and made of iron. " * 4
    url = web.page(f"/{number}", local.article(f"Pier {number}", text, f"It opened in {1800 + number}."), **options)
    return Hit(url, f"Pier {number}")


async def run(tools: Tools, question: Question | str = ASKED) -> list:
    events = []

    async def emit(event) -> None:
        events.append(event)

    asked = Question((Message("user", question),)) if isinstance(question, str) else question
    await answer(asked, tools, emit)
    return events


def lines(events: list) -> list[str]:
    return [event.text for event in events if isinstance(event, Progress) and event.text]


def said(events: list) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


async def test_from_a_question_to_a_cited_answer(web, equipped):
    async with equipped(Engine(piers(web, 12))) as tools:
        events = await run(tools)
    kinds = [type(event) for event in events]
    order = [Progress, Thinking, Text, Answer]
    assert kinds == sorted(kinds, key=order.index)
    assert kinds.count(Answer) == 1
    assert lines(events) == [
        f"Searching the web: {ASKED}\n",
        "Found 12 pages; reading up to 12.\n",
        next(line for line in lines(events) if line.startswith("Read 10 pages, the last one: Pier ")),
        "Read 12 of 12 pages asked for.\n",
        "Ranked 12 passages; the model gets the best 12, from 12 pages.\n\n",
    ]
    done = events[-1]
    assert done.text == said(events)
    assert done.reasoning == "".join(event.text for event in events if isinstance(event, Thinking))
    assert done.usage.completion > 0
    assert done.finish_reason == "stop"


async def test_what_is_cited_was_read_and_the_best_page_comes_first(web, equipped):
    async with equipped(Engine(piers(web, 12))) as tools:
        events = await run(tools)
    done = events[-1]
    read_urls = [page.url for page in done.coverage.pages if page.status == "read"]
    assert done.cited[0].url == web.base + "/3"
    assert {cited.url for cited in done.cited} <= set(read_urls)
    assert len(done.cited) == done.coverage.cited == 3
    assert done.coverage.cited <= done.coverage.used <= done.coverage.read
    for annotation in done.annotations:
        assert done.text[annotation.start : annotation.end].endswith(f"]]({annotation.url})")
        assert annotation.support > 0.9
        assert annotation.quote == f"Pier {annotation.url[-1]}"  # the first line of the page, which the model repeats
    assert "the old pier of Brighton is 503 m long" in done.cited[0].snippet


async def test_the_coverage_adds_up(web, equipped):
    hits = (
        *piers(web, 4),
        Hit(web.base + "/missing", "x"),
        Hit(web.page("/shell", SHELL), "x"),
        Hit(web.page("/copy", web.replies["/1"].body), "x"),
        Hit(web.page("/broken", b"", status=500), "x"),
        Hit(web.page("/film", b"x", headers=(("Content-Type", "video/mp4"),)), "x"),
        Hit("http://10.0.0.1/inside", "x"),
        Hit(web.page("/hanging", b"x", delay=30), "x"),
    )
    async with equipped(Engine(hits), Engine(error="HTTP 403", name="down")) as tools:
        events = await run(tools)
    coverage = events[-1].coverage
    assert (coverage.found, coverage.asked, coverage.read) == (11, 11, 4)
    assert coverage.asked == coverage.read + sum(coverage.skipped.values())
    assert coverage.skipped == {
        "not_found": 1,
        "empty": 1,
        "duplicate": 1,
        "server_error": 1,
        "wrong_type": 1,
        "blocked_address": 1,
        "timeout": 1,
    }
    assert [page.url for page in coverage.pages] == [hit.url for hit in hits]
    assert [(report.name, report.status, report.error) for report in coverage.engines] == [
        ("scripted", "ok", None),
        ("down", "failed", "HTTP 403"),
    ]
    assert any("(not read: " in line and "site error: 1" in line for line in lines(events))
    assert not coverage.deadline_hit


async def test_the_order_of_arrival_changes_nothing(web, equipped):
    texts = set()
    async with equipped(Engine(piers(web, 6))) as tools:
        for slow in (0, 3, 5):
            for number in range(6):
                pier(web, number, delay=0.1 if number == slow else 0.0)
            texts.add((await run(tools))[-1].text)
    assert len(texts) == 1


async def test_a_russian_question_is_told_of_in_russian(web, equipped):
    engine = Engine(piers(web, 3))
    async with equipped(engine) as tools:
        events = await run(tools, "Какой длины старый пирс в Брайтоне?")
    assert lines(events)[0] == "Ищу в сети: Какой длины старый пирс в Брайтоне?\n"
    assert "Прочитано страниц: 3 из 3.\n" in lines(events)
    assert engine.asked[0].language == "ru"
    assert "Think and write in Russian" in tools.model.prompts[0].messages[-1].content


async def test_no_more_pages_are_read_than_the_settings_say(web, equipped):
    async with equipped(Engine(piers(web, 9)), pages=4) as tools:
        done = (await run(tools))[-1]
    assert done.coverage.read == 4
    assert done.coverage.found == 9


async def test_at_the_deadline_the_answer_is_made_of_what_came(web, equipped):
    hits = (*piers(web, 3), *(pier(web, number, delay=30) for number in range(10, 13)))
    async with equipped(Engine(hits), read_seconds=0.6) as tools:
        done = (await run(tools))[-1]
    assert done.coverage.deadline_hit
    assert (done.coverage.read, done.coverage.skipped) == (3, {"late": 3})
    assert done.cited


async def test_when_every_engine_is_down_each_is_named_and_no_model_runs(web, equipped):
    down = Engine(error="HTTP 429", name="one"), Engine(error="cannot be reached", name="two")
    async with equipped(*down) as tools:
        with pytest.raises(SearchUnavailable, match=r"one: HTTP 429; two: cannot be reached") as caught:
            await run(tools)
    assert caught.value.engines == {"one": "HTTP 429", "two": "cannot be reached"}
    assert tools.model.prompts == []


@pytest.mark.parametrize(
    ("asked", "plain"),
    [(ASKED, "I could not read a single page"), ("Какой длины пирс?", "не удалось прочитать ни одной страницы")],
)
async def test_when_no_page_can_be_read_the_answer_says_so_without_a_model(web, equipped, asked, plain):
    hits = Hit(web.base + "/missing", "x"), Hit(web.page("/shell", SHELL), "x")
    async with equipped(Engine(hits)) as tools:
        events = await run(tools, asked)
    done = events[-1]
    assert plain in done.text
    assert f"“{asked}”" in done.text
    assert said(events) == done.text
    assert (done.cited, done.annotations, done.reasoning) == ((), (), "")
    assert (done.coverage.asked, done.coverage.read) == (2, 0)
    assert tools.model.prompts == []


async def test_when_nothing_is_found_the_answer_says_so(web, equipped):
    async with equipped(Engine()) as tools:
        done = (await run(tools))[-1]
    assert "Found: 0" in done.text
    assert "none was found" in done.text
    assert tools.model.prompts == []


async def test_without_a_search_the_model_answers_alone(web, equipped):
    engine = Engine(piers(web, 1))
    async with equipped(engine) as tools:
        events = await run(tools, Question((Message("user", "Say hello"),), search=False))
    assert lines(events) == []
    assert (events[-1].coverage, events[-1].cited, events[-1].text) == (None, (), "Say hello ")
    assert engine.asked == []


async def test_a_follow_up_is_searched_as_the_model_wrote_it_out(web, equipped):
    engine = Engine(piers(web, 2))
    async with equipped(engine) as tools:
        events = await run(tools, Question(FOLLOW_UP))
    # The scripted model repeats the last line of what it is asked.
    assert engine.asked[0].text == "Question: And how wide?"
    assert lines(events)[0].startswith("Searching the web: Question: And how wide? · ")
    ((planned,), (prompt,)) = tools.model.plans, tools.model.prompts
    assert f"user: {ASKED}\nassistant: It is 525 m long.\nQuestion: And how wide?" in planned.messages[-1].content
    (message,) = prompt.messages
    assert message.content.endswith(f"user: {ASKED}\nassistant: It is 525 m long.\n\nQuestion: And how wide?")


async def test_what_a_stage_had_to_do_without_is_noted(web, equipped):
    async with equipped(Engine(piers(web, 3)), embedder=Broken()) as tools:
        done = (await run(tools))[-1]
    assert done.coverage.notes == ("ranked by words only: out of memory",)
    assert done.cited


@pytest.mark.parametrize("error", [ModelFailed("broke off"), ModelUnavailable("gone")])
async def test_a_model_that_fails_fails_the_answer(web, equipped, error):
    async with equipped(Engine(piers(web, 2)), model=Watched(error=error)) as tools:
        with pytest.raises(type(error)):
            await run(tools)


async def test_a_small_model_is_given_less_and_asked_shortly(web, equipped):
    info = ModelInfo("small", 4_096, small=True, patience=Patience(300, 60, 80))
    async with equipped(Engine(piers(web, 9)), model=Watched(info)) as tools:
        done = (await run(tools))[-1]
    (prompt,) = tools.model.prompts
    assert (prompt.thinking_tokens, prompt.answer_tokens) == (60, 80)
    assert len(prompt.messages[-1].content) < 2_000
    assert 0 < done.coverage.used < done.coverage.read == 9
    assert done.cited[0].url == web.base + "/3"


async def test_a_small_model_talks_without_thinking_first(equipped):
    info = ModelInfo("small", 4_096, small=True, patience=Patience(300, 60, 80))
    async with equipped(Engine(), model=Watched(info)) as tools:
        await run(tools, Question((Message("user", "Say hello"),), search=False))
    (prompt,) = tools.model.prompts
    assert (prompt.thinking_tokens, prompt.answer_tokens) == (0, 80)


async def test_the_answer_ends_at_a_stop_string(web, equipped):
    asked = Question((Message("user", ASKED),), stop=(". Pier",), citation_style="numeric")
    async with equipped(Engine(piers(web, 3))) as tools:
        events = await run(tools, asked)
    done = events[-1]
    assert done.finish_reason == "stop"
    assert done.text == said(events)
    assert re.fullmatch(r"Pier (\d): Pier \1 \[1\]", done.text)


async def test_reading_alone_takes_the_clients_queries_and_lengths(web, equipped):
    engine, events = Engine(piers(web, 9)), []
    question = Question((Message("user", ASKED),), exact=True)

    async def emit(event) -> None:
        events.append(event)

    async with equipped(engine) as tools:
        reading = await read(
            question,
            given(question, ("pier length", "pier size"), "de"),
            tools,
            emit,
            pages=5,
            context_chars=600,
        )
    assert {(query.text, query.language) for query in engine.asked} == {("pier length", "de"), ("pier size", "de")}
    assert reading.coverage.read == 5
    assert 0 < len(reading.context.text) <= 600
    assert reading.plan.question == ASKED
    assert reading.timings.total >= max(reading.timings.search, reading.timings.rank)
    assert {type(event) for event in events} == {Progress}
    assert tools.model.prompts == []


class Speechless(EchoModel):
    """Thinks until its tokens are spent."""

    async def stream(self, prompt):
        yield Thinking("Hm, hm.")
        yield Text("\n\n")
        yield Finished(Usage(1, 9, 9), "length")


@pytest.mark.parametrize(
    ("asked", "plain"),
    [(ASKED, "The model thought about this but wrote no answer."), ("Какой длины пирс?", "ответа не написала")],
)
@pytest.mark.parametrize("search", [True, False])
async def test_a_model_that_writes_no_answer_is_told_of(web, equipped, asked, plain, search):
    async with equipped(Engine(piers(web, 2)), model=Speechless()) as tools:
        events = await run(tools, Question((Message("user", asked),), search=search))
    done = events[-1]
    assert plain in done.text
    assert said(events) == done.text
    assert (done.finish_reason, done.reasoning, done.cited) == ("length", "Hm, hm." * 2, ())


@pytest.mark.parametrize("limits", [{"max_total_tokens": 9}, {"stop": ("x",)}])
async def test_no_words_are_added_beyond_a_clients_own_limit(web, equipped, limits):
    async with equipped(Engine(piers(web, 2)), model=Speechless()) as tools:
        events = await run(tools, Question((Message("user", ASKED),), **limits))
    assert (events[-1].text, said(events), events[-1].finish_reason) == ("", "", "length")


class Ponderous(Watched):
    """Thinks as long as it may, and answers only when told not to think; or when its thoughts are at an end."""

    def __init__(self, thoughts: int = 10_000, pause: float = 0.01) -> None:
        super().__init__()
        self.thoughts, self.pause, self.closed = thoughts, pause, 0

    async def say(self, prompt):
        try:
            for _ in range(self.thoughts if prompt.thinking_tokens else 0):
                await anyio.sleep(self.pause)
                yield Thinking("525 ")
            if not prompt.thinking_tokens:
                for word in ("525 m ", "[1]."):
                    await anyio.sleep(0.1)
                    yield Text(word)
            yield Finished(Usage(100, 20, 0, 0), "stop")
        finally:
            self.closed += 1


@pytest.mark.parametrize("search", [True, False])
async def test_a_model_whose_thoughts_lead_to_no_answer_is_asked_for_that_alone(web, equipped, search):
    model = Ponderous(thoughts=3)
    async with equipped(Engine(piers(web, 2)), model=model) as tools:
        events = await run(tools, Question((Message("user", ASKED),), search=search))
    assert [bool(prompt.thinking_tokens) for prompt in model.prompts] == [True, False]
    done = events[-1]
    assert done.text.startswith("525 m")
    assert said(events) == done.text
    assert (done.reasoning, done.usage.completion) == ("525 525 525 ", 40 + search)  # and the plan
    assert "time" not in done.text


async def test_a_client_that_limits_all_that_is_written_gets_no_second_try(web, equipped):
    model = Ponderous(thoughts=3)
    async with equipped(Engine(piers(web, 2)), model=model) as tools:
        await run(tools, Question((Message("user", ASKED),), max_total_tokens=50))
    assert len(model.prompts) == 1


@pytest.mark.parametrize(
    ("asked", "plain"), [(ASKED, "ran out, so it was written"), ("Какой длины пирс?", "Время на этот ответ вышло")]
)
@pytest.mark.parametrize("search", [True, False])
async def test_when_the_time_is_up_thinking_ends_and_the_answer_comes_and_says_so(web, equipped, asked, plain, search):
    model = Ponderous()
    async with equipped(Engine(piers(web, 2)), model=model) as tools:
        events = await run(tools, Question((Message("user", asked),), search=search, max_seconds=0.4))
    assert model.closed == 2
    done = events[-1]
    assert done.text.startswith("525 m")
    assert plain in done.text
    assert said(events) == done.text
    assert 0 < done.reasoning.count("525") < 200
    assert done.usage.reasoning == done.reasoning.count("525")
    assert done.coverage is None or done.coverage.deadline_hit


async def test_an_answer_that_has_begun_is_written_to_its_end(web, equipped):
    class Slow(Watched):
        async def say(self, prompt):
            for word in ("525 ", "m ", "[1]."):
                await anyio.sleep(0.2)
                yield Text(word)
            yield Finished(Usage(), "stop")

    model = Slow()
    async with equipped(model=model) as tools:
        events = await run(tools, Question((Message("user", ASKED),), search=False, max_seconds=0.4))
    assert len(model.prompts) == 1
    assert events[-1].text.split() == ["525", "m."]
    assert "time" not in events[-1].text


async def test_blank_lines_before_the_answer_are_left_out(web, equipped):
    class Spaced(EchoModel):
        async def stream(self, prompt):
            for piece in ("\n", "\n  330", " m.", "\n\nTall."):
                yield Text(piece)
            yield Finished(Usage(), "stop")

    async with equipped(model=Spaced()) as tools:
        events = await run(tools, Question((Message("user", ASKED),), search=False))
    assert events[-1].text == said(events) == "330 m.\n\nTall."


async def test_a_conversation_without_room_for_sources_is_refused_before_any_work(web, equipped):
    engine = Engine(piers(web, 2))
    long = Question((Message("user", "How long is the pier? " * 3_000),))
    async with equipped(engine, model=Watched(ModelInfo("m", 16_384))) as tools:
        for refuse in (check(long, tools), run(tools, long)):
            with pytest.raises(BadRequest, match="no room for sources") as caught:
                await refuse
            assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
        await check(Question(long.messages, search=False), tools)
    assert engine.asked == []


async def test_a_reading_of_a_given_length_needs_no_model(web, equipped):
    class Down(EchoModel):
        async def info(self):
            raise ModelUnavailable("The model cannot be reached.")

    async def ignored(event):
        pass

    async with equipped(Engine(piers(web, 4)), model=Down()) as tools:
        question = Question((Message("user", ASKED),))
        reading = await read(question, unaided(question), tools, ignored, context_chars=600)
        assert reading.context.sources
        with pytest.raises(ModelUnavailable):
            await read(question, unaided(question), tools, ignored)


class Narrow(Watched):
    """A model whose server counts more tokens than were reckoned."""

    def __init__(self, most_chars: int) -> None:
        super().__init__()
        self.most_chars = most_chars

    async def say(self, prompt):
        if len(prompt.messages[-1].content) > self.most_chars:
            raise ContextOverflow("The prompt is too long.")
        async for event in super().say(prompt):
            yield event


async def test_sources_that_the_model_finds_too_long_are_trimmed_and_it_is_asked_again(web, equipped):
    model = Narrow(3_000)
    async with equipped(Engine(piers(web, 12)), model=model) as tools:
        events = await run(tools)
    lengths = [len(prompt.messages[-1].content) for prompt in model.prompts]
    assert lengths == sorted(set(lengths), reverse=True)
    assert lengths[-2] > 3_000 >= lengths[-1]
    used = len(set(re.findall(r"\[webpage (\d+) begin\]", model.prompts[-1].messages[-1].content)))
    assert 1 <= events[-1].coverage.used == used < 12
    assert [event.text for event in events if isinstance(event, Progress)][-1].endswith(f"from {used} pages.\n\n")


async def test_a_model_that_takes_no_sources_at_all_is_told_to_the_client(web, equipped):
    model = Narrow(10)
    async with equipped(Engine(piers(web, 12)), model=model) as tools:
        with pytest.raises(ContextOverflow):
            await run(tools)
    assert len(model.prompts) == 4


async def test_only_the_turns_that_the_model_is_sent_take_room(web, equipped):
    turns = [Message("user", "x" * 9_000), Message("assistant", "y" * 9_000)] * 20
    async with equipped(model=Watched(ModelInfo("m", 16_384))) as tools:
        await check(Question((*turns, Message("user", ASKED))), tools)


class Unimpressed(HashingEmbedder):
    """Finds that nothing has to do with any question."""

    unrelated_below = 2.0


@pytest.mark.parametrize(("native", "asked"), [(True, 1), (False, 0)])
async def test_a_small_model_is_not_asked_about_pages_beside_the_question(web, equipped, native, asked):
    model = Watched(ModelInfo("m", 8_192, small=not native))
    async with equipped(Engine(piers(web, 4)), model=model, embedder=Unimpressed()) as tools:
        done = (await run(tools))[-1]
    assert len(model.prompts) == asked
    assert bool(done.cited) == native
    if not native:
        assert done.text.startswith("None of the 4 pages that were read")
        assert f"Searched for: “{ASKED}”" in done.text


IN_RUSSIAN = "Длина старого пирса в Брайтоне пятьсот двадцать пять метров, он сделан из железа [1]. "
IN_CHINESE = "布莱顿的旧码头是用铁建造的，长五百二十五米，于十九世纪开放。" * 3


class Drifting(Watched):
    """Says at each call what comes next: thoughts, then an answer."""

    def __init__(self, *calls: tuple[str, str]) -> None:
        super().__init__()
        self.calls = list(calls)

    async def say(self, prompt):
        thought, text = self.calls[len(self.prompts) - 1]
        for word in re.findall(r"\S{1,9}\s*", thought):
            yield Thinking(word)
        for word in re.findall(r"\S{1,9}\s*", text):
            yield Text(word)
        yield Finished(Usage(100, 20, 10, 0), "stop")


@pytest.mark.parametrize(
    ("calls", "budgets"),
    [
        ([(IN_RUSSIAN, IN_RUSSIAN)], "t"),
        ([(IN_CHINESE, IN_CHINESE), (IN_RUSSIAN, IN_RUSSIAN)], "tt"),
        ([(IN_RUSSIAN, IN_CHINESE), ("", IN_RUSSIAN)], "t-"),
        ([(IN_CHINESE, ""), (IN_CHINESE, ""), ("", IN_RUSSIAN)], "tt-"),
        ([(IN_CHINESE, ""), (IN_CHINESE, ""), ("", IN_CHINESE)], "tt-"),
    ],
)
async def test_a_model_that_drifts_into_another_language_is_asked_again(web, equipped, calls, budgets):
    model = Drifting(*calls)
    async with equipped(Engine(piers(web, 2)), model=model) as tools:
        events = await run(tools, "Какой длины старый пирс в Брайтоне?")
    assert "".join("t" if prompt.thinking_tokens else "-" for prompt in model.prompts) == budgets
    asked = [prompt.messages[-1].content for prompt in model.prompts]
    assert ["Думай и отвечай только на русском" in text for text in asked] == [False] + [True] * (len(calls) - 1)
    done = events[-1]
    assert said(events) == done.text
    assert ("铁" in done.text) is (calls[-1][1] == IN_CHINESE)
    assert "铁" not in done.reasoning
    assert any("another language" in note for note in done.coverage.notes) is (len(calls) > 1)


async def test_an_answer_that_drifts_in_its_middle_is_begun_anew(web, equipped):
    model = Drifting((IN_RUSSIAN, IN_RUSSIAN * 4 + IN_CHINESE * 9), ("", IN_RUSSIAN))
    async with equipped(Engine(piers(web, 2)), model=model) as tools:
        events = await run(tools, "Какой длины старый пирс в Брайтоне?")
    first, _, second = events[-1].text.partition("Модель перешла на другой язык. Ещё раз:")
    assert first.startswith("Длина")
    assert second.strip().startswith("Длина")
    assert "铁" not in second
    assert said(events) == events[-1].text


async def test_a_question_that_wants_another_language_gets_it(web, equipped):
    model = Drifting((IN_CHINESE, IN_CHINESE))
    async with equipped(Engine(piers(web, 2)), model=model) as tools:
        events = await run(tools, "Расскажи о старом пирсе в Брайтоне на китайском языке")
    assert "铁" in events[-1].text
    assert len(model.prompts) == 1
