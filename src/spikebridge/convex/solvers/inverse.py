"""The inverse of a principal submatrix, kept up to date as indices come and go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats

Index = NDArray[np.intp]


class ActiveInverse:
    """inv(H[F, F]) for a changing F: k indices more or fewer cost O(k |F|^2), where solving anew costs O(|F|^3).

    Args:
        matrix: H, [m, m], symmetric and positive definite.

    Source:  block inverses by Schur complements; Hager, SIAM Review 1989.
    """

    def __init__(self, matrix: Floats) -> None:
        self._matrix = matrix
        self._inverse: Floats = np.zeros((0, 0))
        self.active: Index = np.zeros(0, dtype=np.intp)

    def move_to(self, active: Index) -> None:
        """Make F these indices, in the order kept in ``active``; from scratch where that is cheaper."""
        stays = np.isin(self.active, active, assume_unique=True)
        comes = active[~np.isin(active, self.active, assume_unique=True)]
        if len(comes) + np.count_nonzero(~stays) > len(active) // 3:
            self.restart(active)
            return
        try:
            if not stays.all():
                self._drop(stays)
            if len(comes):
                self._add(comes)
        except np.linalg.LinAlgError:
            self.restart(active)

    def restart(self, active: Index) -> None:
        """Invert from scratch; a matrix that rounding has made singular has its pseudo-inverse taken."""
        self.active = active.copy()
        matrix = self._matrix[np.ix_(active, active)]
        try:
            self._inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        except np.linalg.LinAlgError:
            self._inverse = np.asarray(np.linalg.pinv(matrix, hermitian=True), dtype=np.float64)

    def solve(self, right: Floats) -> Floats:
        """inv(H[F, F]) r, for r in the order of ``active``, refined once; from scratch if updates have drifted."""
        found = self._refined(right)
        if self._error(found, right) > 1e-6 * np.abs(right).max(initial=0.0):
            self.restart(self.active)
            found = self._refined(right)
        return found

    def apply(self, right: Floats) -> Floats:
        """As :meth:`solve`, without a look at its accuracy."""
        return np.asarray(self._inverse @ right)

    def _refined(self, right: Floats) -> Floats:
        first: Floats = self._inverse @ right
        return first + self._inverse @ (right - self._product(first))

    def _error(self, found: Floats, right: Floats) -> float:
        return float(np.abs(self._product(found) - right).max(initial=0.0))

    def _product(self, values: Floats) -> Floats:
        full = np.zeros(len(self._matrix))
        full[self.active] = values
        return np.asarray((self._matrix @ full)[self.active])

    def _drop(self, stays: NDArray[np.bool_]) -> None:
        inverse = self._inverse
        kept, between, gone = (
            inverse[np.ix_(stays, stays)],
            inverse[np.ix_(stays, ~stays)],
            inverse[np.ix_(~stays, ~stays)],
        )
        kept -= between @ np.linalg.solve(gone, between.T)
        self._inverse, self.active = kept, self.active[stays]

    def _add(self, comes: Index) -> None:
        size, more = len(self.active), len(comes)
        coupled = self._inverse @ self._matrix[np.ix_(self.active, comes)]
        schur = np.linalg.inv(self._matrix[np.ix_(comes, comes)] - self._matrix[np.ix_(comes, self.active)] @ coupled)
        grown = np.empty((size + more, size + more))
        grown[:size, size:] = -coupled @ schur
        grown[size:, :size] = grown[:size, size:].T
        grown[size:, size:] = schur
        np.subtract(self._inverse, grown[:size, size:] @ coupled.T, out=grown[:size, :size])
        self._inverse = grown
        self.active = np.concatenate([self.active, comes])
