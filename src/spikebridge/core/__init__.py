"""What every part relies on: time, neurons, encoders, gradients. Imports nothing but torch."""

from .catalogue import catalogue as catalogue
from .encoder import Encoder as Encoder
from .gradient import ATan as ATan
from .gradient import Rectangular as Rectangular
from .gradient import Sigmoid as Sigmoid
from .gradient import Strict as Strict
from .gradient import Surrogate as Surrogate
from .gradient import Triangle as Triangle
from .gradient import quantise as quantise
from .gradient import straight_through as straight_through
from .gradient import substitute as substitute
from .neuron import Neuron as Neuron
from .neuron import run as run
from .neuron import run_at_once as run_at_once
from .planes import FourierSine as FourierSine
from .planes import NoGradient as NoGradient
from .planes import SigSine as SigSine
from .planes import StraightThrough as StraightThrough
from .planes import TanhSine as TanhSine
from .ranges import MeasuredRange as MeasuredRange
from .reset import Reset as Reset
from .reset import by_subtraction as by_subtraction
from .reset import detached as detached
from .reset import never as never
from .reset import to_zero as to_zero
from .time import EachStep as EachStep
from .time import OverTime as OverTime
from .time import TimeAxis as TimeAxis
from .time import declare_time as declare_time
from .time import fold as fold
from .time import unfold as unfold

SURROGATES = catalogue(globals(), Surrogate)
