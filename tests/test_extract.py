import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.extract import TAGS_BEFORE_PARSING, Extractor, clean, readable
from retrieval.limits import ExtractLimits
from retrieval.types import Document, Hit, Page, Skipped

ROOT = Path(__file__).parent.parent
LIMITS = ExtractLimits(workers=1, page_seconds=1)
URL = "https://www.example.org/pier"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
BODY = "The pier is 80 m long and was built of oak. " * 5
RUSSIAN = "Причал длиной восемьдесят метров построен из дуба. " * 5
HTML = f"""<!DOCTYPE html><html lang="en"><head><title>The pier</title>
<meta property="article:published_time" content="2024-03-05T10:00:00Z"></head>
<body><nav><ul><li><a href="/">Home of everything</a></li><li><a href="/v">Videos</a></li></ul></nav>
<article><h1>The pier</h1><p>{BODY}</p><p>It was opened by the mayor. {BODY}</p></article>
<footer><p>All rights reserved by nobody</p></footer></body></html>"""


def page(body: str | bytes, kind="text/html", charset=None, date=None) -> Page:
    raw = body.encode() if isinstance(body, str) else body
    return Page(Hit(URL + "?from=search", "Title of the hit", "", date), URL, kind, charset, raw, 7)


def cleaned(body: str | bytes, *args, limits=LIMITS, **options) -> Document:
    outcome = clean(page(body, *args, **options), limits)
    assert isinstance(outcome, Document), outcome
    return outcome


def skipped(body: str | bytes, *args) -> str:
    outcome = clean(page(body, *args), LIMITS)
    assert isinstance(outcome, Skipped), outcome
    assert outcome.url == URL + "?from=search"
    return outcome.reason


# One page, in this process


def test_the_text_is_kept_and_the_frame_around_it_dropped():
    document = cleaned(HTML)
    assert "80 m long" in document.text
    assert "opened by the mayor" in document.text
    assert not any(word in document.text for word in ("Videos", "Home of everything", "All rights", "<p>"))
    assert (document.title, document.site, document.url, document.language) == ("The pier", "example.org", URL, "en")


def test_the_date_is_the_pages_unless_the_engine_told_it():
    assert cleaned(HTML).date == "2024-03-05"
    assert cleaned(HTML, date="2024-01-01").date == "2024-01-01"


def test_a_page_without_a_title_takes_that_of_the_hit():
    body = f"<html><body><article><p>{BODY}</p></article></body></html>"
    assert cleaned(body).title == "Title of the hit"


def test_a_page_in_another_charset():
    html = HTML.replace(BODY, RUSSIAN).replace("The pier", "Причал").encode("cp1251")
    document = cleaned(html, charset="windows-1251")
    assert (document.title, document.language) == ("Причал", "ru")
    assert "восемьдесят метров" in document.text


@pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
def test_plain_text_is_taken_as_it_stands(kind):
    document = cleaned("\n# The pier <b>\n\n" + BODY, kind)
    assert document.title == "The pier <b>"
    assert document.text.startswith("# The pier <b>\n\nThe pier is 80 m long")


@pytest.mark.parametrize("body", ["", " \n", "<html><body><div id=root></div><script>go()</script></body></html>",
                                  "<html><body><p>Too short.</p></body></html>", "<", "<!-- -->", "<?x?>"])  # fmt: skip
def test_an_empty_shell_is_empty(body):
    assert skipped(body) == "empty"


def test_a_page_with_too_many_tags_is_not_parsed():
    start = time.monotonic()
    assert skipped("<p>" * (TAGS_BEFORE_PARSING + 1)) == "parser_limit"
    assert time.monotonic() - start < 0.5


def test_binary_data_is_no_page():
    assert skipped(b"GIF89a" + b"\x00\x01" * 400) == "wrong_type"
    assert skipped(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10) in {"wrong_type", "bad_encoding"}


