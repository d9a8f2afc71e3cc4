"""`regnet-edge benchmark`: measure artifacts here, on a board or on a phone, and judge each figure."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regnet_edge.cli._web import browsable, host_options, is_web, web_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regnet_edge.benchmarks.hosts import HostOptions
    from regnet_edge.benchmarks.plan import Plan, Trial
    from regnet_edge.benchmarks.record.latency import FileLatency
    from regnet_edge.benchmarks.record.measurement import Measurement
    from regnet_edge.benchmarks.session import Moment


@dataclass(frozen=True, slots=True)
class Options:
    """The command line as it was typed."""

    artifacts: tuple[Path, ...]
    host: str
    runtime: str
    baseline: bool
    threads: str
    batch: int
    affinity: str
    mode: str
    accelerator: str
    min_runs: int | None
    min_seconds: float | None
    max_seconds: float | None
    cooldown: float
    processes: int | None
    rounds: int
    retry: int
    quiet_seconds: float
    python: str
    app: str
    native: str
    record: Path | None
    check_output: bool
    resume: bool
    output: Path
    as_json: bool
    export_csv: Path | None
    export_markdown: Path | None
    list_devices: bool
    https: bool
    open_browser: bool
    wait_s: float | None

    def check_outputs(self) -> None:
        """Raise UsageError where an output would spoil what stands there, before anything is measured."""
        from regnet_edge.artifact import sidecar_of
        from regnet_edge.benchmarks.record.results import IS_RESULTS
        from regnet_edge.files import begins_with, check_output

        read = [*self.artifacts, *map(sidecar_of, self.artifacts)]
        check_output(self.output, read, is_ours=IS_RESULTS)
        for table in (self.export_csv, self.export_markdown):
            if table is not None:
                check_output(table, [*read, self.output], is_ours=begins_with("artifact", "| artifact"))
        if self.record is not None:
            check_output(self.record, [*read, self.output], is_ours=begins_with('{"command"'))

    def plan(self) -> Plan:
        """The Plan that is meant."""
        from regnet_edge.benchmarks.plan import Plan

        base = Plan.of_mode(
            self.mode,  # type: ignore[arg-type]  # click has checked the choice
            min_runs=self.min_runs,
            min_seconds=self.min_seconds,
            max_seconds=self.max_seconds,
        )
        return replace(
            base, threads=numbers(self.threads), affinity=self.affinity, cooldown_s=self.cooldown,
            rounds=self.rounds, retries=self.retry, quiet_s=self.quiet_seconds, accelerator=self.accelerator,
            processes=self.processes or base.processes,
        )  # fmt: skip

    def trials(self, plan: Plan) -> tuple[Trial, ...]:
        """What is measured, each artifact read with its sidecar, others' files by themselves."""
        from regnet_edge.artifact import without_sidecars
        from regnet_edge.benchmarks.foreign import ForeignFile, load, require_ours
        from regnet_edge.benchmarks.plan import BASELINES, trials
        from regnet_edge.errors import UsageError

        if not self.artifacts:
            raise UsageError("name at least one artifact to measure; regnet-edge convert makes them")
        runtimes = (self.runtime, *(BASELINES if self.baseline else ()))
        found = [load(p) for p in without_sidecars(self.artifacts)]
        for note in (n for f in found if isinstance(f, ForeignFile) for n in f.notes):
            click.echo(note, err=True)
        web = is_web(self.host)
        if self.batch != 1 and (web or self.host.startswith("adb")):
            raise UsageError(f"--host {self.host} gives one image at a time; leave out --batch")
        return trials(
            browsable(require_ours(found, "a browser")) if web else found, plan, runtimes, self.batch
        )

    def host_options(self, trials: Sequence[Trial]) -> HostOptions:
        """What the host is opened with."""
        from regnet_edge.artifact import Artifact
        from regnet_edge.benchmarks.hosts import APP, HostOptions

        base = HostOptions(
            self.python, self.app or APP, self.native, self.record,
            tell=lambda sentence: click.echo(sentence, err=True), package=_package_for(self.app or APP),
        )  # fmt: skip
        artifacts = [t.artifact for t in {t.artifact.path: t for t in trials}.values()]
        ours = [a for a in artifacts if isinstance(a, Artifact)]
        return host_options(base, self.host, ours, self.https, self.open_browser, self.wait_s)


