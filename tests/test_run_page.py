"""The page of one run in a real browser: what it shows of a record, to whom, in which language and at which width."""

import json
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.resources import files

import pytest

from agent import page as pages
from agent.errors import ModelFailed
from agent.types import Answer, CheckedMark, Context, Progress, Reading, Source
from retrieval.types import Document, Hit, Passage, Ranked
from tests.test_pipeline import ASKED, Engine, piers
from tests.test_runs import DONE, KEEP, PLAN, READING, read_tower, record_of, whole
from tests.test_server import body as asking
from tests.test_server import post, running
from tests.watched import Watched

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.usefixtures("no_settings"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH"),
]
# No sandbox inside a container; and nothing that calls home.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
MARKUP = "<img src='https://evil.example/x.png' onerror='document.title=1'><b>Bold</b>"
BUDGET_BYTES = 60_000


@pytest.fixture(scope="module")
async def chromium():
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def tab(chromium):
    @asynccontextmanager
    async def opened(locale="en-US", width=1280, **options):
        context = await chromium.new_context(locale=locale, viewport={"width": width, "height": 900}, **options)
        page = await context.new_page()
        page.asked, page.errors = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        try:
            yield page
        finally:
            await context.close()
        assert page.errors == []

    return opened


async def open_run(page, client, run_id):
    await page.goto(f"{client.base_url}/runs/{run_id}")
    await page.locator(".chart [role=img], main form, [role=alert]").first.wait_for()


def mixed(web):
    """Put up pages that are read, and some that are not, for different reasons."""
    return (
        *piers(web, 5),
        Hit(web.page("/gone", b"", status=404), "Gone"),
        Hit(web.page("/film", b"x", headers=(("Content-Type", "video/mp4"),)), "Film"),
    )


@asynccontextmanager
async def asked(web, equipped, model=None):
    """Serve a run over a few pages; give its client, its id and its record."""
    async with whole(equipped, Engine(mixed(web)), model) as client:
        run_id = (await post(client, json=asking(ASKED))).headers["x-run-id"]
        yield client, run_id, await record_of(client, run_id)


@asynccontextmanager
async def scripted(reading=READING, done=DONE):
    """Serve a run that told this."""

    async def answer(question, tools, emit):
        await emit(Progress("Searching\n", plan=PLAN))
        await emit(Progress("Read\n", reading=reading))
        await emit(done)

    async with running(answer=answer, run_seconds=KEEP) as client:
        yield client, (await post(client, json=asking())).headers["x-run-id"]


def row_of(page, text):
    return page.locator("section[aria-labelledby=pages] tbody tr").filter(has_text=text)


def region(page, caption):
    return page.get_by_role("region", name=caption)


# ---- what it shows


async def test_a_run_shows_its_stages_and_a_bar_for_each_page(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, record), tab() as page:
        await open_run(page, client, run_id)
        kinds = await page.locator(".chart .row").evaluate_all("rows => rows.map((row) => row.dataset.kind)")
        told = await page.locator(".chart .row > title").all_text_contents()
        hatched = await page.locator(".chart .row:has(.hatch, .bar.skipped)").count()
        described = await page.get_by_role("img", name="Waterfall of the run").locator("desc").text_content()

    assert kinds[:5] == ["search", "reading", "ranking", "reasoning", "answer"]
    assert sorted(kinds[5:]) == ["read"] * 5 + ["skipped"] * 2
    assert hatched == 2
    for step in record["steps"]:
        if reached := step.get("page"):
            (bar,) = [line for line in told if line.startswith(f"{reached['title']} · ")]
            assert bar.endswith(f" · {reached['ms']} ms")
            assert web.base.removeprefix("http://") in bar
    assert any("skipped: not found" in bar for bar in told)
    assert "read: 5; skipped: 2" in described


