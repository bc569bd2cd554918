"""Serves the embedded model by vLLM on the CPU as an R1 is served on a GPU: `make vllm-cpu`.

    .venv/bin/python deploy/vllm/serve_cpu.py [--model 0.5b] [--port 8001]

Makes what it needs on first use: the environment of vLLM, the weights, their conversion. A model this small says
nothing about answers; the wire is that of R1 on vLLM.
"""

import argparse
import os
import subprocess
from pathlib import Path

import environment

from agent.models.embedded import WEIGHTS
from agent.settings import load_settings
from retrieval.weights import draw_progress, ensure, locked

HERE = Path(__file__).parent
CONTEXT_TOKENS = 8_192
NAME = "deepseek-r1-test"
# Counts how convert.py has changed what it makes.
CONVERSION = 2
FLAGS = ("--enforce-eager", "--reasoning-parser", "deepseek_r1", "--enable-prompt-tokens-details")
# No hub is asked for anything, and nothing is told to anybody.
QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1", "VLLM_NO_USAGE_STATS": "1"}
ON_CPU = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "2"}


def main() -> None:
    """Prepare, then become vLLM."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--model", choices=sorted(WEIGHTS), default="0.5b", help="0.5b: quick; 1.5b: answers better")
    cli.add_argument("--port", type=int, default=8_001)
    cli.add_argument(
        "--step-tokens",
        type=int,
        help="how much is read in a step, after which a request that was given up leaves; less than a prompt, and vLLM "
        "0.32 on a CPU breaks off at a request with a seed",
    )
    cli.add_argument("--prepare", action="store_true", help="make what is needed, and serve nothing")
    args = cli.parse_args()
    python, model = environment.python(), converted(args.model)
    if args.prepare:
        return
    command = [str(python), *command_line(model, args.port, args.step_tokens)]
    os.execve(command[0], command, os.environ | QUIET | ON_CPU)


def converted(size: str) -> Path:
    """Return the folder with the converted model, made on first use. Blocks. Raises WeightsError."""
    weights = WEIGHTS[size]
    models_dir = load_settings().models_dir
    gguf = ensure(weights, models_dir, draw_progress)
    folder = models_dir / f"{weights.name}-r1-wire-{CONVERSION}"
    with locked(folder):
        if not folder.exists():
            subprocess.run(
                [environment.python(), HERE / "convert.py", gguf, folder], env=os.environ | QUIET, check=True
            )
    return folder


def command_line(model: Path, port: int, step_tokens: int | None) -> list[str]:
    """Return the arguments of Python that serve a model on loopback, reading up to `step_tokens` in a step."""
    served = ["--model", str(model), "--served-model-name", NAME, "--max-model-len", str(CONTEXT_TOKENS)]
    steps = ["--max-num-batched-tokens", str(step_tokens)] if step_tokens else []
    listens = ["--host", "127.0.0.1", "--port", str(port)]
    # The script of the package looks for a distribution called vllm, which vllm-cpu is not.
    return ["-m", "vllm.entrypoints.openai.api_server", *served, *steps, *listens, *FLAGS]


if __name__ == "__main__":
    main()
