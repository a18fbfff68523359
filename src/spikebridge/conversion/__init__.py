"""Any trained network, made spiking: ordered rules over a traced graph, always a new model."""

from .convert import Conversion as Conversion
from .convert import convert as convert
from .errors import ConversionError as ConversionError
from .network import ConvertedNetwork as ConvertedNetwork
from .recipe import Recipe as Recipe
from .report import Report as Report
from .rule import Activation as Activation
from .rule import Rule as Rule
from .rule import Site as Site
from .rules import RULES as RULES
