"""The operations convert knows, one family per file; an export line here is all that a new rule needs."""

from ..rule import Rule
from .activation import QUANTISED_RELU as QUANTISED_RELU
from .activation import RELU as RELU
from .linear import ADD as ADD
from .linear import BATCH_NORM as BATCH_NORM
from .linear import LINEAR as LINEAR
from .pooling import AVERAGE_POOL as AVERAGE_POOL
from .pooling import MAX_POOL as MAX_POOL
from .pooling import MEAN as MEAN
from .structure import DROPOUT as DROPOUT
from .structure import FLATTEN as FLATTEN
from .structure import IDENTITY as IDENTITY
from .structure import RESHAPE as RESHAPE

RULES: tuple[Rule, ...] = tuple(thing for thing in list(globals().values()) if isinstance(thing, Rule))
