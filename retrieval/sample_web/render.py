"""Renders the sample web once and keeps it in one file, named after the Python and the packages it describes.

Rendering imports most of the standard library, so it runs in a child process with a time limit. The file appears
whole or not at all: of two servers that start together, the last to finish wins.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import anyio
import anyio.to_thread

from retrieval.errors import RetrievalError
from retrieval.sample_web.markup import SamplePage

CHILD_SECONDS = 180.0
CHILD = (
    "import os, sys; sys.path += [path for path in sys.argv[1].split(os.pathsep) if path not in sys.path]; "
    "from retrieval.sample_web.render import write; write(*sys.argv[2:])"
)
# The child shows what modules hold, so it is not told what else the environment holds: keys, above all.
ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Rendering:
    """The pages, in a fixed order. `cached`: an earlier start had made them."""

    pages: tuple[SamplePage, ...]
    seconds: float
    cached: bool


async def render(folder: Path, only: Collection[str] = ()) -> Rendering:
    """Return the pages, from `folder` if they are there. `only` limits them to these paths ("/library/json").

    Raises RetrievalError.
    """
    start = time.monotonic()
    try:
        file = await anyio.to_thread.run_sync(_file, folder, only)
        cached = await anyio.Path(file).exists()
        if not cached:
            await _make(file, only)
        pages = await anyio.to_thread.run_sync(_read, file)
    except OSError as error:
        raise RetrievalError(f"the sample web cannot be kept in {folder}: {error.strerror}") from error
    return Rendering(pages, time.monotonic() - start, cached)


def write(file: str, *only: str) -> None:
    """Make the pages and write them to a file. Imports the standard library: runs in a child process."""
    with Path(file).open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(asdict(made)) + "\n" for made in _pages(only))


async def _make(file: Path, only: Collection[str]) -> None:
    """Run the child in a folder of its own, so that nothing it leaves behind stays."""
    async with _temporary_folder(file.parent) as folder:
        made = Path(folder, "pages.jsonl")
        search_path = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])])
        command = [sys.executable, "-P", "-W", "ignore", "-c", CHILD, search_path, str(made), *only]
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        try:
            with anyio.fail_after(CHILD_SECONDS):
                done = await anyio.run_process(
                    command, stdout=subprocess.DEVNULL, cwd=folder, env=environment, check=False
                )
        except TimeoutError as error:
            raise RetrievalError(f"the sample web was not rendered within {CHILD_SECONDS:g} s") from error
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip()[-300:]
            raise RetrievalError(f"the sample web could not be rendered: {reason}")
        await anyio.Path(made).replace(file)


@asynccontextmanager
async def _temporary_folder(parent: Path) -> AsyncIterator[str]:
    """Make a folder and remove it even when the start is cancelled."""
    folder = await anyio.mkdtemp(dir=str(parent), prefix=".rendering-")
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


def _file(folder: Path, only: Collection[str]) -> Path:
    """Name the file after all that its content depends on: Python, distributions, this code and the choice."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{sys.version} {sys.platform} {sorted(only)}".encode())
    for name, version in sorted((found.name or "", found.version or "") for found in distributions()):
        digest.update(f"{name}=={version}\n".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return folder / f"sample-web-{digest.hexdigest()[:16]}.jsonl"


def _read(file: Path) -> tuple[SamplePage, ...]:
    with file.open(encoding="utf-8") as lines:
        return tuple(SamplePage(**json.loads(line)) for line in lines)


def _pages(only: Collection[str]) -> Iterator[SamplePage]:
    from retrieval.sample_web import library, readmes

    for name in library.names():
        if not only or f"/library/{name}" in only:
            made = library.module_page(name)
            if made is not None:
                yield made
    for made in (*library.topic_pages(), *readmes.readme_pages()):
        if not only or made.path in only:
            yield made
