"""Pieces of networks: larger than a layer, smaller than a model."""

from .differential import Differential as Differential
from .quantised import QCFS as QCFS
from .spiking import SpikingNetwork as SpikingNetwork
