import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

import server
from agent.ask import ask
from agent.terminal.marks import MARK, ShortMarks
from agent.terminal.paper import Paper, printable
from agent.terminal.prints import json_printer, people_printer
from agent.terminal.telling import Pages
from agent.text_fragment import at_quote
from agent.types import Cited, PageOutcome, PageRecord, Progress, Text, Thinking
from tests.test_server import ANSWER, URL, Endless, broken_search, running, tower, wait_until
from tests.web import serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("on_a_terminal")]

ROOT = Path(__file__).parent.parent
SOURCE = f"[1] Tower - {URL}\n"
COVERAGE = "Pages: 1 found, 1 asked, 1 read, 1 used, 1 cited.\n"
PROOF = "Gustave's company built it"
PROVEN = replace(
    ANSWER,
    annotations=(replace(ANSWER.annotations[0], support=0.9, quote=PROOF),),
    cited=(Cited(URL, "Tower", "2026-01-02", "built by"),),
)
HOSTILE = "\x1b]0;pwned\x07\x9b31m[bold red]T[/bold red]\u202e\u2066\x1b[2J:smile:\r"
TAME = "]0;pwned31m[bold red]T[/bold red][2J:smile:"
LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b\\")
CODE = re.compile(r"\x1b(?:\]8;[^\x1b]*\x1b\\|\[[?\d;]*[A-Za-z])")
STYLE = re.compile(r"\x1b(?:\]8;[^\x1b]*\x1b\\|\[[?\d;]*[hlm])")
MOVE = re.compile(r"(\x1b\[\d[AK])|([^\x1b])", re.DOTALL)
# Starting an interpreter takes long where many do.
START_SECONDS = 20


