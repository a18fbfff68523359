"""Any trained network, made spiking: ordered rules over a traced graph, always a new model."""

from .bounds import ErrorBound as ErrorBound
from .bounds import SiteBound as SiteBound
from .bounds import adversarial as adversarial
from .bounds import error_bound as error_bound
from .convert import Conversion as Conversion
from .convert import convert as convert
from .errors import ConversionError as ConversionError
from .explain import CallExplained as CallExplained
from .explain import Explanation as Explanation
from .explain import explain as explain
from .int8 import Int8Conversion as Int8Conversion
from .int8 import to_int8 as to_int8
from .network import ConvertedNetwork as ConvertedNetwork
from .recipe import Recipe as Recipe
from .report import Report as Report
from .rule import Activation as Activation
from .rule import Rule as Rule
from .rule import Site as Site
from .rules import RULES as RULES
from .stopping import Decision as Decision
from .stream import StreamState as StreamState
from .verification import Difference as Difference
from .verification import Verdict as Verdict
from .verification import verify as verify
