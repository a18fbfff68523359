"""Solvers by name, and what each needs of a loss and a penalty."""

from __future__ import annotations

from ..losses import Joint, Loss, Smooth
from ..margins import Hinge
from ..penalties import L1, Group, Penalty
from .fista import fista, fista_fixed_point
from .found import Found as Found
from .smoothing import Solver
from .working_set import working_set

SOLVERS: dict[str, Solver] = {
    "working-set": working_set,
    "fista": fista,
    "fista-fixed-point": fista_fixed_point,
}


def find_solver(name: str, loss: Loss, penalty: Penalty, *, outputs: int = 1) -> Solver:
    """The solver of a name; "auto" is "working-set".

    Raises:  ValueError: no such solver. TypeError: a loss or a penalty that lacks what it needs.
    """
    if name not in ("auto", *SOLVERS):
        raise ValueError(f"fit_sparse expects a solver among auto, {', '.join(SOLVERS)}; got '{name}'.")
    solver = SOLVERS["working-set" if name == "auto" else name]
    if not isinstance(loss, (Smooth, Hinge)):
        raise TypeError(
            f"Solver '{name}' needs a Smooth loss; {type(loss).__name__} lacks `smoothness`, `curvature` or "
            f"`curvature_above`. Add them, or give it a smooth stand-in, as Hinge.smoothed does."
        )
    if solver is working_set:
        _require_known(name, loss, penalty, outputs)
    return solver


def _require_known(name: str, loss: Loss, penalty: Penalty, outputs: int) -> None:
    """What working sets need: their inner steps are written for two penalties, not for what those become."""
    if type(penalty) not in (L1, Group):
        raise TypeError(
            f"Solver '{name}' needs the penalty L1 or Group; got {type(penalty).__name__}. Solver 'fista' takes any "
            f"that has a `prox`: pass solver='fista'."
        )
    if isinstance(penalty, Group) and outputs > 1 and not isinstance(loss, Joint):
        raise TypeError(
            f"Solver '{name}' needs a Joint loss for groups of several outputs; {type(loss).__name__} lacks `curved` "
            f"or `bound_curvature`. Add them, or pass solver='fista'."
        )
