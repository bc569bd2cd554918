"""The page at `/`, used in headless Chromium as a person does: what is seen and asked, and what is never loaded."""

import json
import os
import re
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import anyio
import pytest
from playwright.async_api import async_playwright, expect

from agent import page as page_files
from agent.pipeline import answer as whole_pipeline
from agent.types import (
    Annotation,
    Answer,
    CheckedMark,
    Cited,
    Context,
    Coverage,
    PageOutcome,
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
from retrieval.types import Document, Query
from tests.test_pipeline import ASKED, Engine, piers
from tests.test_server import broken_search, running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.usefixtures("no_settings"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH"),
]
# No sandbox inside a container; and nothing that calls home.
ARGUMENTS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 10_000
MOST_BYTES = 200_000
USABLE_MS = 1_000
LONGEST_GAP_MS = 500
PHONE = {"width": 360, "height": 740}
# Where pictures of the page go; nowhere by default.
PICTURES = os.environ.get("PAGE_SCREENSHOTS")

PIER, JETTY, GONE, LATE = (
    f"https://{site}" for site in ("piers.example/brighton", "jetty.example/", "gone.example/x", "late.example/")
)
QUOTE = "The chain pier - the first of its kind, was 350 m long when it was opened to the public in 1823"
OPENED = PIER + "#:~:text=The%20chain%20pier%20%2D%20the,to%20the%20public%20in%201823"
QUESTION = "How long was the chain pier of Brighton?"
THOUGHT = "The first page tells the length. "
MARKS = (f"[[1]]({PIER})", f"[[2]]({JETTY})")
WRITTEN = (
    f"The pier was **350 m** long {MARKS[0]} and its towers stood 𝑑 apart:\n\n"
    f"$$d = \\frac{{350}}{{4}} \\approx 87.5$$\n\n"
    f"- opened in 1823 {MARKS[0]}\n- a jetty is *shorter* {MARKS[1]}\n\n| pier | m |\n|---|---:|\n| chain | 350 |\n"
)


def annotated(text, **proofs):
    """Return the annotations of the marks in a text; `proofs` by number."""
    found = re.finditer(r"\[\[(\d+)\]\]\(([^)]+)\)", text)
    return tuple(Annotation(mark.start(), mark.end(), mark[2], *proofs[f"of{mark[1]}"]) for mark in found)


PROOFS = {"of1": ("The Chain Pier", 0.92, QUOTE, "2024-05-06"), "of2": ("A jetty", 0.31, None, None)}
DONE = Answer(
    WRITTEN,
    THOUGHT,
    annotated(WRITTEN, **PROOFS),
    (Cited(PIER, "The Chain Pier", "2024-05-06", QUOTE), Cited(JETTY, "A jetty", None, "short")),
    Usage(1_000, 200),
    "stop",
    Coverage(found=4, asked=3, read=2, used=2, cited=2, pages=(PageRecord(GONE, "skipped", "not_found", 3, 0, 0),)),
    checked=(CheckedMark("It burned in 1896.", GONE, None, 5, 0.1),),
)


def outcome(url, title, status="read", reason=None, **more):
    return Progress("", page=PageOutcome(url, title, PageRecord(url, status, reason, 120, 2_048, 900, **more)))


def given(*urls):
    """Tell that the reading is over, and which pages the model is given."""
    documents = [Document(url, "t", "text", "site") for url in urls]
    context = Context("", tuple(Source(number, each, ()) for number, each in enumerate(documents, 1)))
    return Progress("", reading=Reading(Plan("q", "en", (Query("q"),)), (), context, Coverage(), Timings()))


@dataclass
class Told:
    """An answerer that tells what it was given to tell, and waits before the answer until it may go on."""

    answer: Answer = DONE
    steps: tuple = (
        Progress("", searching=("chain pier length", "Brighton pier 1823")),
        Progress("", found=(PIER, JETTY, GONE, LATE)),
        outcome(PIER, "The Chain Pier"),
        outcome(JETTY, "A jetty", cached=True),
        outcome(GONE, "Gone", "skipped", "not_found"),
    )
    waits: bool = False
    may_go_on: anyio.Event = field(default_factory=anyio.Event)
    left: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, question, tools, emit):
        try:
            for step in self.steps:
                await emit(step)
            if self.waits:
                await self.may_go_on.wait()
            await emit(given(*(cited.url for cited in self.answer.cited)))
            await emit(Thinking(self.answer.reasoning))
            for piece in re.findall(r"\S+\s*", self.answer.text):
                await emit(Text(piece))
            await emit(self.answer)
        finally:
            self.left.set()


