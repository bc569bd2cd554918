"""Runs every benchmark: `make bench`. Needs a folder of test data, see `tests.benchmarks.servers`."""

import subprocess
import sys

from tests.benchmarks import servers

QUALITY = ("extraction", "recall", "finding", "citations", "across", "memory")
COST = ("speed", "rough", "cost", "throughput", "tokens", "cold_start", "faiss_gpu")

if __name__ == "__main__":
    servers.require_data()
    for name in QUALITY + COST:
        print(f"\n## {name}\n", flush=True)
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        subprocess.run(command, check=True, preexec_fn=servers.end_with_parent)
