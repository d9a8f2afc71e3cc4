"""The `regnet-edge` command: one file a verb, each of which parses, calls one function and prints.

`--help` imports click and the verbs' files, which import nothing heavy at their top.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import click

from regnet_edge.errors import RegNetEdgeError, UnknownNameError

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
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb, or a usage error that names the nearest one."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise UnknownNameError("command", args[0], known)
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="regnet-edge")
def cli() -> None:
    """One RegNet definition for ExecuTorch, Core ML, TFLite and ONNX, with proof.

    \b
    regnet-edge convert --target coreml      the shipped net as a Core ML package, verified
    regnet-edge models                       the published RegNets
    regnet-edge COMMAND -h                   what a command takes, with an example
    """


def main() -> None:
    """Run the command line: exit code 0, 1 for a failure, 2 for a request that cannot be meant."""
    try:
        sys.exit(cli.main(prog_name="regnet-edge", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; nothing half-written was left behind", err=True)
        sys.exit(130)
    except RegNetEdgeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        click.echo(
            f"Error: {type(error).__name__}: {reason}; this is a fault of regnet-edge: please report it with "
            f"what {DEBUG}=1 shows",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
