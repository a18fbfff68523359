"""Data sets by name: ``get`` fetches one, ``load`` gives its three parts, ``listing`` names them all."""

from .catalogue import COLLECTIONS as COLLECTIONS
from .catalogue import find as find
from .collection import Collection as Collection
from .digits import all_digits as all_digits
from .digits import digits as digits
from .download import Remote as Remote
from .errors import DataError as DataError
from .events import Frames as Frames
from .fetching import Listed as Listed
from .fetching import get as get
from .fetching import listing as listing
from .loading import load as load
from .progress import Progress as Progress
from .progress import progress_bar as progress_bar
from .samples import Samples as Samples
from .samples import Stored as Stored
from .sources import Debian as Debian
from .sources import Npm as Npm
from .sources import PyPI as PyPI
from .sources import Server as Server
from .sources import Source as Source
from .split import Parts as Parts
from .split import Split as Split
from .store import default_root as default_root
from .ucr import series as series
