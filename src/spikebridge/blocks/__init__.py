"""Pieces of networks: larger than a layer, smaller than a model."""

from .differential import Bias as Bias
from .differential import Differential as Differential
from .differential import Increments as Increments
from .differential import PrefixMeans as PrefixMeans
from .hybrid import Fusion as Fusion
from .hybrid import HybridBlock as HybridBlock
from .hybrid import RateDecoder as RateDecoder
from .quantised import QCFS as QCFS
from .spiking import SpikingNetwork as SpikingNetwork