async def test_a_bar_stands_where_its_page_was_fetched(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, record), tab() as page:
        await open_run(page, client, run_id)
        step = next(step for step in record["steps"] if step.get("page", {}).get("title") == "Pier 3")
        bar = page.locator(".chart .row", has_text="Pier 3").locator(".bar")
        x, width = [float(await bar.get_attribute(name)) for name in ("x", "width")]
        answer = page.locator(".chart .row[data-kind=answer] .bar")
        right = float(await answer.get_attribute("x")) + float(await answer.get_attribute("width"))

    left, took = 260, record["took_ms"]  # where the axis begins
    scale = (right - left) / took
    assert x == pytest.approx(left + max(0, step["at_ms"] - step["page"]["ms"]) * scale, abs=3)
    assert x + width == pytest.approx(left + step["at_ms"] * scale, abs=3)


async def test_the_table_tells_what_became_of_each_page(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, record), tab() as page:
        await open_run(page, client, run_id)
        count = await page.locator("section[aria-labelledby=pages] tbody tr").count()
        cited = await row_of(page, "Pier 3").locator("th, td").all_inner_texts()
        gone = await row_of(page, "Gone").locator("th, td").all_inner_texts()
        film = await row_of(page, "Film").inner_text()
        why = await region(page, "Why pages were not read").inner_text()
        marked = await page.locator("section[aria-labelledby=pages] tbody tr").filter(has_text="yes, marks:").count()

    assert count == len(record["coverage"]["pages"]) == 7
    assert (cited[0], cited[2], cited[3], cited[6:8]) == ("Pier 3", "read", "", ["1", "1"])
    assert cited[8].startswith("yes, marks: ")
    assert (gone[2], gone[3], gone[6:]) == ("skipped", "not found", ["0", "0", "no"])
    assert "not a text page" in film
    assert marked == record["coverage"]["cited"]
    assert "not found\t1" in why


async def test_the_context_tells_scores_and_the_claims_that_name_each_page(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, record), tab() as page:
        await open_run(page, client, run_id)
        source = page.locator("article").first
        await source.locator("summary").click()
        told = await source.inner_text()
        marked = await source.locator("mark").all_inner_texts()
        sources = await page.locator("article").count()

    mark = next(mark for mark in record["marks"] if mark["url"] == f"{web.base}/3")
    assert sources == len(record["context"]["sources"])
    assert mark["claim"] in told
    assert f"support {round(mark['support'], 3):g}" in told
    assert f"score {round(record['passages'][0]['score'], 3):g}" in told
    assert marked == [mark["quote"]]


async def test_the_facts_tell_plan_engines_times_and_tokens(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, record), tab() as page:
        await open_run(page, client, run_id)
        listed = await page.locator("dl").inner_text()
        queries = await region(page, "Queries").inner_text()
        engines = await region(page, "Search engines").inner_text()
        times = await region(page, "Times of the reading").inner_text()
        tokens = await region(page, "Tokens").inner_text()

    assert run_id in listed
    assert "stop: the answer is whole" in listed
    assert "found: 7, asked: 7, read: 5" in listed
    assert ASKED in queries
    assert f"scripted\tok\t{record['coverage']['engines'][0]['results']}" in engines
    assert f"total\t{record['timings_ms']['total']:,}" in times
    assert f"total\t{record['usage']['total_tokens']:,}" in tokens


async def test_marks_that_were_dropped_or_moved_are_told_with_the_reason(tab):
    page_url = READING.context.sources[0].document.url
    marks = (
        *DONE.checked,
        CheckedMark("It is 900 m long.", page_url, None, 40, 0.1),
        CheckedMark("It has a cinema.", None, None, 60),
    )
    async with scripted(done=replace(DONE, checked=marks)) as (client, run_id), tab() as page:
        await open_run(page, client, run_id)
        rows = await page.locator("section[aria-labelledby=dropped] tbody tr").all_inner_texts()
        source = await page.locator("article").inner_text()

    assert len(rows) == 2
    assert "It is 900 m long." in rows[0]
    assert "No page that was read says this." in rows[0]
    assert "It names no page that was read." in rows[1]
    assert "The model named another page: https://a.org/other" in source


