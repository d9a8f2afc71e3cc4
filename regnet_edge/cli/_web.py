"""What the verbs that measure share for `--host web`: its options, and the pages it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from regnet_edge.artifact import Artifact
    from regnet_edge.benchmarks.hosts import HostOptions, Site

F = TypeVar("F", bound=Callable[..., Any])
WAIT_S = 300.0


def web_options(function: F) -> F:
    """Add --https, --open and --wait."""
    for option in (
        click.option(
            "--wait", "wait_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
            help=f"--host web: how long to wait for a phone (default {WAIT_S:g}).",
        ),
        click.option("--open", "open_browser", is_flag=True, help="--host web: open this machine's browser."),
        click.option(
            "--https", is_flag=True,
            help="--host web: serve with a certificate made on the spot: camera, threads, a finer clock.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def is_web(host: str) -> bool:
    """Whether the host is a browser."""
    return host.partition(":")[0] == "web"


def host_options(
    base: HostOptions, host: str, artifacts: Sequence[Artifact], https: bool = False,
    open_browser: bool = False, wait_s: float | None = None,
) -> HostOptions:  # fmt: skip
    """The options of any host with those of a browser; raises UsageError where they are for another."""
    from dataclasses import replace

    from regnet_edge.errors import UsageError

    if not is_web(host):
        if https or open_browser or wait_s is not None:
            raise UsageError("--https, --open and --wait are about a browser; add --host web")
        return base
    return replace(
        base,
        https=https,
        open_browser=open_browser,
        wait_s=wait_s or WAIT_S,
        site=_site_of(artifacts),
        tell=_tell,
    )


def browsable(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Those that a browser runs; the others are named and left out, unless there is no other.

    Raises UsageError where none is left, or one of them takes an input that the page has not.
    """
    from regnet_edge.bundles.web import SUFFIX, check

    found = [a for a in artifacts if a.path.suffix == SUFFIX]
    for artifact in found or artifacts:
        check(artifact)
    for artifact in artifacts:
        if artifact not in found:
            click.echo(f"left out: {artifact.path.name}, because a browser runs .tflite files only", err=True)
    return found


def _site_of(artifacts: Sequence[Artifact]) -> Callable[[Path], Site]:
    def make(folder: Path) -> Site:
        from regnet_edge.bundles import litert_js, web

        return web.BundleSite(folder, litert_js.require(progress=_tell), artifacts)

    return make


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)
