"""Spikes in the middle of networks that exist: which layers, with which code, and what it costs."""

from .assign import assign as assign
from .assign import bit_planes as bit_planes
from .assignment import Assignment as Assignment
from .block_spikes import BlockSpikes as BlockSpikes
from .block_spikes import SpikeReport as SpikeReport
from .coded import CodedLayer as CodedLayer
from .hybridize import hybridize as hybridize
from .points import Point as Point
from .runs import runs_of as runs_of
from .spike_report import spike_report as spike_report
from .twin import SpikingTwin as SpikingTwin
from .twin import spiking_twin as spiking_twin
