"""Leak, gain and readout of their own for every step, in networks that exist: put in, looked at, folded away."""

from .adapt import adapt as adapt
from .folding import Folding as Folding
from .folding import fold_adaptive as fold_adaptive
from .profile import NeuronSteps as NeuronSteps
from .profile import StepProfile as StepProfile
from .profile import step_profile as step_profile
