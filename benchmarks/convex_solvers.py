"""Claim: `fit_sparse` reaches a certified relative gap of 1e-6 on spike patterns sooner than the solvers people use.

Columns are last-step spikes of two layers of random LIF neurons (Gaussian weights, decay 0.99), distinct ones only:

- binary: 4,000 of the 4,096 bit strings of length 12, 3,067 columns, the XOR of the first and the last bit as the
  target, logistic loss + l1 at 0.02 lambda_max, no intercept: liblinear, saga, adelie, skglm, celer, cvxpy (Clarabel);
- small: the same with 500 strings and 400 columns;
- softmax: the ten scikit-learn digits, 1,500 rows, 1,000 columns, cross-entropy + l1 at 0.02 lambda_max: saga, cvxpy.

Every run is a process of its own, at the solver's own tolerance. `certify` judges what it returns; if the gap is above
the target, the next smaller tolerance follows, until the gap is reached or a run takes longer than the limit. Seconds
are of the fit in a fresh process, so they have just-in-time compiling in them, but not imports and data; peak memory
is that of the whole process. Appends to results/convex_solvers.jsonl; a second run goes on where the first ended.

Run: python benchmarks/convex_solvers.py [seconds per run] [cases]     (needs benchmarks/requirements.txt)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikebridge import LIF
from spikebridge.convex import BitDictionary, certify, fit_sparse, lambda_max
from spikebridge.data.digits import all_digits
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "convex_solvers.jsonl"
TARGET, SHARE, LIMIT = 1e-6, 0.02, 600
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-9, 1e-10)
Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
Fit = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any], float, float], np.ndarray[Any, Any]]


def distinct_columns(values: torch.Tensor, columns: int, *, hidden: int = 256) -> np.ndarray[Any, Any]:
    """[time, rows, inputs] -> [rows, columns] of 0 and 1: last spikes of random LIF units, constant ones left out."""
    generator = torch.Generator().manual_seed(0)
    neuron, known = LIF(decay=0.99), {}
    below = neuron(values @ torch.randn(values.shape[2], hidden, generator=generator, dtype=torch.float64))
    while len(known) < columns:
        spikes = neuron(below @ torch.randn(hidden, 1024, generator=generator, dtype=torch.float64))[-1].numpy()
        for column in spikes.T.astype(np.uint8):
            if 0 < column.sum() < len(column):
                known.setdefault(column.tobytes(), column)
    return np.stack(list(known.values())[:columns], axis=1).astype(np.float64)


def strings(rows: int, columns: int) -> Arrays:
    """Bit strings of length 12, one-hot, and the XOR of their ends."""
    bits = (np.random.default_rng(0).permutation(4096)[:rows, None] >> np.arange(12)) & 1
    values = torch.from_numpy(np.stack([1 - bits.T, bits.T], axis=-1).astype(np.float64))
    return distinct_columns(values, columns), np.where(bits[:, 0] ^ bits[:, -1], 1, -1)


def digit_rows(rows: int, columns: int) -> Arrays:
    """Digits, a row of pixels at a step, and their classes."""
    pixels, classes = all_digits()
    chosen = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[:rows]
    values = pixels[chosen].double().reshape(rows, 8, 8).transpose(0, 1)
    return distinct_columns(values, columns), classes[chosen].numpy()


CASES: dict[str, tuple[str, Callable[[], Arrays], tuple[str, ...]]] = {
    "small": (
        "logistic",
        lambda: strings(500, 400),
        ("spikebridge", "liblinear", "saga", "adelie", "skglm", "celer", "cvxpy"),
    ),
    "binary": (
        "logistic",
        lambda: strings(4000, 3067),
        ("spikebridge", "liblinear", "adelie", "skglm", "celer", "saga", "cvxpy"),
    ),
    "softmax": ("softmax", lambda: digit_rows(1500, 1000), ("spikebridge", "saga", "cvxpy")),
}


def spikebridge(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """Ours, at the target or below."""
    loss = "logistic" if targets.min() < 0 else "softmax"
    return fit_sparse(matrix, targets, loss, strength=strength, tol=min(tol, TARGET)).weights


def liblinear(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """Coordinate descent with Newton steps, of scikit-learn."""
    return _scikit_learn("liblinear", matrix, targets, strength, tol)


def saga(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """Stochastic gradients, of scikit-learn."""
    return _scikit_learn("saga", matrix, targets, strength, tol)


def _scikit_learn(solver: str, matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    settings = {"solver": solver, "C": 1 / (len(targets) * strength), "l1_ratio": 1.0, "max_iter": 1_000_000}
    fitted = LogisticRegression(**settings, tol=tol, fit_intercept=False, random_state=0).fit(matrix, targets)
    return fitted.coef_[0] if len(fitted.coef_) == 1 else fitted.coef_.T


def adelie(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """A path of 20 strengths down to the last, the only way it goes."""
    import adelie as ad

    ordered = np.asfortranarray(matrix)
    path = [factor * strength for factor in np.geomspace(1 / SHARE, 1, 20)]
    loss = ad.glm.binomial((targets > 0).astype(np.float64))
    settings = {"lmda_path": path, "intercept": False, "early_exit": False, "progress_bar": False}
    state = ad.grpnet(ordered, loss, **settings, tol=tol, irls_tol=tol)
    return state.betas[-1].toarray()[0]


def skglm(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """Working sets and Anderson acceleration."""
    from skglm import SparseLogisticRegression

    settings = {"alpha": strength, "fit_intercept": False, "max_iter": 1000}
    return SparseLogisticRegression(**settings, tol=tol).fit(matrix, targets).coef_[0]


def celer(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """Working sets and dual extrapolation."""
    from celer import LogisticRegression

    settings = {"C": 1 / (len(targets) * strength), "max_iter": 1000}
    return LogisticRegression(**settings, tol=tol).fit(np.asfortranarray(matrix), targets).coef_.ravel()


def cvxpy(matrix: Any, targets: Any, strength: float, tol: float) -> Any:
    """Interior points (Clarabel)."""
    import cvxpy as cp

    outputs = 1 if targets.min() < 0 else int(targets.max()) + 1
    weights = cp.Variable((matrix.shape[1], outputs))
    scores = matrix @ weights
    if outputs == 1:
        loss = cp.sum(cp.logistic(-cp.multiply(targets, scores[:, 0])))
    else:
        loss = cp.sum(cp.log_sum_exp(scores, axis=1)) - cp.sum(cp.multiply(np.eye(outputs)[targets], scores))
    problem = cp.Problem(cp.Minimize(loss / len(targets) + strength * cp.sum(cp.abs(weights))))
    problem.solve(solver="CLARABEL", tol_gap_rel=min(tol, 1e-7), tol_gap_abs=min(tol, 1e-7))
    return weights.value[:, 0] if outputs == 1 else weights.value


SOLVERS: dict[str, Fit] = {part.__name__: part for part in (spikebridge, liblinear, saga, adelie, skglm, celer, cvxpy)}
PACKAGES = {"liblinear": "scikit-learn", "saga": "scikit-learn"}


def run_here(case: str, solver: str, tol: float, folder: Path) -> None:
    """In a process of its own: fit, and leave weights, seconds and peak memory."""
    data = np.load(folder / f"{case}.npz")
    matrix, targets = data["matrix"], data["targets"]
    started = time.perf_counter()
    weights = SOLVERS[solver](matrix, targets, float(data["strength"]), tol)
    seconds = time.perf_counter() - started
    np.savez(folder / "answer.npz", weights=weights, seconds=seconds, peak=peak_mb())


def peak_mb() -> float:
    """Largest resident memory of this process since it was started; getrusage would have the parent's in it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(case: str, solver: str, tol: float, folder: Path, *, limit: float) -> dict[str, Any]:
    """One run, judged."""
    row = {"case": case, "solver": solver, "tol": tol, "limit": limit}
    answer = folder / "answer.npz"
    answer.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--one", case, solver, repr(tol), str(folder)]
    try:
        done = subprocess.run(command, timeout=limit + 60, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired:
        return {**row, "status": f"longer than {limit:g} s"}
    if not answer.exists():
        return {**row, "status": f"failed: {(done.stderr.strip().splitlines() or ['no word'])[-1][:200]}"}
    data, found = np.load(folder / f"{case}.npz"), np.load(answer)
    bits = BitDictionary.from_columns(data["matrix"])
    judged = certify(bits, data["targets"], found["weights"], loss=CASES[case][0], strength=float(data["strength"]))
    return {
        **row,
        "status": "done",
        "seconds": round(float(found["seconds"]), 3),
        "peak_mb": round(float(found["peak"]), 1),
        "objective": judged.primal,
        "relative_gap": judged.relative_gap,
        "support": int(np.count_nonzero(found["weights"].reshape(len(found["weights"]), -1).any(axis=1))),
    }


def race(case: str, solver: str, folder: Path, done: list[dict[str, Any]], *, limit: float) -> None:
    """Smaller and smaller tolerances, until the gap is reached or time is up."""
    for tol in TOLERANCES:
        known = [row for row in done if (row["case"], row["solver"], row["tol"]) == (case, solver, tol)]
        row = known[-1] if known else measure(case, solver, tol, folder, limit=limit)
        if not known:
            package = PACKAGES.get(solver, solver)
            row["versions"] = {package: "source" if package == "spikebridge" else version(package)}
            row["environment"] = environment()
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            done.append(row)
            print(case, solver, tol, row["status"], row.get("seconds"), row.get("relative_gap"), flush=True)
        if row["status"] != "done" or row["relative_gap"] <= TARGET or row["seconds"] > limit:
            return


def table(done: list[dict[str, Any]]) -> str:
    """Best run of every solver: the first that reached the target, else the one that came nearest."""
    lines = [f"{'case':9}{'solver':13}{'seconds':>9}{'peak MB':>9}{'certified gap':>15}  objective"]
    for case, (_, _, solvers) in CASES.items():
        for solver in solvers:
            rows = [row for row in done if (row["case"], row["solver"]) == (case, solver)]
            good = [row for row in rows if row["status"] == "done"]
            if not good:
                lines.append(f"{case:9}{solver:13}{rows[-1]['status'] if rows else 'not run'}")
                continue
            reached = [row for row in good if row["relative_gap"] <= TARGET]
            row = reached[0] if reached else min(good, key=lambda row: row["relative_gap"])
            peak = row.get("peak_mb", float("nan"))
            numbers = f"{row['seconds']:9.2f}{peak:9.0f}{row['relative_gap']:15.1e}  {row['objective']:.8f}"
            lines.append(f"{case:9}{solver:13}{numbers}")
    return "\n".join(lines)


def main(limit: float, cases: list[str]) -> None:
    """Run what the results lack, and print the table."""
    RESULTS.parent.mkdir(exist_ok=True)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in cases:
            loss, make, solvers = CASES[case]
            matrix, targets = make()
            strength = SHARE * lambda_max(matrix, targets, loss)
            np.savez(folder / f"{case}.npz", matrix=matrix, targets=targets, strength=strength)
            print(f"{case}: {matrix.shape}, density {matrix.mean():.2f}, lambda {strength:.4g}", flush=True)
            for solver in solvers:
                race(case, solver, folder, done, limit=limit)
    print(table(done))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_here(sys.argv[2], sys.argv[3], float(sys.argv[4]), Path(sys.argv[5]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else LIMIT, sys.argv[2:] or list(CASES))
