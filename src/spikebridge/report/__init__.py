"""Numbers in, tables and figures out; knows nothing of models."""

from .accuracy import accuracy_over_time as accuracy_over_time
from .activity import firing_rates as firing_rates
from .activity import raster as raster
from .compare import pool as pool
from .html import write_report as write_report
from .tables import Row as Row
from .tables import markdown_table as markdown_table
from .tables import terminal_table as terminal_table
