"""Whether two networks count the same, in arithmetic that cannot round."""

from .difference import Difference as Difference
from .difference import Verdict as Verdict
from .verify import verify as verify
