"""How good and how costly a network is; every method is scored by the same code."""

from .accuracy import accuracy as accuracy
from .accuracy import accuracy_over_time as accuracy_over_time
from .operations import LayerOperations as LayerOperations
from .operations import count_operations as count_operations
from .record import RunRecord as RunRecord
from .score import Score as Score
from .score import score as score
from .spikes import record_spikes as record_spikes
from .spikes import spike_counts as spike_counts
