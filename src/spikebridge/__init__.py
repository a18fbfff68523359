"""spikebridge: cross between artificial and spiking neural networks.

Time comes first: a train is ``[time, batch, *unit]``. Modules hold settings, never state.
"""

from .adaptive import Folding as Folding
from .adaptive import StepProfile as StepProfile
from .adaptive import adapt as adapt
from .adaptive import fold_adaptive as fold_adaptive
from .adaptive import step_profile as step_profile
from .blocks import QCFS as QCFS
from .blocks import Fusion as Fusion
from .blocks import HybridBlock as HybridBlock
from .blocks import HybridStem as HybridStem
from .blocks import InPieces as InPieces
from .blocks import RateDecoder as RateDecoder
from .blocks import SpikingNetwork as SpikingNetwork
from .blocks import StepNorm as StepNorm
from .blocks import StepReadout as StepReadout
from .blocks import fold_gain as fold_gain
from .blocks import fold_readout as fold_readout
from .conversion import Conversion as Conversion
from .conversion import ConversionError as ConversionError
from .conversion import Rule as Rule
from .conversion import Verdict as Verdict
from .conversion import convert as convert
from .conversion import error_bound as error_bound
from .conversion import explain as explain
from .conversion import to_int8 as to_int8
from .conversion import verify as verify
from .core import ATan as ATan
from .core import EachStep as EachStep
from .core import Encoder as Encoder
from .core import FourierSine as FourierSine
from .core import MeasuredRange as MeasuredRange
from .core import Neuron as Neuron
from .core import NoGradient as NoGradient
from .core import OverTime as OverTime
from .core import Rectangular as Rectangular
from .core import Sigmoid as Sigmoid
from .core import SigSine as SigSine
from .core import StraightThrough as StraightThrough
from .core import Strict as Strict
from .core import Surrogate as Surrogate
from .core import TanhSine as TanhSine
from .core import Triangle as Triangle
from .core import by_subtraction as by_subtraction
from .core import declare_time as declare_time
from .core import detached as detached
from .core import fold as fold
from .core import never as never
from .core import run as run
from .core import run_at_once as run_at_once
from .core import straight_through as straight_through
from .core import to_zero as to_zero
from .core import unfold as unfold
from .encoders import BinaryLevel as BinaryLevel
from .encoders import BitPlane as BitPlane
from .encoders import Direct as Direct
from .encoders import Hybrid as Hybrid
from .encoders import Latency as Latency
from .encoders import Phase as Phase
from .encoders import Rate as Rate
from .encoders import Recorded as Recorded
from .encoders import reference_parity as reference_parity
from .hybrid import Assignment as Assignment
from .hybrid import assign as assign
from .hybrid import bit_planes as bit_planes
from .hybrid import hybridize as hybridize
from .hybrid import runs_of as runs_of
from .hybrid import spike_report as spike_report
from .neurons import IF as IF
from .neurons import LIF as LIF
from .neurons import AdaptiveLIF as AdaptiveLIF
from .neurons import GroupNeuron as GroupNeuron

__version__ = "0.1.0"
