"""Claim: `import spikebridge` costs at most 15 % over `import torch`.

Fresh interpreters in turn, A B A B ..., so that drift of the machine falls on both; the median ratio of pairs.
Appends a line to results/import_cost.jsonl. Run: make bench
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from spikebridge.measure.record import environment

PAIRS = 15
RESULTS = Path(__file__).parent / "results" / "import_cost.jsonl"


def seconds(statement: str) -> float:
    """How long a fresh interpreter takes for one statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure pairs and keep the ratios."""
    for statement in ("import torch", "import spikebridge"):
        seconds(statement)
    ratios = sorted(seconds("import spikebridge") / seconds("import torch") for _ in range(PAIRS))
    line = {
        "median_ratio": round(statistics.median(ratios), 3),
        "lowest": round(ratios[0], 3),
        "highest": round(ratios[-1], 3),
        "pairs": PAIRS,
        "environment": environment(),
    }
    print({key: line[key] for key in ("median_ratio", "lowest", "highest", "pairs")})
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