async def test_a_run_that_failed_tells_its_error_and_what_was_read(web, equipped, tab):
    async with asked(web, equipped, Watched(error=ModelFailed("It broke off."))) as (client, run_id, _), tab() as page:
        await open_run(page, client, run_id)
        listed = await page.locator("dl").inner_text()
        read = await page.locator(".chart .row[data-kind=read]").count()
        thought = await page.locator(".chart .row[data-kind=reasoning]").count()

    assert "It broke off. (upstream_error)" in listed
    assert (read, thought) == (5, 0)


async def test_a_run_without_a_search_says_so(tab):
    async with running(run_seconds=KEEP) as client, tab() as page:
        run_id = (await post(client, json=asking())).headers["x-run-id"]
        await open_run(page, client, run_id)
        told = await page.locator("main").inner_text()

    assert "The model was given no page." in told


# ---- the chart by mouse and by keys


async def test_what_a_bar_is_is_told_under_the_chart(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, _), tab() as page:
        await open_run(page, client, run_id)
        line = page.locator("#told")
        await page.locator(".chart .row", has_text="Gone").locator(".label").hover()
        hovered = await line.inner_text()
        await page.locator(".chart").focus()
        await page.keyboard.press("Home")
        first = await line.inner_text()
        await page.keyboard.press("ArrowDown")
        second = await line.inner_text()
        await page.keyboard.press("End")
        last = await line.inner_text()
        current = await page.locator(".chart .row.current > title").all_text_contents()

    assert hovered.startswith("Gone · ")
    assert "skipped: not found" in hovered
    assert (first.partition(" · ")[0], second.partition(" · ")[0]) == ("Search", "Reading")
    assert current == [last]


async def test_the_time_shown_can_end_at_the_sources(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, _), tab() as page:
        await open_run(page, client, run_id)
        bar = page.locator(".chart .row[data-kind=reading] .bar")
        before = float(await bar.get_attribute("width"))
        await page.get_by_label("Up to the sources").check()
        after = float(await bar.get_attribute("width"))
        answer = await page.locator(".chart .row[data-kind=answer] .bar").count()

    assert after > before
    assert answer == 0


# ---- what strangers wrote


async def test_what_strangers_wrote_is_text_and_asks_nobody(tab):
    shown = f"{MARKUP} evil"
    hostile = Document("javascript:alert(1)", f"{MARKUP} \u202eevil", f"{MARKUP} It is 525 m long.", "a.org")
    row = Ranked(Passage(hostile, 0, len(hostile.text)), 0.9, 0.5, 0.4)
    reading = Reading(
        replace(PLAN, question=MARKUP, note=MARKUP, addresses=("javascript:alert(2)",)),
        (row,),
        Context(MARKUP, (Source(1, hostile, (row,)),)),
        READING.coverage,
        READING.timings,
    )
    mark = CheckedMark(MARKUP, "data:text/html,x", hostile.url, 0, 0.9, MARKUP)
    lost = CheckedMark(MARKUP, "javascript:alert(3)", None, 0, 0.1)
    answer: Answer = replace(DONE, checked=(mark, lost))
    async with scripted(reading, answer) as (client, run_id), tab() as page:
        await open_run(page, client, run_id)
        await page.locator("article summary").click()
        heading = await page.locator("article h3").inner_text()
        text = await page.locator("main").inner_text()
        drawn = await page.locator("main img, main b, main script").count()
        targets = await page.locator("main a").evaluate_all("links => links.map((link) => link.href)")
        hosts = {url.split("/")[2] for url in page.asked}

    assert heading == f"1. {shown}"
    assert "\u202e" not in text
    assert drawn == 0
    assert targets == []
    assert hosts == {str(client.base_url).removeprefix("http://").rstrip("/")}


