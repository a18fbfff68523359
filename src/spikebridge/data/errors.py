"""What goes wrong while data are fetched, told apart by whose fault it is."""

from __future__ import annotations

import errno

_OF_THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DataError(OSError):
    """A data set cannot be had: the message says what was tried, why it failed and what to do."""


def is_of_this_machine(error: OSError) -> bool:
    """Whether the disk or the permissions here are at fault, so that no other source would help."""
    return error.errno in _OF_THIS_MACHINE


def about_this_machine(error: OSError, *, root: str, name: str, download_mb: int) -> DataError:
    """The same error with the folder, what was needed and the way out."""
    if error.errno in _FULL:
        return DataError(
            f"No space left in {root} ({error.strerror}) while fetching {name}. It needs room "
            f"for about {download_mb} MB and what they unpack to. Free some and run the same command again: what has "
            "arrived is kept, and continued."
        )
    return DataError(
        f"Cannot write to {root}: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}. "
        "Choose a folder of your own with --root (root=) or the environment variable SPIKEBRIDGE_DATA."
    )


def unreadable(error: OSError, *, root: str) -> DataError:
    """The same error where a set that may be there cannot be read."""
    return DataError(
        f"Cannot read {error.filename or root}: {error.strerror or error}. Allow this user to read it, or choose a "
        "folder of your own with root= or the environment variable SPIKEBRIDGE_DATA."
    )
