"""How good and how costly a network is; every method is scored by the same code."""

from .accuracy import accuracy as accuracy
from .accuracy import accuracy_over_time as accuracy_over_time
from .activity import activation_sparsity as activation_sparsity
from .activity import connection_sparsity as connection_sparsity
from .activity import footprint as footprint
from .costs import HOROWITZ_45NM as HOROWITZ_45NM
from .costs import HOROWITZ_45NM_INT8 as HOROWITZ_45NM_INT8
from .costs import EnergyCosts as EnergyCosts
from .energy import EnergyCard as EnergyCard
from .energy import Reference as Reference
from .energy import Traffic as Traffic
from .energy import bits_of as bits_of
from .energy import energy_card as energy_card
from .layer import LayerOperations as LayerOperations
from .limits import Limits as Limits
from .limits import measure_limits as measure_limits
from .operations import count_operations as count_operations
from .profile import LayerProfile as LayerProfile
from .profile import Profile as Profile
from .profiling import profile_step as profile_step
from .record import NetworkResult as NetworkResult
from .record import RunRecord as RunRecord
from .score import measure as measure
from .spikes import record_spikes as record_spikes
from .spikes import spike_counts as spike_counts
