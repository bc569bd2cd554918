"""The main job, seen from outside: starts a server with the embedded models and the sample web, asks it one question
over HTTP as any client would, prints the stream as it comes, and checks what came.

Exit code 1 when fewer than 40 pages were read, when a citation leads to a page that was not read, or when there is none
and no mark of the model was found unsupported either.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.ask import chunks
from agent.terminal.paper import Paper
from agent.terminal.printer import Printer
from agent.terminal.telling import Telling

QUESTION = "How do I copy a directory tree in Python, and what happens when the destination already exists?"
LEAST_PAGES = 40
STOP_SECONDS = 10
LISTENS = re.compile(r"listens on (http://\S+)")


@contextmanager
def server() -> Iterator[str]:
    """Run a server on a free port; yield its address; stop it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WELLREAD_")}
    quiet = {"WELLREAD_SEARCH": "sample", "WELLREAD_LOG_LEVEL": "warning"}
    kept = {name: os.environ[name] for name in ("WELLREAD_MODELS_DIR", "WELLREAD_EMBEDDED_MODEL") if name in os.environ}
    command = [str(Path(sys.executable).with_name("wellread")), "serve", "--port", "0"]
    process = subprocess.Popen(command, env=environment | kept | quiet, stdout=subprocess.PIPE, text=True)
    try:
        yield _address(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if listens := LISTENS.search(line):
            return listens[1]
    raise SystemExit("The server did not start; what it said is above.")


def ask(url: str) -> dict[str, Any]:
    """Ask the question, print all that comes, and return the last chunk of the answer."""
    paper = Paper(sys.stdout)
    printer = Printer(paper, Telling(paper), paper)
    last: dict[str, Any] = {}
    for chunk in chunks(QUESTION, url, None, "wellread"):
        printer.take(chunk)
        last = chunk if chunk["choices"] and chunk["choices"][0]["finish_reason"] else last
    printer.end()
    return last


def faults(last: dict[str, Any]) -> list[str]:
    """Return what is wrong with an answer."""
    read = {page["url"] for page in last["coverage"]["pages"] if page["status"] == "read"}
    found = []
    if len(read) < LEAST_PAGES:
        found.append(f"only {len(read)} pages were read, and {LEAST_PAGES} are the least")
    citations = set(last.get("citations", ()))
    if citations - read:
        found.append("a citation leads to a page that was not read")
    if not citations and not last.get("unsupported"):
        found.append("nothing was cited")
    return found


def main() -> int:
    """Run the demo; return its exit code."""
    start = time.monotonic()
    sys.stdout.write(f"> {QUESTION}\n\n")
    with server() as url:
        ready = time.monotonic()
        last = ask(url)
    done = time.monotonic()
    sys.stdout.write(f"\nReady after {ready - start:.1f} s, answered in {done - ready:.1f} s.\n")
    for fault in (wrong := faults(last)):
        sys.stdout.write(f"The demo failed: {fault}.\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
