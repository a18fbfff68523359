"""One loader per file."""

from .digits import Split as Split
from .digits import all_digits as all_digits
from .digits import digits as digits
