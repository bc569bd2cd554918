"""Checks of the machine, whatever the settings: Python, packages, processor, GPU, clock. Each blocks."""

import os
import platform
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from agent.doctor.finding import Finding, ok, warning
from agent.doctor.finding import failed as wrong
from agent.version import VERSION
from retrieval import index
from retrieval.errors import EmbedderUnavailable

# Those on which most depends.
SERVING, MODELS = ("fastapi", "httpx2", "trafilatura", "ddgs", "redis"), ("onnxruntime", "xllamacpp")
VECTORS = ("faiss-cpu", "faiss-gpu", "sentence-transformers")
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:>=([\d.]+))?")
CPU_INFO, CGROUP_CPUS = Path("/proc/cpuinfo"), Path("/sys/fs/cgroup/cpu.max")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
X86 = frozenset({"x86_64", "AMD64"})
NVIDIA = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
NVIDIA_SECONDS = 8.0
# A file's time is that of the machine it was written on: so much may lie between two clocks that are right.
CLOCK_SLACK_SECONDS = 86_400.0


def python() -> Finding:
    """Tell which Python runs, and where."""
    return ok("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, wellread {VERSION}")


def packages() -> Finding:
    """Hold what is installed against what this release needs."""
    found = {name: _installed(name) for name in SERVING + MODELS + VECTORS}
    if found["faiss-cpu"] and found["faiss-gpu"]:
        return warning("packages", "faiss-cpu and faiss-gpu are the same module: pip uninstall both, and install one.")
    try:
        required = metadata.requires("wellread") or []
    except metadata.PackageNotFoundError:
        return warning(
            "packages", "wellread itself is not installed as a package: its requirements were not looked at."
        )
    if lacking := unmet([row for row in required if ";" not in row]):
        return wrong("packages", f"{', '.join(lacking)}: pip install --upgrade wellread.")
    return ok("packages", ", ".join(f"{name} {version}" for name, version in found.items() if version))


def unmet(required: list[str]) -> list[str]:
    """Say which requirements are not met: those of a name, or a name and its lowest release."""
    told = []
    for row in required:
        if (match := REQUIREMENT.match(row)) is None:
            continue
        name, least = match.groups()
        found = _installed(name)
        if found is None:
            told.append(f"{name} is missing")
        elif least and release(found) < release(least):
            told.append(f"{name} is {found}, and {least} is needed")
    return told


def release(version: str) -> tuple[int, ...]:
    """Return the numbers at the head of a version; zeros at their end do not count."""
    head = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in head[0].split(".")] if head else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor() -> Finding:
    """Tell how many cores may be used and what they can; the embedded models are built for AVX2."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _cgroup_cores(CGROUP_CPUS.read_text() if CGROUP_CPUS.exists() else "max")
    told = f"{cores} cores" + (f", of which {share:g} may be used" if share is not None and share < cores else "")
    if platform.machine() not in X86 or not CPU_INFO.exists():
        return ok("processor", f"{told}, {platform.machine()}")
    flags = set(CPU_INFO.read_text().partition("\nflags")[2].partition("\n")[0].split())
    if "avx2" not in flags:
        return warning(
            "processor",
            f"{told}, without AVX2: the embedded models do not run. Set WELLREAD_MODEL_URL, and WELLREAD_EMBEDDER.",
        )
    return ok("processor", f"{told}, {' '.join(name for name in FEATURES if name in flags)}")


def _cgroup_cores(line: str) -> float | None:
    """Read how many cores a container may use; None for all."""
    quota, _, period = line.partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.strip().isdecimal() else None


def gpu() -> Finding:
    """Tell which GPU is seen, and where FAISS computes."""
    seen, faiss = _nvidia(), _faiss_on_gpu()
    if seen and not faiss:
        why = "FAISS is not installed" if faiss is None else "FAISS computes on the processor"
        remedy = "pip uninstall faiss-cpu, pip install 'wellread[gpu]', unless the GPU is the model's alone."
        return warning("gpu", f"{seen} is here, but {why}: {remedy}")
    if faiss:
        return ok("gpu", f"{seen or 'one'}, FAISS computes on it")
    return ok(
        "gpu", f"none is seen; {'FAISS is not installed' if faiss is None else 'FAISS computes on the processor'}"
    )


def _nvidia() -> str:
    """Name the GPUs that NVIDIA's own tool sees; "" for none."""
    if not shutil.which(NVIDIA[0]):
        return ""
    done = subprocess.run(NVIDIA, capture_output=True, text=True, timeout=NVIDIA_SECONDS, check=False)  # noqa: S603
    return "; ".join(done.stdout.strip().splitlines()) if done.returncode == 0 else ""


def _faiss_on_gpu() -> bool | None:
    try:
        return index.on_gpu()
    except EmbedderUnavailable:
        return None


def clock() -> Finding:
    """Hold the clock against the time at which this program was written here: TLS and caches live by it."""
    return judged_clock(time.time(), Path(__file__).stat().st_mtime)


def judged_clock(now: float, written: float) -> Finding:
    """Tell whether a clock can be right, in Unix seconds: nothing was written after now."""
    told = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    if now < written - CLOCK_SLACK_SECONDS:
        since = datetime.fromtimestamp(written, UTC).date()
        return wrong(
            "clock", f"it says {told}, but this program is of {since}: set it, such as by timedatectl set-ntp on."
        )
    return ok("clock", told)
