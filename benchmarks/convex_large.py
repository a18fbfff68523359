"""Asked: n = P = 20,000 random-LIF bits in under ten minutes: softmax to a relative gap of 1e-4, binary to 1e-6.

Images of MNIST in seven steps, every seventh row of pixels at one, through two layers of random LIF units (Gaussian
weights of deviation 1/2 and 1/4, decay 0.99): spikes at the last step, distinct columns that are not constant, a bit
each. Ten classes with softmax + l1, or even against odd digits with logistic + l1, without intercept; at a tenth and a
fiftieth of lambda_max. Every case is a process of its own, with peak memory of all it does: images, units, dictionary
and fit; the dictionary's own bytes, against float32.

Appends a line for each case to results/convex_large.jsonl; what is there is skipped.
Run: python benchmarks/convex_large.py [--cases large-softmax ...] [--limit 1200] [--threads 2]     (needs MNIST)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from convex_solvers import peak_mb

from spikebridge import Recorded
from spikebridge.convex import (
    BitDictionary,
    SpikeFeatures,
    distinct,
    fit_sparse,
    gaussian_witness,
    lambda_max,
    spike_dictionary,
)
from spikebridge.data import load
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "convex_large.jsonl"
STEPS, HIDDEN, AT_ONCE, SCALING = 7, 256, 2048, (0.5, 0.25)


class Case(NamedTuple):
    """How large, which loss, how far."""

    rows: int
    columns: int
    loss: str
    tol: float


CASES = {
    "medium-softmax": Case(6000, 1024, "softmax", 1e-4),
    "large-softmax": Case(20_000, 20_000, "softmax", 1e-4),
    "large-binary": Case(20_000, 20_000, "logistic", 1e-6),
}
SHARES = (0.1, 0.02)


def random_bits(values: torch.Tensor, columns: int) -> BitDictionary:
    """As many different columns as asked for, from as many units as it takes."""
    parts: list[BitDictionary] = []
    drawn = 0
    while True:
        units = gaussian_witness(values.shape[2], (HIDDEN, AT_ONCE), branches=[drawn], scaling=SCALING)
        features = SpikeFeatures(units, encoder=Recorded(time_steps=STEPS))
        made = spike_dictionary(features, values)
        assert isinstance(made, BitDictionary)
        parts.append(made)
        drawn += 1
        whole = BitDictionary(np.concatenate([part.words for part in parts]), len(values))
        found = distinct(whole)
        use = np.flatnonzero(~found.is_constant)
        print(f"{drawn * AT_ONCE} units, {len(use)} columns", file=sys.stderr, flush=True)
        if len(use) >= columns:
            return found.dictionary.take_columns(use[:columns])


def measured(name: str, share: float, limit: float) -> dict[str, Any]:
    """One case, here."""
    case = CASES[name]
    images, labels = load("mnist", seed=0).train[: case.rows]
    values = images.reshape(case.rows, 28 // STEPS, STEPS, 28).transpose(1, 2).flatten(2)
    start = time.perf_counter()
    with torch.no_grad():
        bits = random_bits(values, case.columns)
    made_s = time.perf_counter() - start
    targets = labels.numpy() if case.loss == "softmax" else np.where(labels.numpy() % 2, 1, -1)
    before = peak_mb()
    start = time.perf_counter()
    strength = share * lambda_max(bits, targets, case.loss)
    solution = fit_sparse(bits, targets, case.loss, strength=strength, tol=case.tol, max_time=limit)
    seconds = time.perf_counter() - start
    return {
        "case": name,
        "rows": case.rows,
        "columns": case.columns,
        "share_of_lambda_max": share,
        "seconds": round(seconds, 1),
        "relative_gap": solution.certificate.relative_gap,
        "asked": case.tol,
        "objective": solution.objective,
        "support": len(solution.support),
        "dictionary_mb": round(bits.nbytes / 2**20, 1),
        "share_of_float32": round(bits.nbytes / (4 * case.rows * case.columns), 5),
        "density": round(float(bits.column_sums().mean()) / case.rows, 3),
        "making_s": round(made_s, 1),
        "peak_mb_before_fit": round(before),
        "peak_mb": round(peak_mb()),
    }


def main() -> None:
    """What the results lack, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--limit", type=float, default=1200.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(options.threads)
        print(json.dumps(measured(options.cases[0], options.shares[0], options.limit)))
        return
    RESULTS.touch()
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    for name in options.cases:
        for share in options.shares:
            if any((line["case"], line["share_of_lambda_max"]) == (name, share) for line in done):
                continue
            words = ["--one", "--cases", name, "--shares", str(share), "--limit", str(options.limit)]
            command = [sys.executable, __file__, *words, "--threads", str(options.threads)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            line = {**json.loads(output.splitlines()[-1]), "threads": options.threads}
            print(line, flush=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps({**line, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
