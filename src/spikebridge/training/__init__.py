"""How weights are found: Lightning's loop, our objectives."""

from .augment import CropFlip as CropFlip
from .batches import Batches as Batches
from .callbacks import EpochLines as EpochLines
from .checkpoint import load_weights as load_weights
from .compiler import compiler_problem as compiler_problem
from .fitting import BEST as BEST
from .fitting import LAST as LAST
from .fitting import Fitted as Fitted
from .fitting import fit as fit
from .learner import Learner as Learner
from .machines import Machines as Machines
from .objective import CrossEntropy as CrossEntropy
from .objective import Mixup as Mixup
from .objective import Objective as Objective
from .objective import PerStepCrossEntropy as PerStepCrossEntropy
from .optimiser import parameter_groups as parameter_groups
