"""Damaged files straight through the readers, hundreds a process: they return, or raise our own error."""

from __future__ import annotations

import json
import random
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from regnet_edge.errors import LONGEST, RegNetEdgeError

from .command import Ended, run
from .files import damaged

BATCH = 100
SLOW_S = 30.0  # of processor time for one small file

Reader = Callable[[Path], object]


def readers(work: Path) -> dict[str, tuple[str, Reader]]:
    """A sample, how its text is built, and what reads it, by name; files in the current folder."""
    from regnet_edge import arrays, artifact, configs, pictures, resolve, weights
    from regnet_edge.benchmarks.hosts._transcript import Replayed
    from regnet_edge.benchmarks.law import ladder
    from regnet_edge.benchmarks.record import results
    from regnet_edge.bundles import apk
    from regnet_edge.design_space import custom, records, study_file, table_files
    from regnet_edge.training import plan
    from regnet_edge.weights import described, inventory

    def beside(_: Path) -> object:
        return weights.read("model.safetensors")

    found: dict[str, tuple[str, Reader]] = {
        "net.json": ("json", configs.read_file),
        "net.yaml": ("yaml", configs.read_file),
        "pycls.yaml": ("yaml", configs.read_file),
        "space.yaml": ("yaml", custom.read_file),
        "study.yaml": ("yaml", study_file.read),
        "how.yaml": ("yaml", described.read_settings),
        "labels.txt": ("", lambda path: resolve.read_labels(str(path))),
        "results.jsonl": ("lines", results.read_lines),
        "sweep/records.jsonl": ("lines", records.read),
        "table.csv": ("", table_files.read_table),
        "table.json": ("json", table_files.read_table),
        "pictures.npz": ("", arrays.read_npz),
        "ladder/ladder.json": ("json", lambda path: ladder.held_out_beside(path.with_name("results.jsonl"))),
        "run/plan.json": ("json", lambda path: plan.read_plan(path.parent)),
        "model.json": ("json", beside),
        "model.safetensors": ("", lambda path: weights.read(path)),
        "timm.pth": ("", lambda path: inventory.inventory(str(path))),
        "session.jsonl": ("lines", Replayed.read),
        "app.zip": ("", apk.read),
    }
    found |= {path.name: ("", pictures.read) for path in sorted(work.glob("photo.*"))}
    for path in sorted((work / "made").glob("*.json")):
        found[f"made/{path.name}"] = ("json", lambda path: artifact.Artifact.load(path.with_suffix("")))
    return {name: how for name, how in found.items() if (work / name).exists()}


def batch(name: str, seed: int, box: Path) -> tuple[int, list[str], Ended]:
    """(how many were read, what broke, how the process ended) of one sample's damaged copies."""
    ended = run((name,), box, limit_s=300, instead=lambda: _read_all(name, seed))
    told = [json.loads(line) for line in ended.out.splitlines() if line.startswith('{"')]
    broken = [f"{name} {seed}: {t['broken']}" for t in told if "broken" in t]
    if ended.code:
        broken.append(f"{name} {seed}: the process ended with {ended.code} at copy {len(told)}")
    return len(told), broken, ended


def _read_all(name: str, seed: int) -> int:
    """In the forked process: one line of JSON a copy."""
    import warnings

    warnings.simplefilter("ignore")  # the verbs say what matters themselves
    rng, path = random.Random(f"readers {name} {seed}"), Path(name)
    form, read = readers(Path())[name]
    content = path.read_bytes()
    for number in range(BATCH):
        path.write_bytes(damaged(content, form, rng))
        broken = next(_broken(path, read), None)
        if broken:
            path.with_name(f"broken-{number}-{path.name}").write_bytes(path.read_bytes())
        print(
            json.dumps({"number": number} | ({"broken": f"{number}: {broken}"} if broken else {})), flush=True
        )
    return 0


def _broken(path: Path, read: Reader) -> Iterator[str]:
    before = time.process_time()
    try:
        read(path)
    except RegNetEdgeError as error:
        if len(str(error)) > LONGEST or len(str(error).splitlines()) != 1:
            yield f"no sentence: {str(error)!r}"
    except FileNotFoundError as error:
        yield f"FileNotFoundError: {error}"
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        where = traceback.extract_tb(error.__traceback__)
        own = [f for f in where if "/site-packages/" not in f.filename and "/fuzz/" not in f.filename]
        last = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
        yield f"{type(error).__name__} at {last}: {str(error)[:150]}"
    if time.process_time() - before > SLOW_S:
        yield f"it took {time.process_time() - before:.0f} s"
