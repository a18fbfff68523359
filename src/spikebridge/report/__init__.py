"""Numbers in, tables and figures out; knows nothing of models."""

from .figures import accuracy_over_time as accuracy_over_time
from .figures import firing_rates as firing_rates
from .figures import raster as raster
from .html import write_report as write_report
from .tables import Row as Row
from .tables import markdown_table as markdown_table
from .tables import terminal_table as terminal_table