@pytest.mark.parametrize(
    "head", [b"\x7fELF\x02\x01", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\xff\xd8\xff\xe0", b"ID3\x03"]
)
def test_binary_data_is_known_by_its_first_bytes(head):
    assert skipped(head + b"readable text that goes on for a while " * 20) == "wrong_type"


def test_a_tag_with_thousands_of_attributes_is_not_parsed():
    assert skipped("<p " + " ".join(f"a{i}=1" for i in range(3_000)) + f">{BODY}</p>") == "parser_limit"
    assert cleaned(f"<html><body><p style='{'a ' * 1_500}'>{BODY}</p></body></html>").text


def test_a_wall_is_no_page():
    assert (
        skipped("<html><title>Just a moment...</title><p>Checking your browser before accessing the site.</p>")
        == "empty"
    )


def test_a_long_text_and_title_are_cut():
    document = cleaned("word " * 1_000, "text/plain", limits=ExtractLimits(max_chars=100, title_chars=12))
    assert (len(document.text), document.title) == (100, "word word wo")


# What no reader sees


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("zero\u200bwi\u200ddth\ufeff", "zerowidth"),
        ("\u202eright to left\u202c \u2066x\u2069\u200e", "right to left x"),
        ("soft\u00adhyphen", "softhyphen"),
        ("tags" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore"), "tags"),
        ("smuggled\ufe00\U000e0100\U000e01ef", "smuggled"),
        ("nul\x00esc\x1b[31mbell\x07", "nulesc[31mbell"),
        ("half\ud83d a character", "half a character"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\n \t\n\n\nb", "a\n\nb"),
        ("  a \u00a0\t b\u3000c  ", "a b c"),
        ("cafe\u0301 и\u0306", "café й"),
    ],
)
def test_readable(text, seen):
    assert readable(text) == seen


ANY_TEXT = st.text(
    st.characters(categories=None) | st.sampled_from("\n\r \t\u200b\u2028\u00a0\u0301\u0338a\ud800\udc00")
)


@given(ANY_TEXT)
def test_what_is_readable_stays_as_it_is(text):
    once = readable(text)
    assert readable(once) == once
    once.encode()


@given(ANY_TEXT.map(lambda text: text + "<p>"))
def test_no_text_breaks_the_cleaner(text):
    clean(page(text.encode("utf-8", "replace"), "text/plain"), LIMITS)


# The pool


@pytest.fixture(scope="module")
async def extractor():
    async with Extractor(LIMITS) as extractor:
        yield extractor


def slow(paragraphs: int = 19_000, depth: int = 240) -> bytes:
    """Make a page below the limit of tags that costs the cleaner seconds: `paragraphs` times `depth`."""
    return f"<html><body>{'<div>' * depth}{'<p>A word, another.</p>' * paragraphs}</body></html>".encode()


def workers() -> set[int]:
    """List the processes that the fork server of this process has started."""
    server = multiprocessing.forkserver._forkserver._forkserver_pid
    children = Path(f"/proc/{server}/task/{server}/children").read_text() if server else ""
    return {int(pid) for pid in children.split()}


@pytest.mark.anyio
async def test_a_page_is_cleaned_in_another_process(extractor):
    document = await extractor.extract(page(HTML))
    assert isinstance(document, Document)
    assert "80 m long" in document.text
    assert document.ms >= 7
    assert document.bytes == len(HTML.encode())


@pytest.mark.anyio
async def test_a_page_that_takes_too_long_is_given_up_and_the_next_is_served(extractor):
    outcomes = {}

    async def run(name: str, body: str | bytes) -> None:
        outcomes[name] = await extractor.extract(page(body))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, "slow", slow())
            await anyio.sleep(0.05)
            tasks.start_soon(run, "next", HTML)
    assert isinstance(outcomes["slow"], Skipped)
    assert (outcomes["slow"].reason, outcomes["slow"].detail) == ("parser_limit", "over 1 s")
    assert outcomes["slow"].bytes == len(slow())
    assert isinstance(outcomes["next"], Document)


@pytest.mark.anyio
async def test_a_fault_while_cleaning_costs_the_page_alone_and_is_logged_without_its_text(extractor, caplog):
    broken = replace(page(HTML), charset=5)
    outcome = await extractor.extract(broken)
    assert isinstance(outcome, Skipped)
    assert (outcome.reason, outcome.detail) == ("parser_limit", "AttributeError")
    assert isinstance(await extractor.extract(page(HTML)), Document)
    assert "AttributeError in decode.py:" in caplog.text
    assert "80 m" not in caplog.text


def test_a_page_whose_date_cannot_be_looked_for_has_none():
    # htmldate would drop the root of such a tree, and fails on it.
    told = cleaned(f"<math>-->--></link>{'<p>The pier is 80 m long and it was built by the town.</p>' * 2}-->")
    assert "pier" in told.text
    assert told.date is None


@LINUX
@pytest.mark.anyio
async def test_cancelling_stops_the_work_and_closing_every_worker():
    others = workers()
    async with Extractor(LIMITS) as own:
        first = workers() - others
        assert len(first) == 1
        with anyio.move_on_after(0.2) as scope:
            await own.extract(page(slow()))
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            assert isinstance(await own.extract(page(HTML)), Document)
        second = workers() - others
        assert len(second) == 1
        assert not first & second, "the worker that was at the slow page still runs"
        with anyio.move_on_after(0.2):
            await own.extract(page(slow()))
    with anyio.fail_after(2):
        while workers() - others:  # noqa: ASYNC110 - processes end without telling
            await anyio.sleep(0.02)


MAIN_FILE = """
import asyncio
print("the main file runs")
if __name__ == "__main__":
    from retrieval.extract import Extractor
    from retrieval.limits import ExtractLimits
    from tests.test_extract import HTML, page

    async def main():
        async with Extractor(ExtractLimits()) as extractor:
            print((await extractor.extract(page(HTML))).title)

    asyncio.run(main())
"""


def test_workers_do_not_run_the_programs_main_file_again(tmp_path):
    (tmp_path / "main.py").write_text(MAIN_FILE)
    command = [sys.executable, str(tmp_path / "main.py")]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "the main file runs\nThe pier\n"