async def test_links_tell_the_pages_they_lead_to_nothing(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, _), tab() as page:
        await open_run(page, client, run_id)
        links = await page.locator("main a").evaluate_all("links => links.map((link) => [link.href, link.rel])")

    assert f"{web.base}/3" in {href for href, _ in links}
    assert {rel for _, rel in links} == {"noopener noreferrer nofollow"}


# ---- who is shown it, and what is in the way


@pytest.mark.parametrize("wrong_key", ["two", "ключ"])
async def test_a_key_is_asked_for_and_kept_for_the_tab(wrong_key, tab):
    kept = running(answer=read_tower, api_keys=("one",), run_seconds=KEEP)
    async with kept as client, tab() as page:
        mine = {"authorization": "Bearer one"}
        run_id = (await post(client, json=asking(), headers=mine)).headers["x-run-id"]
        await open_run(page, client, run_id)
        await page.get_by_label("API key").fill(wrong_key)
        await page.get_by_role("button", name="Show the run").click()
        await page.get_by_role("alert").wait_for()
        wrong = await page.get_by_role("alert").inner_text()
        await page.get_by_label("API key").fill("one")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="How long is it?").wait_for()
        stored = await page.evaluate("[sessionStorage.getItem('wellread.key'), localStorage.length]")
        await page.reload()
        await page.get_by_role("heading", name="How long is it?").wait_for()

    assert "does not know this key" in wrong
    assert stored == ["one", 0]
    assert not any("one" in url.partition("?")[2] for url in page.asked)


@pytest.mark.parametrize(("seconds", "said"), [(0, "No runs are kept here"), (KEEP, "There is no such run")])
async def test_a_run_that_is_not_there_is_told_in_the_words_of_the_server(seconds, said, tab):
    async with running(run_seconds=seconds) as client, tab() as page:
        await open_run(page, client, "chatcmpl-0")
        told = await page.get_by_role("alert").inner_text()

    assert said in told
    assert "only where WELLREAD_RUN_SECONDS is set" in told


async def test_a_server_that_is_gone_is_told_and_asked_again(tab):
    async with scripted() as (client, run_id), tab() as page:
        await page.route("**/v1/runs/*", lambda route: route.abort(), times=1)
        await open_run(page, client, run_id)
        told = await page.get_by_role("alert").inner_text()
        await page.get_by_role("button", name="Try again").click()
        await page.get_by_role("heading", name="How long is it?").wait_for()

    assert told == "The server could not be reached."


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html", "<h1>Please log in</h1>"), ("application/json", "{}"), ("application/json", "null")],
)
async def test_what_is_no_record_is_told_and_asked_again(kind, body, tab):
    async with scripted() as (client, run_id), tab() as page:
        await page.route("**/v1/runs/*", lambda route: route.fulfill(content_type=kind, body=body), times=1)
        await open_run(page, client, run_id)
        told = await page.get_by_role("alert").inner_text()
        await page.get_by_role("button", name="Try again").click()
        await page.get_by_role("heading", name="How long is it?").wait_for()

    assert told == "What answered is not a record of Wellread."


async def test_a_key_kept_with_spaces_is_good_and_one_of_spaces_is_none(tab):
    kept = running(answer=read_tower, api_keys=("one",), run_seconds=KEEP)
    async with kept as client, tab() as page:
        run_id = (await post(client, json=asking(), headers={"authorization": "Bearer one"})).headers["x-run-id"]
        await open_run(page, client, run_id)
        await page.evaluate("sessionStorage.setItem('wellread.key', '  ')")
        await page.reload()
        await page.get_by_text("This server wants a key.").wait_for()
        await page.evaluate("sessionStorage.setItem('wellread.key', ' one ')")
        await page.reload()
        await page.get_by_role("heading", name="How long is it?").wait_for()


