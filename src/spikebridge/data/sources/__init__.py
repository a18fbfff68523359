"""Where data sets come from: their authors' servers, and package registries that firewalls let through."""

from .debian import Debian as Debian
from .npm import Npm as Npm
from .pypi import PyPI as PyPI
from .server import Server as Server
from .source import Registry as Registry
from .source import Source as Source
