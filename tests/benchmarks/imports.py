"""What importing the package costs beside NumPy alone: python -m tests.benchmarks.imports

Fresh processes in turn, with cached bytecode as after an installation; prints both medians (ms) and the median ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

LIMIT = 1.5
ROUNDS = 15


def seconds(module: str) -> float:
    """The time that ``import module`` takes in a process of its own."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> int:
    """Print the figures; 1 if the ratio exceeds the limit."""
    for module in ("numpy", "autograd_bn"):
        seconds(module)
    numpy, ours = zip(*((seconds("numpy"), seconds("autograd_bn")) for _ in range(ROUNDS)), strict=True)
    ratio = statistics.median(b / a for a, b in zip(numpy, ours, strict=True))
    print(f"import numpy {statistics.median(numpy) * 1e3:.0f} ms, import autograd_bn {statistics.median(ours) * 1e3:.0f} ms, ratio {ratio:.2f}, limit {LIMIT}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