@pytest.fixture
def on_a_terminal(monkeypatch):
    """Set a terminal like most; what runs the tests may have another, or none."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)


class Terminal(io.StringIO):
    """A stream that says it is a terminal.

    `shown` is what it was given without the codes for styles and links, `left` what people see in the end.
    """

    def isatty(self):
        return True

    @property
    def shown(self):
        return CODE.sub("", self.getvalue())

    @property
    def left(self):
        lines, row = [""], 0
        for code, letter in MOVE.findall(STYLE.sub("", self.getvalue())):
            if code == "\x1b[1A":
                row -= 1
            elif code == "\x1b[2K":
                lines[row] = ""
            elif letter == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif letter != "\r":
                lines[row] += letter
        return "\n".join(lines)


class Gone(io.StringIO):
    """A pipe whose reader takes one line."""

    def write(self, text):
        if "\n" in self.getvalue():
            raise BrokenPipeError
        return super().write(text)


def page(title, reason=None, url=URL):
    return Progress(
        "", page=PageOutcome(url, title, PageRecord(url, "skipped" if reason else "read", reason, 5, 10, 10))
    )


async def told(question, tools, emit):
    await emit(Progress("Searching the web: tower\n", searching=("tower",)))
    await emit(Progress("Found 2 pages\n", found=(URL, f"{URL}/2")))
    await emit(page("Tower"))
    await emit(page("Hidden", "robots"))
    await emit(Progress("Ranked 3 passages\n"))
    await emit(Thinking("Hm."))
    await emit(Text("Eiffel [[1]](https://a.exam"))
    await emit(Text("ple/tower) \n\tbuilt  it [1"))
    await emit(PROVEN)


async def halfway(question, tools, emit):
    await emit(Text("Eiff"))
    await broken_search(question, tools, emit)


async def asked(client, printer, key=None):
    return await anyio.to_thread.run_sync(ask, "Who?", str(client.base_url), key, "wellread", printer)


async def people(answer, out, err=None, *, quiet=False, **settings):
    async with running(answer=answer, **settings) as client:
        return await asked(client, people_printer(out, err or io.StringIO(), quiet=quiet))


async def program(answer, *, err=None, key=None, **settings):
    out = io.StringIO()
    async with running(answer=answer, **settings) as client:
        code = await asked(client, json_printer("Who?", out, err or io.StringIO()), key)
    return code, json.loads(out.getvalue())


# ---- into a pipe


async def test_a_pipe_gets_the_answer_and_its_sources_alone():
    out, err = io.StringIO(), io.StringIO()

    assert await people(tower, out, err) == 0
    assert (out.getvalue(), err.getvalue()) == (f"{ANSWER.text}\n{SOURCE}{COVERAGE}", "")


async def test_a_pipe_gets_the_text_as_it_is_with_dates_and_proofs():
    out = io.StringIO()
    await people(told, out)

    assert out.getvalue() == (
        f"Eiffel [[1]]({URL}) \n\tbuilt  it [1\n[1] Tower - {URL} (2026-01-02)\n    “{PROOF}”\n{COVERAGE}"
    )


async def test_a_long_line_stays_one_in_a_pipe():
    async def long(question, tools, emit):
        await emit(Text("word " * 100))
        await emit(ANSWER)

    out = io.StringIO()
    await people(long, out)

    assert "word " * 100 + "\n" in out.getvalue()


async def test_what_is_told_on_the_way_goes_to_the_other_terminal():
    out, err = io.StringIO(), Terminal()
    await people(told, out, err)

    assert out.getvalue().startswith("Eiffel ")
    assert "Searching the web: tower\n" in err.shown
    assert err.shown.endswith("Hm.\n")


async def test_quiet_tells_nothing_on_the_way():
    out, err = Terminal(), Terminal()
    await people(told, out, err, quiet=True)

    assert err.getvalue() == ""
    assert out.shown.startswith("\nEiffel [1] \n")


async def test_ask_says_what_the_server_said():
    refused, broken = io.StringIO(), io.StringIO()
    async with running(answer=halfway, api_keys=("one",)) as client:
        out = io.StringIO()
        assert await asked(client, people_printer(io.StringIO(), refused)) == 1
        assert await asked(client, people_printer(out, broken), "one") == 1

    assert refused.getvalue().startswith("Error: ")
    assert "No API key" in refused.getvalue()
    assert "rate limited" in broken.getvalue()
    assert out.getvalue() == "Eiff\n"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[", "nothing"])
def test_a_server_that_is_not_there_is_an_error(url):
    err = io.StringIO()

    assert ask("Who?", url, None, "wellread", people_printer(io.StringIO(), err)) == 1
    assert err.getvalue().startswith("Error: ")


@pytest.mark.parametrize("said", ["<html>", "[1]", '{"hello": 1}'])
async def test_a_server_of_another_kind_is_an_error(said):
    async def other(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{said}\n".encode()})

    err = io.StringIO()
    async with serving(other) as url:
        code = await anyio.to_thread.run_sync(ask, "Who?", url, None, "wellread", people_printer(io.StringIO(), err))

    assert (code, err.getvalue()) == (1, "Error: what answered is no server of this kind\n")


# ---- on a terminal


async def test_a_terminal_shows_all_in_its_order():
    out = Terminal()
    await people(told, out)

    assert "2 found · 1 read · 1 skipped" in out.shown
    assert "✗ Hidden (robots)" in out.shown
    assert out.left == (
        "Searching the web: tower\nFound 2 pages\nRanked 3 passages\nHm.\n\nEiffel [1] \n\tbuilt  it [1\n\n"
        f"[1] Tower - {URL} (2026-01-02)\n    “{PROOF}”\n\n{COVERAGE}"
    )
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


async def test_a_terminal_is_given_links_to_the_pages_and_to_their_proofs():
    out = Terminal()
    await people(told, out)
    links = [link for link in LINK.findall(out.getvalue()) if link]

    assert links == [URL, URL, URL, at_quote(URL, PROOF)]


async def test_thoughts_are_dim_and_the_answer_is_not():
    out = Terminal()
    await people(told, out)

    assert "\x1b[2mHm.\x1b[0m" in out.getvalue()
    assert "\nEiffel " in out.getvalue()


async def test_no_color_is_shown_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    await people(told, out)

    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|4[0-7]|48|9[0-7])", out.getvalue())


async def test_a_dumb_terminal_is_spared_all_codes(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    await people(told, out)

    assert "\x1b" not in out.getvalue()
    assert f"Ranked 3 passages\nHm.\n\nEiffel [[1]]({URL}) \n" in out.getvalue()


@pytest.mark.parametrize("columns", [20, 80])
def test_the_count_fits_any_width(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    pages, out = Pages(), Terminal()
    pages.take({"found": [URL, URL, "https://b.example"]})
    for number in range(5):
        pages.take(
            {"page": {"title": f"{number} 東京 " * 30, "url": URL, "reason": "rate_limited" if number else None}}
        )
    console = Paper(out).console
    console.print(pages)
    lines = out.shown.splitlines()

    assert [console.measure(line).maximum <= columns for line in lines] == [True] * 4
    assert "2 found" in lines[0]
    assert [line.split()[1] for line in lines[1:]] == ["2", "3", "4"]


def test_the_count_says_why_a_page_was_not_read():
    pages, out = Pages(), Terminal()
    pages.take({"page": {"title": "", "url": URL, "reason": "rate_limited"}})
    Paper(out).console.print(pages)

    assert f"0 read · 1 skipped · 0 s\n  ✗ {URL} (rate limited)\n" in out.shown


# ---- what strangers write


async def hostile(question, tools, emit):
    await emit(Progress(HOSTILE + "\n"))
    await emit(page(HOSTILE))
    await emit(Thinking(HOSTILE))
    await emit(Text(HOSTILE))
    mark = replace(ANSWER.annotations[0], title=HOSTILE, support=0.9, quote=HOSTILE)
    cited = Cited(f"{URL}?{HOSTILE}", HOSTILE, HOSTILE, "x"), Cited("javascript:alert(1)", "J", None, "x")
    await emit(replace(ANSWER, annotations=(mark, replace(mark, url=f"{URL}?{HOSTILE}")), cited=cited))


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
async def test_nothing_of_strangers_steers_a_terminal(stream):
    out, err = stream(), Terminal()
    await people(hostile, out, err)

    for shown in (CODE.sub("", out.getvalue()), err.shown):
        # A live count begins its lines with a carriage return of our own.
        assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e", "\u2066"}
    assert f"{TAME}\n[1] {TAME} - {URL}?{TAME} ({TAME})\n" in CODE.sub("", out.getvalue()).replace("\n\n", "\n")


async def test_only_addresses_of_pages_are_links():
    out = Terminal()
    await people(hostile, out)
    links = [link for link in LINK.findall(out.getvalue()) if link]

    assert {link.split("?")[0].split("#")[0] for link in links} == {URL}
    assert all(re.fullmatch(r"[!-~]+", link) for link in links)
    assert "[2] J - javascript:alert(1)\n" in out.shown


@given(st.text())
def test_printable_text_holds_no_controls(text):
    kept = printable(text)

    assert all(each.isprintable() or each.isspace() or each in "\u200c\u200d" for each in kept)
    assert not set(kept) & set("\r\x0b\x0c\x1b\x85\u2028\u202e")


def test_spaces_and_joiners_of_other_scripts_stay():
    text = "1\u202f000\u3000می\u200cخواهم \U0001f469\u200d\U0001f52c\n\t"

    assert printable(text) == text


MARKED = st.lists(st.sampled_from(["[", "]", "(", ")", "[[1]](http://a)", "[[12", "https://b.c/", " ", "é", "\n"]))


@given(MARKED, st.integers(1, 5))
def test_short_marks_are_those_of_the_whole_text(pieces, size):
    text, marks = "".join(pieces), ShortMarks()
    shown = [each for start in range(0, len(text), size) for each in marks.feed(text[start : start + size])]
    short = "".join(piece for piece, _ in shown) + marks.flush()

    assert short == MARK.sub(r"[\1]", text)
    assert [url for _, url in shown if url] == [mark[2] for mark in MARK.finditer(text)]


# ---- for programs


async def test_json_holds_the_whole_answer():
    code, printed = await program(told, run_seconds=60)

    assert code == 0
    assert printed.pop("run_id").startswith("chatcmpl-")
    assert printed.pop("coverage")["cited"] == 1
    (mark,) = printed.pop("citations")
    assert (mark["url"], mark["quote"], mark["start_index"]) == (URL, PROOF, 7)
    assert printed.pop("search_results")[0]["date"] == "2026-01-02"
    assert printed.pop("usage")["total_tokens"] == 30
    assert printed == {
        "question": "Who?",
        "answer": f"Eiffel [[1]]({URL}) \n\tbuilt  it [1",
        "reasoning": "Hm.",
        "unsupported": [],
    }


async def test_json_tells_of_a_failure_with_what_came_before_it():
    code, printed = await program(halfway)
    refused, without = await program(tower, api_keys=("one",))

    assert (code, printed["answer"], printed["coverage"]) == (1, "Eiff", None)
    assert "rate limited" in printed["error"]
    assert (refused, without["answer"], without["usage"]) == (1, "", None)
    assert "No API key" in without["error"]


async def test_json_shows_progress_on_the_terminal_of_the_errors_and_no_raw_controls():
    out, err = Terminal(), Terminal()
    async with running(answer=hostile) as client:
        await asked(client, json_printer("Who?", out, err))

    assert not set(out.getvalue()) & {"\x1b", "\x07", "\x9b", "\x7f", "\u202e", "\u2066"}
    assert json.loads(out.getvalue())["answer"] == HOSTILE
    assert TAME in err.shown


# ---- the command


def command(*arguments):
    return [sys.executable, "server.py", "ask", *arguments]


async def started(client, *arguments, **options):
    line = command("--url", str(client.base_url), *arguments)
    return await anyio.to_thread.run_sync(partial(subprocess.Popen, line, cwd=ROOT, text=True, **options))


async def rest(process, text=None):
    return await anyio.to_thread.run_sync(partial(process.communicate, text, timeout=START_SECONDS))


async def main_with(client, monkeypatch, text, *arguments):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    return await anyio.to_thread.run_sync(server.main, ["ask", "--url", str(client.base_url), *arguments])


@pytest.mark.parametrize("arguments", [("-",), (), ("-", "--json"), ("--quiet",)])
async def test_the_question_may_come_from_the_input(arguments, monkeypatch, capsys):
    questions = []

    async def noting(question, tools, emit):
        questions.append(question.messages[-1].content)
        await tower(question, tools, emit)

    async with running(answer=noting) as client:
        assert await main_with(client, monkeypatch, b" Who\xff built it?\n", *arguments) == 0

    assert questions == ["Who\ufffd built it?"]
    assert URL in capsys.readouterr().out


async def test_a_question_that_is_given_leaves_the_input_alone(monkeypatch, capsys):
    async with running() as client:
        assert await main_with(client, monkeypatch, b"Another?", "Who\udcff?", "--json") == 0
        assert sys.stdin.read() == "Another?"

    assert json.loads(capsys.readouterr().out)["question"] == "Who??"


async def test_an_empty_input_asks_nothing(monkeypatch, capsys):
    async with running() as client:
        assert await main_with(client, monkeypatch, b" \n", "-") == 2

    assert capsys.readouterr() == ("", "Say what to ask.\n")


def test_a_broken_pipe_reaches_the_command():
    with pytest.raises(BrokenPipeError):
        people_printer(Gone("one line\n"), io.StringIO()).paper.line("another")


@asynccontextmanager
async def endless_answer():
    async def lines(question, tools, emit):
        while True:
            await emit(Text("a line\n"))
            await anyio.sleep(0.005)

    async with running(answer=lines) as client:
        yield client


async def test_a_broken_pipe_ends_quietly():
    async with endless_answer() as client:
        process = await started(client, "Who?", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert await anyio.to_thread.run_sync(process.stdout.readline) == "a line\n"
        process.stdout.close()
        said = await anyio.to_thread.run_sync(process.stderr.read)
        code = await anyio.to_thread.run_sync(partial(process.wait, START_SECONDS))
        process.stderr.close()

    assert (code, said) == (141, "")


@pytest.mark.parametrize("arguments", [("Who?",), ("Who?", "--json")])
async def test_an_interrupt_stops_the_stream_quietly(arguments):
    endless = Endless()
    async with running(answer=endless) as client:
        process = await started(client, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        await wait_until(lambda: endless.running == 1, START_SECONDS)
        process.send_signal(signal.SIGINT)
        out, err = await rest(process)
        await wait_until(lambda: not endless.running, START_SECONDS)

    assert (process.returncode, out, err) == (130, "", "")


class Pty:
    """A terminal of the system's own: `child` is its end for a process, `shown` what was written to it."""

    def __init__(self):
        self._end, self.child = pty.openpty()
        self._shown = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def shown(self):
        return self._shown.decode(errors="replace")

    def _read(self):
        # Linux tells the end of a terminal by an error.
        try:
            while piece := os.read(self._end, 4096):
                self._shown += piece
        except OSError:
            pass

    def close(self):
        os.close(self.child)
        self._thread.join()
        os.close(self._end)


async def test_an_interrupt_on_a_terminal_leaves_it_as_it_was():
    async def reading(question, tools, emit):
        await told(question, tools, emit_progress(emit))
        await anyio.sleep_forever()

    def emit_progress(emit):
        async def only_progress(event):
            if isinstance(event, Progress):
                await emit(event)

        return only_progress

    terminal = Pty()
    async with running(answer=reading) as client:
        process = await started(client, "Who?", stdout=terminal.child, stderr=terminal.child, stdin=terminal.child)
        await wait_until(lambda: "✗ Hidden (robots)" in terminal.shown, START_SECONDS)
        process.send_signal(signal.SIGINT)
        await rest(process)
    await anyio.to_thread.run_sync(terminal.close)

    assert process.returncode == 130
    assert "2 found · 1 read · 1 skipped" in terminal.shown
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")
    assert "Traceback" not in terminal.shown