def _package_for(app: str) -> Callable[[str], Path | None]:
    """By ABI, the APK that make apk built here; None for another app, or where none was built."""

    def package(abi: str) -> Path | None:
        from regnet_edge.benchmarks.hosts import APP
        from regnet_edge.bundles.android import find_base
        from regnet_edge.errors import UsageError

        try:
            return find_base(None, abi) if app == APP else None
        except UsageError:
            return None

    return package


def numbers(text: str) -> tuple[int, ...]:
    """(1, 2, 4) of `1,2,4`; raises UsageError."""
    from regnet_edge.errors import UsageError

    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--threads takes numbers such as 1,2,4, not {text!r}") from None


@click.command(name="benchmark")
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--host", default="local", show_default=True, metavar="HOST",
    help="local, adb, adb:SERIAL, ssh://user@host:port, web or web:PORT (the browser of any phone), or "
    "replay:FILE (a session taken down by --record).",
)  # fmt: skip
@click.option(
    "--runtime", default="auto", show_default=True,
    help="Runtime to measure with: auto (the format's own), litert, tflite-runtime, executorch, onnxruntime, "
    "coreml, torch, torch-compile.",
)  # fmt: skip
@click.option("--baseline", is_flag=True, help="Also measure the definition in PyTorch, eager and compiled.")
@click.option("--threads", default="1", show_default=True, help="Numbers of threads, such as 1,2,4.")
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True,
    help="Images a run, for files of convert --batch dynamic.",
)  # fmt: skip
@click.option(
    "--affinity", default="big", show_default=True,
    help="CPUs: big or little (a cluster; its quietest CPUs are taken), any, a mask 0x6 or a list 1,2.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["burst", "sustained", "cold"]), default="burst", show_default=True,
    help="burst: a few seconds. sustained: a minute, which shows heat. cold: each sample a new process.",
)  # fmt: skip
@click.option(
    "--compute-units", "accelerator", default="cpu", show_default=True,
    help="Accelerator: cpu; Core ML: all, cpu-gpu, cpu-ne; the app's TFLite: gpu.",
)  # fmt: skip
@click.option("--min-runs", type=int, help="Samples at least (burst 100, sustained 1024, cold 10).")
@click.option("--min-seconds", type=float, help="Seconds of samples at least (burst 3, sustained 60).")
@click.option("--max-seconds", type=float, help="Seconds after which too few samples have to do.")
@click.option("--cooldown", type=float, default=0.0, show_default=True, help="Seconds of rest before each.")
@click.option(
    "--processes", type=click.IntRange(1),
    help="Fresh processes that share the runs of a visit (burst 4, else 1).",
)  # fmt: skip
@click.option("--rounds", type=int, default=2, show_default=True, help="Visits of each artifact (ABBA).")
@click.option(
    "--retry", type=int, default=0, show_default=True,
    help="Measure an invalid one again so often, after waiting for quiet.",
)  # fmt: skip
@click.option("--quiet-seconds", type=float, default=60.0, show_default=True, help="Longest such wait.")
@click.option("--python", default="", help="The Python that measures, here or on the board.")
@click.option("--app", default="", help="Package of the Android app.")
@click.option(
    "--native", default="auto", show_default=True,
    help="Native tools on the phone: auto (where there is no app to install), never, or their folder.",
)  # fmt: skip
@click.option("--record", type=click.Path(path_type=Path), help="Take down a session with a phone.")
@click.option("--check-output", is_flag=True, help="Compare the device's logits with this machine's.")
@click.option("--resume", is_flag=True, help="Leave out what the results file already holds.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("results.jsonl"), show_default=True,
    help="Results file; records are added at its end.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON lines instead of the table.")
@click.option("--export-csv", type=click.Path(path_type=Path), help="Write the table as CSV.")
@click.option("--export-markdown", type=click.Path(path_type=Path), help="Write the table as Markdown.")
@click.option("--list-devices", is_flag=True, help="List the phones that adb knows, and end.")
@web_options
def command(**typed: Any) -> None:
    """Measure latency, and say whether the figure can be believed.

    Takes our files and those of other tools: .tflite, .onnx, .pte and .mlpackage with one image input.
    Each measurement is a fresh process. Records keep every raw sample and what else the machine did.

    \b
    regnet-edge benchmark regnety_400mf-224-fp32.tflite regnety_400mf-224-int8.tflite
    regnet-edge benchmark model.pte --host ssh://pi@board --threads 1,2,4 --affinity big
    regnet-edge benchmark model.tflite --host adb --mode sustained -o phone.jsonl
    regnet-edge benchmark model.tflite --host web -o phone.jsonl
    """
    options = Options(**typed)
    if options.list_devices:
        list_devices()
    else:
        measure(options)


