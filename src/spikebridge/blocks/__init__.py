"""Pieces of networks: larger than a layer, smaller than a model."""

from .differential import Bias as Bias
from .differential import Differential as Differential
from .differential import Increments as Increments
from .differential import PrefixMeans as PrefixMeans
from .fold import StepAffine as StepAffine
from .fold import fold_gain as fold_gain
from .fold import fold_readout as fold_readout
from .hybrid import Fusion as Fusion
from .hybrid import HybridBlock as HybridBlock
from .hybrid import RateDecoder as RateDecoder
from .in_pieces import InPieces as InPieces
from .quantised import QCFS as QCFS
from .spiking import SpikingNetwork as SpikingNetwork
from .stem import HybridStem as HybridStem
from .step_norm import StepNorm as StepNorm
from .step_readout import FoldedReadout as FoldedReadout
from .step_readout import StepReadout as StepReadout
