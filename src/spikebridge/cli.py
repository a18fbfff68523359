"""The command line: one subcommand per task, typed by its settings; no logic."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .core.allocator import keep_freed_memory
from .core.process import LostProcessError, rank, speaks
from .methods.commands import ConvertConfig, DemoConfig, EvaluateConfig
from .methods.memory import memory_problem
from .methods.reconstruct_config import PolishConfig
from .methods.reconstruct_settings import reconstruct_parser, to_reconstruction
from .methods.settings import Parser, to_config, train_parser

_PURPOSE = "Cross between artificial and spiking neural networks."
_KEPT = "whole epochs are kept; where there is one, continue with --resume"
_INTERRUPTED = {
    "train": _KEPT,
    "data": "what has arrived is kept; the same command continues",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 only when it did what was asked."""
    # `--num-nodes` and `--num_nodes` are the same option.
    words = [_underscored(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    if words[:1] == ["profile"] and len(words) > 1 and not words[1].startswith("-"):
        words.insert(1, "--config")
    parser = _build()
    settings = parser.parse_args(words)
    command = settings.command
    keep_freed_memory()
    try:
        return _COMMANDS[command](settings[command]) or 0
    except LostProcessError as error:
        return _fail(command, f"{error}; {_KEPT}", code=1, is_ours=rank() == 0)
    except (ValueError, OSError) as error:
        return _fail(command, str(error), code=1, is_ours=speaks())
    except KeyboardInterrupt:
        kept = _INTERRUPTED.get(command, "nothing of this run was recorded")
        return _fail(command, f"interrupted; {kept}", code=130, is_ours=rank() == 0)
    except (MemoryError, RuntimeError) as error:
        if (problem := memory_problem(error)) is None:
            raise
        return _fail(command, problem, code=1, is_ours=True)


def _build() -> Parser:
    parser = Parser(prog="spikebridge", description=_PURPOSE)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subcommands(required=True, dest="command")
    demo = Parser(description="From two trained networks to their spiking versions.")
    demo.add_class_arguments(DemoConfig)
    commands.add_subcommand("demo", demo, help="train, convert and compare on real images, in under a minute")
    train = train_parser()
    train.add_argument("--resume", action="store_true", help="continue the run of this name from its last whole epoch")
    train.add_argument("--dry_run", action="store_true", help="print what would be done, and its cost; do nothing")
    commands.add_subcommand("train", train, help="train a network from a configuration; measure it and what it becomes")
    profile = train_parser()
    profile.add_argument("--repeats", type=int, default=5, help="of every timing, whose median counts")
    commands.add_subcommand("profile", profile, help="time and memory of a training step, layer by layer")
    evaluate = Parser(description="Test a trained run again.")
    evaluate.add_argument("run", type=Path, help="the run's folder, with its config.yaml")
    evaluate.add_class_arguments(EvaluateConfig, skip={"run"})
    commands.add_subcommand("evaluate", evaluate, help="test a trained run again: other neurons, other T")
    convert = Parser(description="Turn a trained network into a spiking one, or say what would become of it.")
    convert.add_argument("target", help="the folder of a trained run, or MODULE:FUNCTION, what makes a network")
    convert.add_argument(
        "--explain", action="store_true", help="only say what would become of every call; needs no data"
    )
    convert.add_class_arguments(ConvertConfig, skip={"target", "explain"})
    commands.add_subcommand("convert", convert, help="convert a network, call by call; --explain needs no data")
    rebuild = reconstruct_parser()
    commands.add_subcommand(
        "reconstruct", rebuild, help="solve a readout on spiking units to the optimum, and make a network of both"
    )
    polish = Parser(
        description="Solve the readout of a trained run anew, with a proof, and prune what it does not need."
    )
    polish.add_argument("run", type=Path, help="the run's folder, with its config.yaml")
    polish.add_class_arguments(PolishConfig, skip={"run"})
    commands.add_subcommand("polish", polish, help="solve the readout of a trained run anew, and prune it")
    report = Parser(description="One page from the records of one or more runs.")
    report.add_argument(
        "runs", nargs="+", type=Path, help="folders of runs, or files of records (record.json, records.jsonl)"
    )
    report.add_argument(
        "--output", type=Path, default=None, help="folder of the page; default: the run's own, or report"
    )
    commands.add_subcommand("report", report, help="one page with tables and figures from the records of runs")
    data = Parser(description="Fetch and list data sets.")
    commands.add_subcommand("data", data, help="fetch and list data sets")
    _add_data_actions(data)
    return parser


def _add_data_actions(parser: Parser) -> None:
    actions = parser.add_subcommands(required=True, dest="action")
    for action, purpose in (
        ("get", "fetch a data set, check it, and continue where an earlier attempt stopped"),
        ("list", "the known sets"),
    ):
        each = Parser(description=purpose)
        if action == "get":
            each.add_argument("name", help="of the set; see `spikebridge data list`")
        each.add_argument("--root", type=Path, default=None, help="folder of all data sets; default: $SPIKEBRIDGE_DATA")
        actions.add_subcommand(action, each, help=purpose)


def _demo(settings: Any) -> None:
    from .methods import demo

    demo.run(DemoConfig(**settings.as_dict()))


def _train(settings: Any) -> None:
    config = to_config(train_parser(), settings)
    from .methods import plan, train

    if settings.dry_run:
        plan.show(config, resume=settings.resume)
    else:
        train.run(config, resume=settings.resume)


def _profile(settings: Any) -> None:
    config = to_config(train_parser(), settings)
    from .methods import profile

    profile.run(config, repeats=settings.repeats)


def _evaluate(settings: Any) -> None:
    from .methods import evaluate

    evaluate.run(EvaluateConfig(**settings.as_dict()))


def _convert(settings: Any) -> int:
    from .methods import convert

    return 0 if convert.run(ConvertConfig(**settings.as_dict())) else 1


def _reconstruct(settings: Any) -> None:
    from .methods import reconstruct

    reconstruct.run(to_reconstruction(reconstruct_parser(), settings))


def _polish(settings: Any) -> None:
    from .methods import polish

    polish.run(PolishConfig(**settings.as_dict()))


def _report(settings: Any) -> None:
    from .methods import reporting

    reporting.run(settings.runs, output=settings.output)


def _data(settings: Any) -> None:
    from .methods import fetching

    chosen = settings[settings.action]
    if settings.action == "get":
        fetching.get(chosen.name, root=chosen.root)
    else:
        fetching.show(root=chosen.root)


_COMMANDS: dict[str, Callable[[Any], int | None]] = {
    "demo": _demo,
    "train": _train,
    "profile": _profile,
    "evaluate": _evaluate,
    "convert": _convert,
    "reconstruct": _reconstruct,
    "polish": _polish,
    "report": _report,
    "data": _data,
}


def _underscored(word: str) -> str:
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value


def _fail(command: str, message: str, *, code: int, is_ours: bool) -> int:
    """End with the message, said by one process where several fail alike."""
    if is_ours:
        who = f" (process {rank()})" if rank() else ""
        sys.stderr.write(f"spikebridge {command}{who}: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
