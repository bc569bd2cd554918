"""Checks of the machine against the settings: room on disk and in memory, descriptors, port, network. Each blocks."""

import errno
import http.client
import json
import os
import resource
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from agent.doctor.finding import Finding, ok, warning
from agent.doctor.finding import failed as wrong
from agent.doctor.secrets import shown
from agent.settings import Settings, cache_dir, outdated
from retrieval.limits import CacheLimits, FetchLimits

MB, GB = 1e6, 1e9
# Below this nothing can be written for long.
LEAST_DISK_BYTES = 200e6
MEMORY_INFO = Path("/proc/meminfo")
CGROUP_MEMORY, CGROUP_HELD = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
# Of all processes while fifty pages are read, the embedded embedder included, and of the embedded language models
# beside that (docs/benchmarks.md).
SERVER_BYTES = 970e6
MODEL_BYTES: Mapping[str, float] = {"1.5b": 2.2e9, "0.5b": 1.1e9, "echo": 0.0}
# Descriptors of a server at rest (docs/benchmarks.md, load), and those of a question besides its pages: its client, its
# model, a search at each engine and further ones.
FILES_AT_REST, FILES_A_QUESTION = 64, 24
# Searched over the web, where no address is set: a name that is there for such uses stands for all (RFC 2606).
ANYWHERE = ("example.com", 443)
AT_HOME = frozenset({"local", "sample", "searxng"})
CONNECT_SECONDS = 3.0
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def settings_set(settings: Settings) -> Finding:
    """Tell what is set, secrets hidden, and which names are of an older release."""
    if notes := outdated():
        return warning("settings", " ".join(notes))
    return ok("settings", ", ".join(shown(settings)) or "none is set")


def disk(settings: Settings) -> Finding:
    """Tell the room where weights and cache are kept."""
    places = {"weights": settings.models_dir, "cache": cache_dir()}
    free = {name: shutil.disk_usage(_there(path)).free for name, path in places.items()}
    least = min(free, key=lambda name: free[name])
    told = f"{free[least] / GB:.1f} GB free in {_there(places[least])}"
    if free[least] < LEAST_DISK_BYTES:
        return wrong("disk", f"only {told}: make room, or set WELLREAD_MODELS_DIR and WELLREAD_CACHE to other places.")
    if free[least] < CacheLimits().total_bytes:
        most = CacheLimits().total_bytes / GB
        return warning("disk", f"{told}, and the cache may grow to {most:g} GB: make room, or set WELLREAD_CACHE.")
    return ok("disk", told)


def _there(path: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    path = path.expanduser().absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def memory(settings: Settings) -> Finding:
    """Hold what is free against what a server with these settings takes."""
    model = 0.0 if settings.model_url else MODEL_BYTES[settings.embedded_model]
    needed, available = SERVER_BYTES + model, _available_bytes()
    if available is None:
        return ok("memory", f"some {needed / GB:.1f} GB are needed; what is free cannot be told here")
    told = f"{available / GB:.1f} GB free, some {needed / GB:.1f} GB needed"
    if available < needed:
        return warning("memory", f"{told}: give it more, or set WELLREAD_MODEL_URL to a model elsewhere.")
    return ok("memory", told)


def _available_bytes() -> float | None:
    """Return what this machine, or the container, has left."""
    if not MEMORY_INFO.exists():
        return None
    rows = dict(row.split(":", 1) for row in MEMORY_INFO.read_text().splitlines() if ":" in row)
    available = int(rows["MemAvailable"].split()[0]) * 1024.0
    most = CGROUP_MEMORY.read_text().strip() if CGROUP_MEMORY.exists() else "max"
    return min(available, int(most) - float(CGROUP_HELD.read_text())) if most.isdecimal() else available


def open_files(settings: Settings) -> Finding:
    """Hold the limit of descriptors against what the questions at work and in the queue can take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = files_needed(settings.max_concurrent, settings.max_queue)
    if soft != resource.RLIM_INFINITY and soft < needed:
        how = f"ulimit -n {needed}" if hard == resource.RLIM_INFINITY or hard >= needed else f"LimitNOFILE={needed}"
        return warning("open files", f"at most {soft}, and up to {needed} may be needed: raise it ({how}).")
    return ok("open files", f"at most {'any number' if soft == resource.RLIM_INFINITY else soft}, {needed} needed")


def files_needed(concurrent: int, queued: int) -> int:
    """Return how many descriptors a server may hold: the connections of the pool of pages are for all questions."""
    return FILES_AT_REST + 2 * FetchLimits().at_once + concurrent * FILES_A_QUESTION + queued


def port(settings: Settings) -> Finding:
    """Tell whether the server could listen; where one of ours does already, that is well."""
    where = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with closing(socket.socket(family)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            return _not_bound(error, where, settings)
    return ok("port", f"{where} is free")


def _not_bound(error: OSError, where: str, settings: Settings) -> Finding:
    if error.errno == errno.EADDRINUSE and (version := _running(settings.host, settings.port)):
        return ok("port", f"wellread {version} listens on {where} already")
    if error.errno == errno.EADDRINUSE:
        return wrong("port", f"another program listens on {where}: end it, or set WELLREAD_PORT.")
    if error.errno == errno.EACCES:
        return wrong("port", f"{where} may not be taken by this user: set WELLREAD_PORT to one above 1023.")
    return wrong(
        "port", f"{where} cannot be listened on ({error.strerror}): set WELLREAD_HOST to an address of this machine."
    )


def _running(host: str, number: int) -> str | None:
    """Return the release of a server of ours that listens there."""
    asked = http.client.HTTPConnection(host.strip("[]"), number, timeout=CONNECT_SECONDS)
    try:
        with closing(asked):
            asked.request("GET", "/version")
            told = json.loads(asked.getresponse().read(1_000))
        return str(told["version"]) if told["name"] == "wellread" else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def network(settings: Settings) -> list[Finding]:
    """Resolve the name of every server that the settings need, and connect to it."""
    needed = dict(needed_servers(settings))
    if not needed:
        return [ok("network", "nothing outside this machine is asked")]
    found = [reached(what, host, number) for what, (host, number) in needed.items()]
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in PROXIES):
        found.append(warning("network proxy", "a proxy is set in the environment; pages are fetched without it."))
    return found


def needed_servers(settings: Settings) -> Iterator[tuple[str, tuple[str, int]]]:
    """Give the servers that must be reached: by what for, host and port."""
    if set(settings.search) - AT_HOME:
        yield "the web", ANYWHERE
    named = {
        "WELLREAD_MODEL_URL": settings.model_url,
        "WELLREAD_SEARXNG_URL": settings.searxng_url if "searxng" in settings.search else None,
        "WELLREAD_EMBEDDER_URL": settings.embedder_url if settings.embedder == "openai" else None,
        "WELLREAD_RERANKER_URL": settings.reranker_url if settings.reranker == "openai" else None,
        "WELLREAD_OTLP_URL": settings.otlp_url,
    }
    for name, url in named.items():
        parts = urlsplit(url or "")
        if parts.hostname:
            yield name, (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


def reached(what: str, host: str, number: int) -> Finding:
    """Resolve and connect."""
    name = f"network {what}"
    try:
        socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
    except OSError as error:
        return wrong(name, f"{host} cannot be resolved ({error.strerror}): check the name, and the DNS server.")
    try:
        socket.create_connection((host, number), CONNECT_SECONDS).close()
    except OSError as error:
        why = error.strerror or f"nothing within {CONNECT_SECONDS:g} s"
        return wrong(name, f"{host}:{number} is not reached ({why}): check that it runs, and the firewall.")
    return ok(name, f"{host}:{number}")
