"""What `wellread cache` does: tells what the cache holds, and copies it while servers use it."""

from datetime import UTC, datetime
from pathlib import Path

from agent.remember import cache_file
from agent.settings import Settings
from retrieval.caches.sqlite_backup import CacheFile, back_up, described


def tell(settings: Settings) -> str:
    """Say what the cache holds. Raises BadSettings where it is no file, or CacheUnavailable."""
    return written(described(cache_file(settings)))


def copy(settings: Settings, target: Path) -> str:
    """Copy the cache to a file that is not there yet, and say what is in it. Raises what `tell` raises."""
    return f"Copied and checked.\n{written(back_up(cache_file(settings), target.expanduser()))}"


def written(file: CacheFile) -> str:
    """Write what is in a cache's file, in one line."""
    when = datetime.fromtimestamp(file.written, UTC).isoformat(timespec="seconds")
    held = f"{file.entries} entries, {file.ended} of them past their time"
    if not file.current:
        held = f"of another release (version {file.version}): this one begins it anew"
    return f"{file.path}: {file.bytes / 1e6:.1f} MB, {held}, last written {when}."
