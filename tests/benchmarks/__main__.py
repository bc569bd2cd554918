"""Runs every benchmark: `make bench`. Needs a folder of test data, see `tests.benchmarks.servers`."""

import subprocess
import sys

from tests.benchmarks import servers

BENCHMARKS = ("extraction", "recall", "speed", "rough", "cost")

if __name__ == "__main__":
    servers.require_data()
    for name in BENCHMARKS:
        print(f"\n## {name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=True)
