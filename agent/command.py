"""The `wellread` command: serve, models, doctor, cache, ask. Knows no HTTP server: how to serve is given to it."""

import argparse
import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TextIO

import uvloop

from agent import cache_command
from agent.ask import ask
from agent.build import open_tools
from agent.doctor.visit import visit
from agent.errors import BadSettings
from agent.rerun import Screen, record, replay
from agent.settings import Settings, load_settings, outdated
from agent.telemetry import log_to_stderr
from agent.terminal.prints import Prints, json_printer, people_printer
from agent.version import VERSION
from agent.wire.offers import OFFERS
from retrieval.errors import CacheUnavailable, WeightsError

log = logging.getLogger(__name__)

Serve = Callable[[Settings], Coroutine[Any, Any, None]]
# What shells call the end by SIGPIPE.
BROKEN_PIPE = 128 + 13


def describe_model(settings: Settings) -> str:
    """Say which model would run here and why."""
    offers = ", ".join(offer.id for offer in OFFERS)
    if settings.model_url:
        name = settings.model_name or "the first model listed"
        which = f"{name} at {settings.model_url}, because WELLREAD_MODEL_URL is set"
    elif settings.embedded_model == "echo":
        which = "echo, which only repeats its sources, because WELLREAD_EMBEDDED_MODEL says so"
    else:
        which = f"the embedded {settings.embedded_model} model, because WELLREAD_MODEL_URL is not set"
        which += f"; its weights are kept in {settings.models_dir}"
    return f"Runs {which}.\nOffered to clients: {offers}."


def run(arguments: Sequence[str] | None, serve: Serve) -> int:
    """Run the command; returns its exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen, serve)
    except (BadSettings, CacheUnavailable, WeightsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _forget_output()
        return BROKEN_PIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("wellread", description="Reads the web before it answers.")
    parser.add_argument("--version", action="version", version=f"wellread {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve the OpenAI API; set up by WELLREAD_ variables")
    serving.add_argument("--host", help="address to listen on, instead of WELLREAD_HOST")
    serving.add_argument("--port", type=int, help="port to listen on, instead of WELLREAD_PORT; 0 takes a free one")
    commands.add_parser("models", help="say which model would run here, and why")
    visiting = commands.add_parser(
        "doctor", help="check this machine and all that the settings name; say what is wrong"
    )
    visiting.add_argument("--json", action="store_true", help="print one JSON object when all is done")
    _add_cache(commands.add_parser("cache", help="tell what the cache holds, or copy it; servers may go on using it"))
    asking = commands.add_parser("ask", help="ask a running server and print its answer as it comes")
    asking.add_argument("question", nargs="?", help="what to ask, - to read it from the input; a replay has its own")
    asking.add_argument("--url", default="http://127.0.0.1:8000", help="address of the server (%(default)s)")
    asking.add_argument("--key", help="API key of the server")
    asking.add_argument("--model", default="wellread", help="model id (%(default)s)")
    asking.add_argument("--quiet", action="store_true", help="show neither progress nor reasoning")
    asking.add_argument("--json", action="store_true", help="print one JSON object when all is done")
    kept = asking.add_mutually_exclusive_group()
    kept.add_argument("--record", type=Path, metavar="ZIP", help="answer without a server; keep searches and pages")
    kept.add_argument("--replay", type=Path, metavar="ZIP", help="answer a recording's question without network")
    asking.add_argument("--context", action="store_true", help="with these two: print only what the model is given")
    return parser


def _add_cache(parser: argparse.ArgumentParser) -> None:
    doing = parser.add_subparsers(dest="doing", required=True)
    doing.add_parser("info", help="tell how large the cache is and how many entries it holds")
    backup = doing.add_parser("backup", help="copy the cache's file as it is now, and check the copy")
    backup.add_argument("file", type=Path, metavar="FILE", help="where to; a file that is not there yet")


def _run(chosen: argparse.Namespace, serve: Serve) -> int:
    if chosen.command == "ask":
        return _ask(chosen)
    if chosen.command == "doctor":
        log_to_stderr("ERROR")
        return asyncio.run(visit(say, as_json=chosen.json))
    given = {name: getattr(chosen, name, None) for name in ("host", "port")}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    if chosen.command == "models":
        say(describe_model(settings))
        return 0
    if chosen.command == "cache":
        say(cache_command.copy(settings, chosen.file) if chosen.doing == "backup" else cache_command.tell(settings))
        return 0
    log_to_stderr(settings.log_level.upper(), settings.log_format)
    for note in outdated():
        log.warning("%s", note)
    # A stop while weights are still loading unwinds what is open, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    uvloop.run(serve(settings))
    return 0


def _ask(chosen: argparse.Namespace) -> int:
    _refuse_what_does_not_fit(chosen)
    question = "" if chosen.replay else _question(chosen.question)
    for stream in (sys.stdout, sys.stderr):
        _replace_errors(stream)
    if not (chosen.record or chosen.replay):
        return ask(question, chosen.url, chosen.key, chosen.model, _printer(question, chosen))
    settings = load_settings()
    log_to_stderr("WARNING")
    screen = Screen(people_printer(sys.stdout, sys.stderr, quiet=chosen.quiet), context_only=chosen.context)
    if chosen.replay:
        return asyncio.run(replay(settings, open_tools, chosen.replay, screen))
    return asyncio.run(record(settings, open_tools, chosen.record, question, chosen.model, screen))


def _printer(question: str, chosen: argparse.Namespace) -> Prints:
    if chosen.json:
        return json_printer(question, sys.stdout, sys.stderr, quiet=chosen.quiet)
    return people_printer(sys.stdout, sys.stderr, quiet=chosen.quiet)


def _refuse_what_does_not_fit(chosen: argparse.Namespace) -> None:
    if chosen.replay and chosen.question:
        raise BadSettings("A replay asks the question of its recording: leave yours out.")
    if chosen.context and not (chosen.record or chosen.replay):
        raise BadSettings("--context goes with --record or --replay.")
    if chosen.json and (chosen.record or chosen.replay):
        raise BadSettings("--json shows the answer of a server: leave out --record and --replay.")


def _question(given: str | None) -> str:
    """Take the question that was given, or read it from the input."""
    piped = given is None and sys.stdin is not None and not sys.stdin.isatty()
    if given == "-" or piped:
        _replace_errors(sys.stdin)
        given = sys.stdin.read()
    # What a shell hands over need not be whole characters.
    question = (given or "").strip().encode("utf-8", "replace").decode()
    if not question:
        raise BadSettings("Say what to ask.")
    return question


def _replace_errors(stream: TextIO) -> None:
    """Let characters that a stream's encoding lacks cost themselves alone."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _forget_output() -> None:
    """Send what is still to be written nowhere: the interpreter would complain about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