@pytest.fixture(scope="module")
async def chromium():
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@dataclass
class Seen:
    """A tab, and everything that it asked for or complained of."""

    tab: object
    asked: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    def watch(self):
        self.tab.on("request", self.note_request)
        self.tab.on(
            "console", lambda message: self.note(message.text) if message.type in {"error", "warning"} else None
        )
        self.tab.on("pageerror", lambda error: self.note(str(error)))
        self.tab.on("dialog", self.dismiss)

    def note_request(self, request):
        self.asked.append(request)

    def note(self, problem):
        self.problems.append(problem)

    async def dismiss(self, dialog):
        self.note(f"dialog: {dialog.message}")
        await dialog.dismiss()

    @property
    def bodies(self):
        return [json.loads(request.post_data) for request in self.asked if request.method == "POST"]


@asynccontextmanager
async def opened(chromium, client, **options):
    """Open the page in a browser of its own."""
    context = await chromium.new_context(**{"locale": "en-US", **options})
    context.set_default_timeout(WAIT_MS)
    try:
        seen = Seen(await context.new_page())
        seen.watch()
        await seen.tab.goto(str(client.base_url))
        yield seen
    finally:
        await context.close()


async def ask(tab, question=QUESTION):
    await tab.get_by_role("textbox", name=re.compile("question|вопрос")).fill(question)
    await tab.keyboard.press("Enter")


async def ended(tab, text="Answered in"):
    await expect(tab.get_by_role("status")).to_contain_text(text, timeout=WAIT_MS)


async def picture(tab, name):
    if PICTURES:
        await tab.screenshot(path=Path(PICTURES) / f"{name}.png")


# ---- asking and watching


async def test_pages_are_seen_before_the_answer_and_then_the_answer(chromium):
    told = Told(waits=True)
    async with running(answer=told) as client, opened(chromium, client) as seen:
        tab = seen.tab
        await ask(tab)
        tiles = tab.get_by_role("list", name="Pages").get_by_role("listitem")
        await expect(tiles).to_have_count(4)
        while_reading = await tiles.all_inner_texts()
        counted = await tab.locator(".board > summary").inner_text()
        queries = await tab.get_by_role("list", name="Searched for").get_by_role("listitem").all_inner_texts()
        await expect(tab.get_by_role("status")).to_have_text("Reading pages")
        await expect(tab.get_by_role("region", name="Answer")).to_be_hidden()
        await picture(tab, "page-reading")
        told.may_go_on.set()
        await ended(tab)
        folded = await tab.locator(".board").get_attribute("open")
        await tab.locator(".board > summary").click()
        in_the_end = await tiles.all_inner_texts()

        assert queries == ["chain pier length", "Brighton pier 1823"]
        assert counted == "Found 4 · read 2 · skipped 1"
        assert [text.split("\n") for text in while_reading] == [
            ["The Chain Pier", "piers.example", "read, 120 ms"],
            ["A jetty", "jetty.example", "read, from the cache"],
            ["Gone", "gone.example", "skipped: not found"],
            ["late.example", "late.example", "waiting"],
        ]
        assert folded is None
        assert [text.split("\n")[-1] for text in in_the_end] == [
            "read, given to the model",
            "read, given to the model",
            "skipped: not found",
            "not needed",
        ]
        assert seen.problems == []


