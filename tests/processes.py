"""What a process and all below it take of a machine. Linux."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

EVERY_SECONDS = 0.1


def family(pid: int, but: int = 0) -> list[int]:
    """Return a process and all below it, whichever of their threads started them; one and what is below it left out."""
    try:
        lists = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    below = [int(child) for child in " ".join(lists).split() if int(child) != but]
    return [pid, *(each for child in below for each in family(child, but))]


def memory_bytes(pids: list[int]) -> int:
    """Return the memory of some processes; what they share counts once."""
    return sum(map(_proportional_bytes, pids))


def open_files(pids: list[int]) -> int:
    """Count the open descriptors of some processes."""
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return count


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time of some processes so far, and of their children that have ended."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


class Memory:
    """Watches the memory of this process and all below it, but one; `added_bytes` is what came to it at most."""

    def __init__(self, but: int = 0) -> None:
        self.peak_bytes = self._before = 0
        self._but = but
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def added_bytes(self) -> int:
        """The peak beyond what there was when the watch began."""
        return self.peak_bytes - self._before

    def __enter__(self) -> Self:
        self._before = self._held()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(EVERY_SECONDS):
            self.peak_bytes = max(self.peak_bytes, self._held())

    def _held(self) -> int:
        return memory_bytes(family(os.getpid(), self._but))


def _proportional_bytes(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return 0
