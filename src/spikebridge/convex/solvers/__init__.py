"""Solvers by name, and what each needs of a loss."""

from __future__ import annotations

from ..losses import Loss, Smooth
from ..margins import Hinge
from .fista import fista, fista_fixed_point
from .found import Found as Found
from .smoothing import Solver
from .working_set import working_set

SOLVERS: dict[str, Solver] = {
    "working-set": working_set,
    "fista": fista,
    "fista-fixed-point": fista_fixed_point,
}


def find_solver(name: str, loss: Loss) -> Solver:
    """The solver of a name; "auto" is "working-set".

    Raises:  ValueError: no such solver. TypeError: a loss that lacks what it needs.
    """
    if name not in ("auto", *SOLVERS):
        raise ValueError(f"fit_sparse expects a solver among auto, {', '.join(SOLVERS)}; got '{name}'.")
    solver = SOLVERS["working-set" if name == "auto" else name]
    if isinstance(loss, (Smooth, Hinge)):
        return solver
    raise TypeError(
        f"Solver '{name}' needs a Smooth loss; {type(loss).__name__} lacks `smoothness` or `curvature`. Add them, or "
        f"give it a smooth stand-in, as Hinge.smoothed does."
    )
