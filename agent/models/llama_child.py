"""The child process of `agent.models.embedded`: llama.cpp's own HTTP server over one GGUF file, on loopback.

Reads one JSON line of settings from stdin, loads the model, prints one JSON line with its address, and serves until
stdin ends, that is until the parent closes it or dies. Knows nothing of prompts or answers.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from types import ModuleType

PROMPT_BATCH_TOKENS = 64
"""llama.cpp looks for a client that has gone only between batches, so a batch must take less than a second on a CPU."""

PROMPT_CACHE_MIB = 256
"""Memory for the prompts of earlier requests, so that a conversation that goes on need not be read again."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What the child must know. It travels over stdin, so that the key appears in no process list."""

    path: str
    name: str
    context_tokens: int
    threads: int
    key: str

    def line(self) -> bytes:
        """Give the settings as the one line that the child reads."""
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Serve until the parent goes. SIGTERM keeps its default: nothing here needs to be put in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    settings = ChildSettings(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_exit_at_end_of_stdin, daemon=True).start()
    # Threads that spin while they wait cost a tenfold of the speed when other work shares the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    llama = importlib.import_module("xllamacpp")
    server = llama.Server(_params(llama, settings))
    sys.stdout.write(json.dumps({"address": server.listening_address}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def _die_with_parent() -> None:
    """Let the kernel end this process with its parent, even in the middle of loading. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_at_end_of_stdin() -> None:
    """Leave at once when the parent has closed the pipe; a plain exit would wait for llama.cpp's threads."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def _params(llama: ModuleType, settings: ChildSettings) -> object:
    """Fill llama.cpp's parameters. One slot: two halves of one context would each be too small for the sources."""
    params = llama.CommonParams()
    params.model.path = settings.path
    params.model_alias = {settings.name}
    params.n_ctx = settings.context_tokens
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = PROMPT_BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings.key]
    params.ui = params.endpoint_slots = False
    return params


if __name__ == "__main__":
    main()