async def test_it_is_shown_where_nothing_may_be_stored(tab):
    kept = running(answer=read_tower, api_keys=("one",), run_seconds=KEEP)
    async with kept as client, tab() as page:
        run_id = (await post(client, json=asking(), headers={"authorization": "Bearer one"})).headers["x-run-id"]
        await page.add_init_script(
            """for (const name of ["sessionStorage", "localStorage"])
              Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });"""
        )
        await open_run(page, client, run_id)
        await page.get_by_label("API key").fill("one")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="How long is it?").wait_for()
        await page.get_by_role("button", name="Русский").click()
        await page.get_by_role("button", name="English").wait_for()


async def test_the_download_is_the_record_to_the_byte(web, equipped, tab, tmp_path):
    async with asked(web, equipped) as (client, run_id, record), tab() as page:
        await open_run(page, client, run_id)
        async with page.expect_download() as begun:
            await page.get_by_role("button", name="Download as JSON").click()
        saved = await begun.value
        await saved.save_as(tmp_path / "run.json")
        given = (await client.get(f"/v1/runs/{run_id}")).content

    assert saved.suggested_filename == f"run-{run_id}.json"
    assert (tmp_path / "run.json").read_bytes() == given
    assert json.loads(given) == record


# ---- languages, widths, and people who do not see it


async def test_it_speaks_russian_to_a_russian_browser_and_english_when_told(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, _), tab("ru-RU") as page:
        await open_run(page, client, run_id)
        russian = await page.locator("main").inner_text()
        tagged = await page.locator("html").get_attribute("lang")
        await page.get_by_role("button", name="English").click()
        english = await page.locator("main").inner_text()
        await page.reload()
        await page.get_by_role("heading", name="Facts").wait_for()
        kept = await page.evaluate("localStorage.getItem('wellread.language')")

    assert (tagged, kept) == ("ru", "en")
    assert "не найдено" in russian
    assert "Все запрошенные страницы" in russian
    assert "not found" in english
    assert "Страницы" not in english


async def test_both_languages_have_the_same_words(tab):
    async with scripted() as (client, run_id), tab() as page:
        await open_run(page, client, run_id)
        told = await page.evaluate(
            """async () => {
              const { choose, words } = await import("/page/run-words.js");
              const names = (told) => Object.entries(told).flatMap(([name, value]) =>
                value && typeof value === "object" ? names(value).map((below) => name + "." + below) : [name]);
              return ["en", "ru"].map((code) => { choose(code); return names(words()).sort(); });
            }"""
        )

    assert told[0] == told[1]
    assert "reasons.timeout" in told[0]


async def test_a_narrow_page_does_not_scroll_sideways_but_its_chart_does(web, equipped, tab):
    async with asked(web, equipped) as (client, run_id, _), tab(width=360) as page:
        await open_run(page, client, run_id)
        widths = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        chart = await page.locator(".chart").evaluate("box => [box.scrollWidth, box.clientWidth]")

    assert widths[0] <= widths[1]
    assert chart[0] > chart[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shown", ["run", "key", "missing"])
async def test_axe_finds_nothing(scheme, shown, web, equipped, tab):
    axe = (files(pytest.importorskip("axe_playwright_python")) / "axe.min.js").read_text()
    keys = ("one",) if shown == "key" else ()
    async with (
        asked(web, equipped) as (client, run_id, _),
        running(api_keys=keys, run_seconds=KEEP) as other,
        tab(color_scheme=scheme) as page,
    ):
        await open_run(page, client if shown == "run" else other, run_id)
        for summary in await page.locator("summary").all():
            await summary.click()
        await page.evaluate(axe)
        found = await page.evaluate("axe.run()")

    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert "color-contrast" in {each["id"] for each in found["passes"]}


def test_it_weighs_little():
    assert sum(len(body) for name, (_, body) in pages.FILES.items() if name.startswith("run")) < BUDGET_BYTES
