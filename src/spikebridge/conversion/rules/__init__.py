"""The operations convert knows, one family per file; an export line here is all that a new rule needs."""

from ..rule import Rule
from .activation import CLIP as CLIP
from .activation import POSITIVE as POSITIVE
from .activation import QUANTISED_RELU as QUANTISED_RELU
from .activation import RELU as RELU
from .activation import SMOOTH as SMOOTH
from .arithmetic import ADD as ADD
from .arithmetic import DIVIDE as DIVIDE
from .arithmetic import ELEMENTWISE as ELEMENTWISE
from .arithmetic import MATMUL as MATMUL
from .arithmetic import MULTIPLY as MULTIPLY
from .arithmetic import NEGATIVE as NEGATIVE
from .arithmetic import SUM as SUM
from .gates import ATTENTION as ATTENTION
from .gates import GATE as GATE
from .gates import NORM as NORM
from .gates import SCALED_DOT_PRODUCT as SCALED_DOT_PRODUCT
from .gates import SOFTMAX as SOFTMAX
from .linear import BATCH_NORM as BATCH_NORM
from .linear import FUNCTIONAL_BATCH_NORM as FUNCTIONAL_BATCH_NORM
from .linear import FUNCTIONAL_LINEAR as FUNCTIONAL_LINEAR
from .linear import LINEAR as LINEAR
from .pooling import AVERAGE_POOL as AVERAGE_POOL
from .pooling import MAX_POOL as MAX_POOL
from .pooling import MAXIMUM as MAXIMUM
from .pooling import MEAN as MEAN
from .structure import ATTRIBUTE as ATTRIBUTE
from .structure import CONCATENATE as CONCATENATE
from .structure import DROP_ROWS as DROP_ROWS
from .structure import DROPOUT as DROPOUT
from .structure import FLATTEN as FLATTEN
from .structure import IDENTITY as IDENTITY
from .structure import INTERPOLATE as INTERPOLATE
from .structure import PAD as PAD
from .structure import PERMUTE as PERMUTE
from .structure import RESHAPE as RESHAPE
from .structure import SLICE as SLICE

RULES: tuple[Rule, ...] = tuple(thing for thing in list(globals().values()) if isinstance(thing, Rule))
