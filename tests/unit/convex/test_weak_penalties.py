"""Weak penalties, where almost every column is in use and a loss without curvature of its own has valleys."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from spikebridge.convex import fit_sparse, lambda_max

SHARES = (1e-2, 1e-3, 1e-4)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("loss", ["squared-hinge", "smoothed-hinge", "logistic", "squared"])
def test_a_weak_penalty_is_solved_to_the_gap_too(loss: str, share: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        matrix, wanted = (rng.random((64, 60)) < 0.4).astype(np.uint8), rng.choice([-1, 1], 64)
        strength = share * lambda_max(matrix, wanted, loss, intercept=seed == 1)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            solution = fit_sparse(matrix, wanted, loss, strength=strength, intercept=seed == 1, tol=1e-6)
        assert solution.certificate.relative_gap <= 1e-6
