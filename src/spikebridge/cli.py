"""The command line: one subcommand per method, typed by its config."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from . import __version__

_PURPOSE = "Cross between artificial and spiking neural networks."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 only when it did what was asked."""
    from .methods import demo

    parser = ArgumentParser(prog="spikebridge", description=_PURPOSE, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subcommands(required=True, dest="command")
    demo_parser = ArgumentParser(allow_abbrev=False, description=demo.__doc__)
    demo_parser.add_class_arguments(demo.DemoConfig)
    commands.add_subcommand("demo", demo_parser, help="train, convert and compare on real images, in under a minute")
    settings = parser.parse_args(arguments)
    try:
        demo.run(demo.DemoConfig(**settings.demo.as_dict()))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"spikebridge {settings.command}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"spikebridge {settings.command}: interrupted; nothing of this run was recorded\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
