"""The `regnet-edge` command: one file a verb, each of which parses, calls one function and prints.

`--help` imports click and the verbs' files, which import nothing heavy at their top.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import click

from regnet_edge.errors import RegNetEdgeError, UnknownNameError, lacks_memory, sentence
from regnet_edge.streams import OUTPUT, STOPPED, STOPPED_CODE

LARGEST = 10**9  # number that an integer option takes
LARGEST_REAL = 1e12  # that any other takes: flops of the largest networks are 1e11
DEBUG = "REGNET_EDGE_DEBUG"  # an environment variable: show the traceback of an unexpected error


class Verbs(click.Group):
    """A group whose commands are the modules of this package, imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, in order of the alphabet."""
        return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's click command, None for a verb that is not there."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        require_finite(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb, or a usage error that names the nearest one."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise UnknownNameError("command", args[0], known)
        return super().resolve_command(ctx, args)


def require_finite(command: click.Command) -> None:
    """Make every option of the command and of those below it refuse numbers that nobody means."""
    for option in command.params:
        option.callback = _checked(option.callback)
    for inner in getattr(command, "commands", {}).values():
        require_finite(inner)


def _checked(then: Callable[..., Any] | None) -> Callable[..., Any]:
    """A click callback that refuses NaN, infinity unless it is the default, and numbers beyond LARGEST."""

    def check(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        for number in value if isinstance(value, tuple) else (value,):
            if number == "" and isinstance(param, click.Argument):
                raise click.BadParameter("it is empty.", ctx, param)
            if isinstance(number, float) and not math.isfinite(number) and number != param.default:
                raise click.BadParameter(f"{number} is no finite number.", ctx, param)
            if isinstance(number, float) and math.isfinite(number) and abs(number) > LARGEST_REAL:
                raise click.BadParameter(f"it is at most {LARGEST_REAL:g}.", ctx, param)
            if isinstance(number, int) and abs(number) > LARGEST:
                raise click.BadParameter(f"it is at most {LARGEST:,}.", ctx, param)
        return then(ctx, param, value) if then else value

    return check


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="regnet-edge")
def cli() -> None:
    """One RegNet definition for ExecuTorch, Core ML, TFLite and ONNX, with proof.

    \b
    regnet-edge convert --target coreml      the shipped net as a Core ML package, verified
    regnet-edge models                       the published RegNets
    regnet-edge COMMAND -h                   what a command takes, with an example
    """
    try:
        os.getcwd()
    except OSError:  # native libraries end the whole process there
        raise RegNetEdgeError("the current folder was deleted; change to another one") from None


def main() -> None:
    """Run the command line: exit code 0, 1 for a failure, 2 for a request that cannot be meant."""
    _quit(_ended())


def _ended() -> int:
    """The exit code, after every error has been said in one sentence."""
    try:
        return int(cli.main(prog_name="regnet-edge", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _said(error.format_message(), error.exit_code, usage=_usage(error))
    except (click.Abort, KeyboardInterrupt):
        return _said(STOPPED, STOPPED_CODE, prefix="")
    except RegNetEdgeError as error:
        return _said(str(error), error.exit_code)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except BrokenPipeError:
        return 1
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        return _said(_surroundings(error) or _fault(error), 1)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.get_usage()}\n" if context is not None else ""


def _surroundings(error: Exception) -> str:
    """The sentence for what is no fault of the project: the disk, memory, a folder that went away."""
    if lacks_memory(error):
        return "there is not enough memory for this; close other programs, or ask for less at once"
    if isinstance(error, OSError) and error.strerror and error.filename == OUTPUT:
        return f"standard output cannot be written: {error.strerror}; what was made stays"
    if isinstance(error, OSError) and error.strerror:
        where = f" {str(error.filename)[:120]}" if error.filename else ""
        return (
            f"the system refuses{where}: {error.strerror}; mend that, and run the command again: what was "
            "finished before is kept"
        )
    return ""


def _fault(error: Exception) -> str:
    reason = " ".join(str(error).split())[:120] or "no reason given"
    return (
        f"{type(error).__name__}: {reason}; this is a fault of regnet-edge: please report it with what "
        f"{DEBUG}=1 shows"
    )


def _said(text: str, exit_code: int, *, prefix: str = "Error: ", usage: str = "") -> int:
    with contextlib.suppress(OSError, ValueError):
        click.echo(f"{usage}{sentence(prefix + text)}", err=True)
    return exit_code


def _quit(exit_code: int) -> None:
    """Leave; output that cannot be written any more (a closed pipe, a full disk) is no traceback."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is closed"
        if not exit_code and not isinstance(error, BrokenPipeError):
            _said(f"standard output cannot be written: {reason}; what was made stays", 1)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        exit_code = exit_code or 1
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