def list_devices() -> None:
    """Print the phones that adb knows, one a line."""
    from regnet_edge.benchmarks.hosts.adb import devices

    found = devices()
    for d in found:
        click.echo(f"{d.serial}\t{d.state}\t{d.model}")
    if not found:
        click.echo("no phone is connected; plug one in with USB debugging switched on", err=True)


def measure(options: Options) -> None:
    """Run the session, print and export what came of it; raises the first failure at the end."""
    import numpy as np

    from regnet_edge.benchmarks.hosts import open_host
    from regnet_edge.benchmarks.output import OutputCheck
    from regnet_edge.benchmarks.record.results import adding_to, lines_so_far, write_line
    from regnet_edge.benchmarks.session import Session
    from regnet_edge.errors import MeasurementError

    options.check_outputs()
    plan = options.plan()
    trials = options.trials(plan)
    done = lines_so_far(options.output) if options.resume else ()
    host = open_host(options.host, options.host_options(trials))
    check = OutputCheck() if options.check_output else None
    session = Session(host, plan, trials, ("regnet-edge", *sys.argv[1:]), done, check)
    measurements, failures = list(done), list[str]()
    with contextlib.closing(host), adding_to(options.output) as results:
        try:
            for moment in session.run():
                if moment.measurement is not None:
                    write_line(results, moment.measurement, np.random.default_rng(0))
                    measurements.append(moment.measurement)
                if moment.kind == "failed":
                    failures.append(f"{moment.trial.name}: {moment.sentence}")
                tell(moment)
        finally:
            show(options, measurements, trials)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise MeasurementError(f"{failures[0]}{more}")


def tell(moment: Moment) -> None:
    """One line of progress on standard error."""
    from regnet_edge.errors import sentence

    place = f"[{moment.index + 1}/{moment.count}] {moment.trial.name}"
    m = moment.measurement
    if m is not None:
        reasons = "".join(
            f"\n    {r.severity}: {r.sentence}" for r in m.validity.reasons if r.severity != "note"
        )
        text = f"{m.median_ms:.3f} ms, {m.timing.runs} runs, {m.validity.verdict}{reasons}"
    else:
        text = {
            "starting": "measuring",
            "waiting": "waiting for quiet, then again",
            "skipped": "already there",
        }.get(moment.kind, sentence(moment.sentence))
    click.echo(f"{place}: {text}", err=True)


def show(options: Options, measurements: list[Measurement], trials: Sequence[Trial]) -> None:
    """Print the table, with what embedded parts cost, or the JSON lines, and write the exports."""
    import numpy as np

    from regnet_edge.artifact import Artifact
    from regnet_edge.benchmarks.record import latency
    from regnet_edge.benchmarks.report import embedded, table
    from regnet_edge.files import write_text

    rows = latency.latencies(measurements)
    if options.as_json:
        for m in measurements:
            click.echo(json.dumps(m.to_json(np.random.default_rng(0)), separators=(",", ":")))
    elif rows:
        print_table(rows)
        asked = [t.artifact.request for t in trials if isinstance(t.artifact, Artifact)]
        click.echo("".join(f"{line}\n" for line in embedded.embedded_costs(asked, rows)), nl=False)
    if options.export_csv and rows:
        write_text(options.export_csv, table.as_csv(rows, np.random.default_rng(0)))
    if options.export_markdown and rows:
        write_text(options.export_markdown, table.as_markdown(rows, np.random.default_rng(0)))


def print_table(rows: Sequence[FileLatency]) -> None:
    """The table, and below it why a verdict fell; a file or a pipe takes any width."""
    import numpy as np
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from regnet_edge.benchmarks.report import table

    shown = Table(
        title=Text(rows[0].first.device.label), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1)
    )
    for heading in table.BRIEF:
        left = heading in ("artifact", "runtime", "verdict")
        shown.add_column(heading, justify="left" if left else "right", no_wrap=heading != "artifact")
    for row in rows:
        told = dict(zip(table.HEADINGS, table.cells(row, np.random.default_rng(0)), strict=True))
        shown.add_row(*(Text(told[heading]) for heading in table.BRIEF))
    Console(width=None if sys.stdout.isatty() else 160).print(shown)
    for row in rows:
        for reason in row.reasons:
            click.echo(f"{row.first.artifact.file}: {reason}")