async def test_thoughts_are_folded_and_unfold(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        thought = seen.tab.get_by_text(THOUGHT.strip())
        await expect(thought).to_be_hidden()
        await seen.tab.get_by_text("How the model thought").click()
        await expect(thought).to_be_visible()


async def test_the_answer_is_markdown_with_formulas_sources_and_its_record(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        answer = seen.tab.get_by_role("region", name="Answer")
        shape = await answer.evaluate("node => [...node.children].map(child => child.localName)")
        fraction = await answer.locator("math mfrac").evaluate(
            "node => [...node.children].map(part => part.textContent)"
        )
        sources = await seen.tab.locator(".sources li").all_inner_texts()
        text = await seen.tab.locator(".turn > footer").inner_text()

    assert shape == ["p", "div", "ul", "div"]
    assert fraction == ["350", "4"]
    assert [each.split("\n") for each in sources] == [
        ["The Chain Pier", "piers.example · May 6, 2024"],
        ["A jetty", "jetty.example"],
    ]
    assert "4 pages found, 3 asked, 2 read, 2 used, 2 cited; skipped: not found (1)" in text
    assert "supports what they stood behind: 1" in text


async def test_what_is_no_formula_stays_text(chromium):
    text = "It costs $5 or $10, \\(\\unknown{x}\\) is kept, \\(a_i^2\\) and $\\sqrt[3]{x}$ are shown."
    async with running(answer=Told(plain_answer(text))) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        answer = seen.tab.get_by_role("region", name="Answer")
        formulas = await answer.locator("math").evaluate_all(
            "all => all.map(each => each.firstChild.firstChild.localName)"
        )
        kept = await answer.locator("code.math").all_inner_texts()
        said = await answer.inner_text()

    assert formulas == ["msubsup", "mroot"]
    assert kept == ["\\(\\unknown{x}\\)"]
    assert said.startswith("It costs $5 or $10, ")


def plain_answer(text, **fields):
    whole = {"annotations": (), "cited": (), "coverage": None} | fields
    return Answer(text, "", whole["annotations"], whole["cited"], Usage(1, 1), "stop", whole["coverage"])


async def test_the_whole_product_answers_the_page(chromium, web, equipped):
    async with (
        equipped(Engine(piers(web, 4))) as tools,
        running(answer=whole_pipeline, tools=tools, run_seconds=60) as client,
        opened(chromium, client) as seen,
    ):
        await ask(seen.tab, ASKED)
        await ended(seen.tab)
        await seen.tab.locator(".board > summary").click()
        states = await seen.tab.locator(".tiles .became").all_inner_texts()
        marks = await seen.tab.locator(".answer .mark").all_inner_texts()
        run = await seen.tab.get_by_role("link", name="How this answer came about").get_attribute("href")
        record = await client.get(f"/{run}")

    assert len(states) == 4
    assert all(state.startswith("read, ") for state in states)
    assert marks[0] == "1"
    assert record.json()["plan"]["question"] == ASKED
    assert seen.problems == []


# ---- citations


async def test_a_mark_tells_its_proof_and_opens_the_page_at_it(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        tab = seen.tab
        await ask(tab)
        await ended(tab)
        proven, weak = tab.locator(".mark").first, tab.locator(".mark").last
        tip = tab.get_by_role("tooltip")
        await proven.hover()
        told = await tip.inner_text()
        described = await proven.get_attribute("aria-describedby")
        await picture(tab, "page")
        await tab.mouse.move(0, 0)
        await expect(tip).to_be_hidden()
        await weak.focus()
        told_weak = await tip.inner_text()
        await tab.keyboard.press("Escape")
        await expect(tip).to_be_hidden()

        assert told.split("\n") == [
            "The Chain Pier",
            "piers.example · May 6, 2024",
            QUOTE,
            "well supported (92%)",
            "Opens the page at the quote.",
        ]
        assert described == "tip"
        assert told_weak.split("\n") == ["A jetty", "jetty.example", "hardly supported (31%)", "Opens the page."]
        assert await proven.get_attribute("href") == OPENED
        assert await proven.get_attribute("rel") == "noopener noreferrer nofollow"
        assert await proven.get_attribute("aria-label") == "Source 1: The Chain Pier"
        assert await weak.get_attribute("href") == JETTY


async def test_the_first_tap_explains_and_the_second_opens(chromium):
    phone = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    async with running(answer=Told()) as client, opened(chromium, client, **phone) as seen:
        tab = seen.tab
        await tab.context.route(
            "**/*", lambda route: route.abort() if ".example" in route.request.url else route.continue_()
        )
        await ask(tab)
        await ended(tab)
        mark = tab.locator(".mark").first
        await mark.tap()
        await expect(tab.get_by_role("tooltip")).to_contain_text("Tap again to open the page at the quote.")
        opened_by_one = len(tab.context.pages) - 1
        async with tab.context.expect_page():
            await mark.tap()

    assert opened_by_one == 0


async def test_marks_without_links_get_theirs(chromium):
    text = "It is long [1] and so is this [1]."
    marks = tuple(Annotation(at, at + 3, PIER, "The Chain Pier", 0.8, quote) for at, quote in ((11, "a"), (30, "b")))
    async with running(answer=Told(plain_answer(text, annotations=marks))) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        targets = await seen.tab.locator(".mark").evaluate_all("all => all.map(each => each.href)")

    assert targets == [f"{PIER}#:~:text=a", f"{PIER}#:~:text=b"]


HIDDEN = {
    "a cut cell": f"| a |\n|---|\n| x | {MARKS[0]} |\n",
    "a block of code": f"So:\n\n    {MARKS[0]}\n",
    "a formula": f"$$x {MARKS[0]}$$\n",
    "a code span": f"`{MARKS[0]}`\n",
    "deep quotes": f"{'> ' * 45}{MARKS[0]}\n",
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
async def test_a_mark_that_is_not_shown_gives_its_proof_to_no_other(hidden, chromium):
    text = f"{hidden}\nA claim {MARKS[0]}\n"
    first, second = annotated(text, of1=("The Chain Pier", 0.9, "first"))
    marks = (first, replace(second, quote="second"))
    async with running(answer=Told(plain_answer(text, annotations=marks))) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        targets = await seen.tab.locator(".mark").evaluate_all("all => all.map(each => each.href)")
        shown = await seen.tab.get_by_role("region", name="Answer").inner_text()

    assert targets == [f"{PIER}#:~:text=second"]
    assert "\ufdd0" not in shown
    assert '"' not in shown
    assert seen.problems == []


async def test_an_annotation_that_names_no_place_is_let_be(chromium):
    known = {"type": "url_citation", "url_citation": {"url": PIER, "title": "Pier", "quote": "q"}}
    placed = known["url_citation"] | {"start_index": 3, "end_index": 3 + len(MARKS[0])}
    broken = [None, {}, known, {"url_citation": placed | {"start_index": 1.5}}, {"url_citation": placed}]
    async with running() as client, opened(chromium, client) as seen:
        await streamed(seen.tab, {"content": f"So {MARKS[0]}"}, {"annotations": broken})
        await ask(seen.tab)
        await ended(seen.tab)
        targets = await seen.tab.locator(".mark").evaluate_all("all => all.map(each => each.href)")

    assert targets == [f"{PIER}#:~:text=q"]


async def streamed(tab, *deltas, ending="\n\n", finish="stop"):
    """Let the page be answered by a stream that says this."""
    chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks += [{"choices": [{"delta": {}, "finish_reason": finish}]}] if finish else []
    body = "\n\n".join(f"data: {json.dumps(chunk)}" for chunk in chunks) + ending
    await tab.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(headers={"content-type": "text/event-stream"}, body=body),
    )


# ---- what goes wrong in drawing


async def test_a_block_that_cannot_be_drawn_leaves_the_text_and_the_page_alive(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await seen.tab.evaluate("void (document.createElementNS = () => { throw new Error('no formulas'); })")
        await ask(seen.tab)
        await ended(seen.tab)
        shown = await seen.tab.get_by_role("region", name="Answer").inner_text()
        await ask(seen.tab, "And then?")
        await expect(seen.tab.locator(".turn .sources")).to_have_count(2)

    assert shown.startswith("The pier was **350 m** long")
    assert "| chain | 350 |" in shown


async def test_a_task_that_fails_does_not_keep_the_others_from_their_frame(chromium):
    async with running() as client, opened(chromium, client) as seen:
        ran = await seen.tab.evaluate("""async () => {
          const { nextFrame } = await import("/page/frames.js");
          nextFrame(() => { throw new Error("broken"); });
          return new Promise((resolve) => {
            nextFrame(() => resolve("ran"));
            setTimeout(() => resolve("lost"), 2000);
          });
        }""")

    assert ran == "ran"


async def test_a_paragraph_of_very_many_parts_is_drawn(chromium):
    text = "a *b* " * 40_000
    async with running() as client, opened(chromium, client) as seen:
        parts = await seen.tab.evaluate(
            """async (text) => {
              const { element } = await import("/page/elements.js");
              return element("p", "", text.split(" ")).childNodes.length;
            }""",
            "a " * 150_000,
        )
        await streamed(seen.tab, {"content": text})
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("status")).to_contain_text("Answered in", timeout=30_000)

    assert parts == 150_001
    assert seen.problems == []


async def test_a_long_answer_is_read_once_when_it_is_whole(chromium):
    text = "".join(f"Paragraph {number} is *long* {MARKS[0]} and says `little`.\n\n" for number in range(2_000))
    async with running() as client, opened(chromium, client) as seen:
        await streamed(seen.tab, {"content": text})
        await seen.tab.evaluate("""async () => {
          const { marked } = await import("/page/marked.js");
          const lexer = marked.lexer;
          window.reads = 0;
          marked.lexer = (text) => { window.reads += 1; return lexer(text); };
        }""")
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("status")).to_contain_text("Answered in", timeout=30_000)
        reads = await seen.tab.evaluate("window.reads")
        shown = await seen.tab.locator(".answer > p").count()

    assert shown == 2_000
    assert reads <= 2


async def test_nothing_in_a_formula_turns_the_direction_of_the_text(chromium):
    text = "$\\text{a\u202eb}$ and $\\unknown{\u2066c}$ and\n\n$$x \u202e = y$$\n"
    async with running(answer=Told(plain_answer(text))) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        shown = await seen.tab.locator(".answer").evaluate("node => node.textContent")

    assert "ab" in shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", shown)


async def test_what_has_the_focus_is_not_under_the_form(chromium):
    text = "".join(f"Paragraph {number} {MARKS[0]}\n\n" for number in range(40))
    async with running(answer=Told(plain_answer(text))) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        await seen.tab.locator(".mark").nth(30).focus()
        foot = await seen.tab.locator(".mark").nth(30).evaluate("node => node.getBoundingClientRect().bottom")
        form = await seen.tab.locator("#ask").evaluate("node => node.getBoundingClientRect().top")

    assert foot <= form


# ---- the thread


async def test_a_follow_up_tells_the_whole_thread(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await seen.tab.get_by_label("Effort").select_option("wellread-deep")
        await ask(seen.tab)
        await ended(seen.tab)
        await ask(seen.tab, "And when\nwas it opened?")
        await expect(seen.tab.locator(".turn .sources")).to_have_count(2)
        first, second = seen.bodies
        headers = await seen.asked[-1].all_headers()
        await seen.tab.get_by_role("button", name="New question").click()
        await expect(seen.tab.locator(".turn")).to_have_count(0)

    assert first == {
        "model": "wellread-deep",
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert second["messages"] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": WRITTEN},
        {"role": "user", "content": "And when\nwas it opened?"},
    ]
    assert headers["x-watch"] == "on"
    assert "authorization" not in headers


async def test_shift_and_enter_begin_a_line(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        question = seen.tab.get_by_role("textbox", name="Your question")
        await question.press_sequentially("one")
        await question.press("Shift+Enter")
        await question.press_sequentially("two")

        assert await question.input_value() == "one\ntwo"
        assert seen.bodies == []


async def test_stopping_ends_the_work(chromium):
    told = Told(waits=True)
    async with running(answer=told) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await expect(seen.tab.locator(".tiles li")).to_have_count(4)
        await seen.tab.get_by_role("button", name="Stop").click()
        await ended(seen.tab, "Stopped")
        with anyio.fail_after(5):
            await told.left.wait()
        await expect(seen.tab.get_by_role("button", name="Ask")).to_be_visible()
        await expect(seen.tab.get_by_role("alert")).to_have_count(0)
        assert seen.problems == []


# ---- errors


async def test_an_error_in_the_stream_is_shown_as_the_server_says_it(chromium):
    async with running(answer=broken_search) as client, opened(chromium, client) as seen:
        said = (await client.post("/v1/chat/completions", json=BODY)).json()["error"]["message"]
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("alert")).to_have_text(f"Error: {said}")
        await ended(seen.tab, "That failed")

        assert await seen.tab.get_by_role("textbox", name="Your question").input_value() == QUESTION


BODY = {"model": "wellread", "messages": [{"role": "user", "content": QUESTION}]}


async def test_a_key_that_is_missing_is_asked_for_and_then_kept_in_the_tab(chromium):
    async with running(answer=Told(), api_keys=("secret",)) as client, opened(chromium, client) as seen:
        key = seen.tab.get_by_label("Kept in this tab")
        await expect(key).to_be_hidden()
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("alert")).to_contain_text("key")
        await expect(key).to_be_focused()
        await key.fill("secret")
        await seen.tab.get_by_role("button", name="Ask").click()
        await ended(seen.tab)
        await seen.tab.reload()

        assert await seen.tab.locator("#key").input_value() == "secret"
        assert await seen.tab.evaluate("JSON.stringify(localStorage)") == "{}"


async def test_a_broken_answer_is_not_told_to_the_server(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await streamed(seen.tab, {"content": "Half an"}, finish=None)
        await ask(seen.tab)
        await ended(seen.tab, "That failed")
        await ask(seen.tab)
        await ended(seen.tab, "That failed")

    assert [body["messages"] for body in seen.bodies] == [[{"role": "user", "content": QUESTION}]] * 2


async def test_an_ending_without_a_newline_is_read(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await streamed(seen.tab, {"content": "Whole."}, ending="")
        await ask(seen.tab)
        await ended(seen.tab)

    assert seen.problems == []


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__"])
async def test_a_reason_with_an_inherited_name_is_shown_as_it_is(name, chromium):
    told = Told(steps=(outcome(GONE, "Gone", "skipped", name),))
    async with running(answer=told) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        await seen.tab.locator(".board > summary").click()
        await expect(seen.tab.locator(".tiles .became")).to_have_text(f"skipped: {name}")


async def test_a_very_long_word_is_read_at_once(chromium):
    text = f"So *much*: {'a' * 200_000} and *more* {MARKS[0]}\n\n{'b.' * 100_000}\n"
    async with running() as client, opened(chromium, client) as seen:
        took, shown = await seen.tab.evaluate(
            """async (text) => {
              const { blocks, built } = await import("/page/markdown.js");
              const begun = performance.now();
              const nodes = blocks(text).flatMap((token) => built(token));
              return [performance.now() - begun, nodes.map((node) => node.innerHTML)];
            }""",
            text,
        )

    print(f"long words took {took:.0f} ms")
    assert took < 2_000
    assert shown[0].startswith("So <em>much</em>: aaa")
    assert shown[0].count("<em>more</em>") == 1
    assert 'class="mark"' in shown[0]
    assert shown[1] == "b." * 100_000


async def test_the_tooltip_stays_in_a_low_window(chromium):
    low = {"viewport": {"width": 500, "height": 320}}
    text = f"A claim {MARKS[0]}\n"
    (mark,) = annotated(text, of1=("The Chain Pier", 0.9, "long words " * 300))
    told = Told(plain_answer(text, annotations=(mark,)))
    async with running(answer=told) as client, opened(chromium, client, **low) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        await seen.tab.locator(".mark").focus()
        box = await seen.tab.get_by_role("tooltip").bounding_box()
        quote = await seen.tab.locator(".tip q").inner_text()

    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 320
    assert len(quote) <= 401


async def test_stopping_before_the_answer_gives_the_question_back(chromium):
    async with running(answer=Told(waits=True)) as client, opened(chromium, client) as seen:
        await ask(seen.tab)
        await expect(seen.tab.locator(".tiles li")).to_have_count(4)
        await seen.tab.get_by_role("button", name="Stop").click()
        await ended(seen.tab, "Stopped")

        assert await seen.tab.get_by_role("textbox", name="Your question").input_value() == QUESTION


async def test_the_run_opens_beside_with_the_key_of_the_tab(chromium):
    kept = running(answer=Told(), api_keys=("secret",), run_seconds=60)
    async with kept as client, opened(chromium, client) as seen:
        await seen.tab.evaluate("sessionStorage.setItem('wellread.key', 'secret')")
        await seen.tab.reload()
        await ask(seen.tab)
        await ended(seen.tab)
        async with seen.tab.context.expect_page() as beside:
            await seen.tab.get_by_role("link", name="How this answer came about").click()
        run = await beside.value
        await expect(run.get_by_role("button", name="Download as JSON")).to_be_visible()
        await expect(run.get_by_label("API key")).to_have_count(0)


async def test_print_leaves_the_form_out(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await seen.tab.emulate_media(media="print")
        await expect(seen.tab.locator("#ask")).to_be_hidden()
        await expect(seen.tab.locator("header")).to_be_hidden()


async def test_a_key_that_no_browser_sends_is_told_in_words(chromium):
    async with running(answer=Told(), api_keys=("secret",)) as client, opened(chromium, client) as seen:
        key = seen.tab.locator("#key")
        await seen.tab.locator("#key-field summary").click()
        await key.fill("ключ")
        await seen.tab.locator("#key-field summary").click()
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("alert")).to_have_text(
            "A key is made of Latin letters, digits and signs, without spaces."
        )
        await expect(key).to_be_focused()
        await key.fill("  secret ")
        await seen.tab.get_by_role("button", name="Ask").click()
        await ended(seen.tab)

        assert await seen.tab.evaluate("sessionStorage.getItem('wellread.key')") == "secret"


async def test_a_stranger_that_answers_is_told(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await seen.tab.route(
            "**/v1/**", lambda route: route.fulfill(content_type="text/html", body="<h1>Please log in</h1>")
        )
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("alert")).to_have_text("What answered is not Wellread.")


async def test_a_server_that_is_gone_is_told(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await seen.tab.route("**/v1/**", lambda route: route.abort())
        await ask(seen.tab)
        await expect(seen.tab.get_by_role("alert")).to_have_text("The server cannot be reached.")


# ---- languages and sizes


RUSSIAN = (
    f"Цепной пирс в Брайтоне был длиной **350 м** {MARKS[0]}. Его открыли для публики в 1823 году {MARKS[0]}, "
    f"а в 1896 году его разрушила буря; причал рядом был короче {MARKS[1]}."
)


async def test_russian_is_spoken_to_russian_browsers_and_a_choice_is_remembered(chromium):
    told = Told(replace(DONE, text=RUSSIAN, annotations=annotated(RUSSIAN, **PROOFS)))
    async with running(answer=told) as client, opened(chromium, client, locale="ru-RU") as seen:
        tab = seen.tab
        await ask(tab, "Какой длины был цепной пирс в Брайтоне?")
        await ended(tab, "Готово за")
        await tab.locator(".mark").first.hover()
        told = await tab.get_by_role("tooltip").inner_text()
        counted = await tab.locator(".board > summary").inner_text()
        await picture(tab, "page-russian")
        await tab.get_by_role("button", name="English").click()
        counted_in_english = await tab.locator(".board > summary").inner_text()
        await tab.reload()

        assert "хорошо подтверждено (92\u00a0%)" in told
        assert counted == "Найдено 4 · прочитано 2 · пропущено 1"
        assert counted_in_english == "Found 4 · read 2 · skipped 1"
        assert await tab.locator("html").get_attribute("lang") == "en"
        assert await tab.get_by_role("button", name="English").get_attribute("aria-pressed") == "true"


def test_everything_is_said_in_both_languages():
    english, russian = (files("agent.page") / "strings.js").read_text().split("\n  ru: {")
    said = [re.findall(r'^    (\w+): "', part, re.MULTILINE) for part in (english, russian)]

    assert said[0] == said[1]
    assert len(said[0]) > 50


WIDE = (
    f"{'unbroken' * 60}\n\n| {' | '.join('abcdefghij' for _ in range(12))} |\n{'|---' * 12}|\n\n```\n{'x' * 400}\n```"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_never_scrolls_sideways(chromium, scheme):
    steps = (*Told.steps, outcome("https://long.example/" + "x" * 300, "T" * 300))
    told = Told(plain_answer(WRITTEN + WIDE, annotations=DONE.annotations, cited=DONE.cited), steps, waits=True)
    phone = {"viewport": PHONE, "color_scheme": scheme, "has_touch": True, "is_mobile": True}
    async with running(answer=told) as client, opened(chromium, client, **phone) as seen:
        widths = [await seen.tab.evaluate(WIDTH)]
        await ask(seen.tab)
        await expect(seen.tab.locator(".tiles li")).to_have_count(5)
        widths.append(await seen.tab.evaluate(WIDTH))
        told.may_go_on.set()
        await ended(seen.tab)
        await seen.tab.locator(".mark").first.tap()
        widths.append(await seen.tab.evaluate(WIDTH))
        await seen.tab.locator("#key-field summary").click()
        widths.append(await seen.tab.evaluate(WIDTH))

    assert widths == [PHONE["width"]] * 4


WIDTH = "document.documentElement.scrollWidth"


async def test_the_phone_in_the_dark(chromium):
    phone = {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    async with running(answer=Told()) as client, opened(chromium, client, **phone) as seen:
        await ask(seen.tab)
        await ended(seen.tab)
        await seen.tab.locator(".mark").first.tap()
        await picture(seen.tab, "page-phone")
        ground = await seen.tab.evaluate("getComputedStyle(document.body).backgroundColor")

    assert ground == "rgb(21, 24, 29)"


# ---- what strangers wrote

IMAGE = "<img src=//evil.example/x onerror=alert(1)>"
BIDI = "\u202egnp.exe\u202c"
HOSTILE = (
    f"{IMAGE} ![pixel](https://evil.example/p.png) [go](javascript:alert(1)) [data](data:text/html,x) {BIDI}\n\n"
    f"<script>alert(1)</script>\n\n<iframe src=https://evil.example/></iframe>\n\n"
    f"[[1]](javascript:alert(1)) &lt;b&gt; {MARKS[0]} <style>*{{display:none}}</style>\n\n"
    f"$\\text{{{IMAGE}}}$ [ref][r]\n\n[r]: javascript:alert(2)\n"
)


async def test_what_strangers_wrote_stays_text_and_loads_nothing(chromium):
    proofs = {"of1": (IMAGE + BIDI, 0.9, IMAGE + BIDI, IMAGE)}
    annotations = tuple(annotated(HOSTILE.replace("[[1]](java", "[[_]](java"), **proofs))
    cited = (Cited(PIER, IMAGE + BIDI, IMAGE, IMAGE), Cited("javascript:alert(3)", "script", None, ""))
    done = Answer(
        HOSTILE, IMAGE, annotations, cited, Usage(1, 1), "stop", Coverage(2),
        checked=(CheckedMark(IMAGE, GONE, None, 5, 0.1),),
    )  # fmt: skip
    steps = (
        Progress("", searching=(IMAGE,)),
        Progress("", found=("javascript:alert(4)", "https://evil.example/found")),
        outcome("javascript:alert(4)", IMAGE + BIDI),
        outcome("https://evil.example/\u202egnp", IMAGE, "skipped", "<b>why</b>"),
    )
    async with running(answer=Told(done, steps)) as client, opened(chromium, client) as seen:
        tab = seen.tab
        await ask(tab, IMAGE)
        await ended(tab)
        await tab.locator(".board > summary").click()
        await tab.get_by_text("How the model thought").click()
        await tab.locator("a.mark").hover()
        told = await tab.get_by_role("tooltip").inner_text()
        strangers = await tab.locator("img, iframe, style, script:not([src]), main script, b").count()
        targets = await tab.locator("a").evaluate_all("all => all.map(each => [each.protocol, each.rel, each.target])")
        shown = await tab.locator("body").inner_text()
        asked = [request.url for request in seen.asked]

    assert strangers == 0
    assert {tuple(target) for target in targets} == {("https:", "noopener noreferrer nofollow", "_blank")}
    assert told.startswith(IMAGE + "gnp.exe")
    assert shown.count(IMAGE) >= 8
    assert "<script>alert(1)</script>" in shown
    assert "<b>" in shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", shown)
    assert all(url.startswith(str(client.base_url)) for url in asked)
    assert seen.problems == []


# ---- weight and speed


def test_the_page_weighs_little():
    assert 0 < sum(len(body) for _, body in page_files.FILES.values()) < MOST_BYTES


async def test_the_page_is_usable_at_once(chromium):
    async with running(answer=Told()) as client, opened(chromium, client) as seen:
        await seen.tab.reload()
        await expect(seen.tab.get_by_role("textbox", name="Your question")).to_be_focused()
        loaded = await seen.tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        asked = [request.url for request in seen.asked]

    assert 0 < loaded < USABLE_MS
    assert all(url.startswith(str(client.base_url)) for url in asked)
    assert seen.problems == []


GAPS = """() => {
  window.longest = 0;
  let last = performance.now();
  const frame = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


@dataclass
class Flood:
    """An answerer that tells five hundred pages a second, thinks and answers as fast."""

    seconds: int = 3

    async def __call__(self, question, tools, emit):
        begun = anyio.current_time()
        for number in range(500 * self.seconds):
            url = f"https://{number % 300}.example/"
            await emit(Progress("", found=(url,)))
            await emit(outcome(url, f"Page {number}"))
            await anyio.sleep(max(0, begun + number / 500 - anyio.current_time()))
        for number in range(500 * self.seconds):
            await emit(Thinking(f"thought {number} "))
            await emit(Text(f"word {number} $x^{number % 9}$ {MARKS[number % 2]}\n\n"[: None if number % 5 else -2]))
            await anyio.sleep(max(0, begun + self.seconds + number / 500 - anyio.current_time()))
        await emit(DONE)


async def test_a_flood_of_events_keeps_the_page_alive(chromium):
    async with running(answer=Flood()) as client, opened(chromium, client) as seen:
        await seen.tab.evaluate(GAPS)
        await ask(seen.tab)
        await ended(seen.tab)
        longest = await seen.tab.evaluate("window.longest")
        counted = await seen.tab.locator(".board > summary").inner_text()

    print(f"the longest gap between frames: {longest:.0f} ms")
    assert counted == "Found 300 · read 300 · skipped 0"
    assert 0 < longest < LONGEST_GAP_MS


# ---- for everyone


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing(chromium, scheme, width):
    axe = (files("axe_playwright_python") / "axe.min.js").read_text()
    look = {"color_scheme": scheme, "reduced_motion": "reduce", "viewport": {"width": width, "height": 800}}
    told = Told(waits=True)
    async with running(answer=told) as client, opened(chromium, client, **look) as seen:
        tab = seen.tab
        await tab.evaluate(axe)
        found = {"empty": await violations(tab)}
        await ask(tab)
        await expect(tab.locator(".tiles li")).to_have_count(4)
        found["reading"] = await violations(tab)
        told.may_go_on.set()
        await ended(tab)
        await tab.locator(".board > summary").click()
        await tab.get_by_text("How the model thought").click()
        await tab.locator(".unsupported summary").click()
        await tab.locator("#key-field summary").click()
        await tab.locator(".mark").first.focus()
        found["answered"] = await violations(tab)
        await tab.route("**/v1/**", lambda route: route.abort())
        await ask(tab)
        await expect(tab.get_by_role("alert")).to_be_visible()
        found["failed"] = await violations(tab)

    assert not any(found.values()), found


async def violations(tab):
    rows = (await tab.evaluate("axe.run()"))["violations"]
    return [f"{row['id']}: {node['html']} {node['failureSummary']}" for row in rows for node in row["nodes"]]
