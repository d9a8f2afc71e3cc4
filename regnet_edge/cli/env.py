"""`regnet-edge env`: environments of their own for tools that cannot live beside the others."""

from __future__ import annotations

import click

from regnet_edge.reading import JsonObject

COLUMNS = ("environment", "state", "MB", "for")


@click.group("env")
def command() -> None:
    """Make, list and remove environments: onnx-tf, tflite-runtime, and arm64, an emulated phone's CPU.

    They lie in your data folder, or where REGNET_EDGE_ENVIRONMENTS says, and are made from pinned lists
    by uv, or by pip where there is no uv; arm64 takes Debian packages too, unpacked and never installed.

    \b
    regnet-edge env create onnx-tf
    regnet-edge env list
    regnet-edge env board
    """


@command.command("create")
@click.argument("name")
def create(name: str) -> None:
    """Make the environment NAME, or keep it if it is current.

    \b
    regnet-edge env create onnx-tf
    """
    from regnet_edge.converters.guests import environments

    made = environments.create(name, progress=lambda what: click.echo(what, err=True))
    click.echo(f"{made.name}: {made.bytes / 1e6:.0f} MB in {made.path}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_(as_json: bool) -> None:
    """List the environments, made or not.

    \b
    regnet-edge env list --json
    """
    rows = _rows()
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    from regnet_edge.cli._tables import print_table

    cells = [(r["name"], r["state"], f"{r['bytes'] / 1e6:.0f}" if r["bytes"] else "", r["for"]) for r in rows]
    print_table(COLUMNS, cells, text_columns=2)


def _rows() -> list[JsonObject]:
    from regnet_edge.converters.guests import environments

    rows = []
    for name, recipe in environments.recipes().items():
        found = environments.find(name)
        state = "not made" if found is None else "ready" if found.current else "of another version"
        size, path = (found.bytes, str(found.path)) if found else (0, "")
        rows.append({"name": name, "state": state, "bytes": size, "path": path, "for": recipe.purpose})
    return rows


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Delete the environment NAME.

    \b
    regnet-edge env remove onnx-tf
    """
    from regnet_edge.converters.guests import environments

    click.echo(f"freed {environments.remove(name) / 1e6:.0f} MB")


@command.command("board")
@click.option(
    "--cpu", default="", help="What qemu emulates: cortex-a53, cortex-a76 (default) or cortex-a710."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Where its sshd listens; default: a free port.")
def board(cpu: str, port: int | None) -> None:
    """Start an emulated arm64 board with a real sshd on loopback, until Ctrl-C; then nothing of it is left.

    For trying --host ssh:// without a board, as root on Linux 6.7 or newer, after env create arm64.
    Latencies measured on it are invalid, and each record says why.

    \b
    regnet-edge env board --port 2222
    """
    import signal

    from regnet_edge.benchmarks.hosts.ssh import CONFIG_VARIABLE
    from regnet_edge.converters.guests.arm64 import CPUS, DEFAULT_CPU
    from regnet_edge.converters.guests.board import emulated_board
    from regnet_edge.errors import UnknownNameError

    if cpu and cpu not in CPUS:
        raise UnknownNameError("CPU", cpu, CPUS)
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # each leaves as little as Ctrl-C
        signal.signal(sign, signal.default_int_handler)
    with emulated_board(cpu or DEFAULT_CPU, port or 0) as started:
        click.echo(f"the board: {started.address}, key {started.key}; Ctrl-C stops it")
        click.echo(
            f"next: {CONFIG_VARIABLE}={started.ssh_config} regnet-edge benchmark out/*.tflite "
            f"--host {started.address}"
        )
        click.echo(f"or: ssh -F {started.ssh_config} board")
        signal.pause()
