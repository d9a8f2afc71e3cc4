"""Artifacts as a web page that classifies, verifies and measures them in any browser (sources in apps/web).

A bundle is a folder that every static server can serve: the page, LiteRT.js, and the folder that every app
reads (`layout.py`). `single_file` packs the same into one HTML file that opens from a disk or a messenger.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.metadata
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from regnet_edge import codec
from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks.plan import Plan, Trial, measured_plan
from regnet_edge.benchmarks.record.measurement import Mode
from regnet_edge.benchmarks.runner.protocol import WARMUP_MAX_NS
from regnet_edge.bundles import layout, litert_js
from regnet_edge.errors import UsageError
from regnet_edge.files import IS_PAGE, begins_with, check_output, replacing, write_text
from regnet_edge.reading import JsonObject
from regnet_edge.shipped import assets_dir

VERSION = 1
ABOUT = "bundle.json"
RUNTIME = "litert"  # the same kernels as on a phone, in WebAssembly
SUFFIX = ".tflite"
_ONLY_FOLDER = ("litert/litert_wasm_threaded_internal.js", "litert/litert_wasm_threaded_internal.wasm")


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into a bundle; images and weights are for the golden data, as `golden.write` takes them."""

    artifacts: tuple[Artifact, ...]
    images: Path | None = None
    weights: str = ""
    force: bool = False

    def __post_init__(self) -> None:
        for artifact in self.artifacts:
            check(artifact)


def check(artifact: Artifact) -> None:
    """Raise UsageError for a file that LiteRT.js does not take."""
    name, request = artifact.path.name, artifact.request
    if artifact.path.suffix != SUFFIX:
        raise UsageError(f"{name} is no .tflite file, the only kind a browser runs; convert --target tflite")
    if request.options.get("io") == "int8":
        raise UsageError(
            f"{name} takes int8, which LiteRT.js does not (float32 and uint8 only); convert without --io int8"
        )
    if request.batch != 1 or request.any_batch:
        many = "any number of" if request.any_batch else request.batch
        raise UsageError(f"{name} takes {many} images at once, the page shows one; convert without --batch")


def check_place(target: Path, inputs: Iterable[Path], *, single_file: bool) -> None:
    """Raise UsageError where writing there would spoil an input, or what is no bundle."""
    check_output(target, inputs, is_ours=IS_PAGE if single_file else _is_bundle)


def _is_bundle(folder: Path) -> bool:
    is_about = begins_with("{", naming='"regnet-edge"')  # others have files of that name too
    return folder.is_dir() and (is_about(folder / ABOUT) or not any(folder.iterdir()))


def write_folder(content: Content, folder: Path, litert: Path) -> None:
    """Write the bundle's folder, whole or not at all; litert is what `litert_js.require` gave."""
    with replacing(folder) as scratch:
        scratch.mkdir()
        fill(content, scratch, litert)


def fill(content: Content, folder: Path, litert: Path) -> None:
    """Put the bundle's files into an empty folder."""
    copy_page(folder, litert)
    layout.lay_out(
        content.artifacts, folder, images=content.images, weights=content.weights, force=content.force
    )
    write_about(folder, content.artifacts)


def copy_page(folder: Path, litert: Path) -> None:
    """The page's own files, LiteRT.js, the rules of the verdict, and the licences."""
    for name, text in page_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    shutil.copytree(litert, folder / "litert")
    rules = resources.files("regnet_edge.benchmarks.verdict") / "rules.json"
    (folder / "rules.json").write_bytes(rules.read_bytes())
    shutil.copy(assets_dir() / "LICENSE-FASHION-MNIST.txt", folder / "licenses")


def page_files() -> dict[str, bytes]:
    """The files of apps/web by their names."""
    here = Path(__file__).parent
    root = here / "page"  # where a wheel puts it
    if not root.is_dir():
        root = here.parents[1] / "apps" / "web"  # a checkout
    found = [root / "index.html", root / "style.css", *root.glob("app/*.js"), *root.glob("licenses/*.txt")]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(found)}


def write_about(folder: Path, artifacts: Sequence[Artifact]) -> None:
    """`bundle.json`: what the page needs for records in the command line's schema."""
    about = {
        "version": VERSION,
        "runtime": {"name": RUNTIME, "version": f"LiteRT.js {litert_js.VERSION}"},
        "tool_versions": {"regnet-edge": importlib.metadata.version("regnet-edge")},
        "warmup_max_ns": WARMUP_MAX_NS,
        "plans": {mode: _plan(mode) for mode in get_args(Mode)},
        "subjects": {f"models/{a.path.name}": _subject(a) for a in artifacts},
    }
    write_text(folder / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def _plan(mode: Mode) -> Mapping[str, Any]:
    """The plan part of a record for one thread; a page pins nothing."""
    plan = Plan.of_mode(mode)
    told: JsonObject = codec.to_json(measured_plan(plan, threads=1, round_=0, attempt=0))
    return {**told, "affinity": "any"}


def _subject(artifact: Artifact) -> Mapping[str, Any]:
    trial = Trial(artifact, RUNTIME, threads=1)
    return {"model": codec.to_json(trial.model), "artifact": codec.to_json(trial.subject)}


class BundleSite:
    """A bundle's folder that grows: what `regnet-edge benchmark --host web` serves."""

    def __init__(self, folder: Path, litert: Path, artifacts: Sequence[Artifact] = ()) -> None:
        self.folder = folder
        self._artifacts: list[Artifact] = []
        self._entries: list[layout.BundleEntry] = []
        copy_page(folder, litert)
        self._take(artifacts)

    def add(self, file: Path) -> str:
        """Put an artifact there unless it is there already; its path in the bundle.

        Raises UsageError for a file that no browser takes, or of a name that another one has.
        """
        found = Artifact.load(file)
        there = next((a for a in self._artifacts if a.path.name == file.name), None)
        if there is None:
            self._take([found])
        elif there.sha256 != found.sha256:
            raise UsageError(f"two of the files are called {file.name}; give them different names")
        return f"models/{file.name}"

    def files(self) -> Mapping[str, Path]:
        """Every file of the bundle by its name there."""
        found = (f for f in self.folder.rglob("*") if f.is_file())
        return {f.relative_to(self.folder).as_posix(): f for f in found}

    def _take(self, artifacts: Sequence[Artifact]) -> None:
        """Lay the artifacts out beside the bundle, then add them to it; the index comes last."""
        content = Content(tuple(artifacts), force=True)
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as scratch:
            entries = layout.lay_out(content.artifacts, Path(scratch), force=True)
            for part in (p for p in Path(scratch).iterdir() if p.is_dir()):
                shutil.copytree(part, self.folder / part.name, dirs_exist_ok=True)
        self._artifacts += artifacts
        self._entries += entries
        write_about(self.folder, self._artifacts)
        layout.write_index(self._entries, self.folder)


# ---------------------------------------------------------------- one HTML file


def write_single_file(content: Content, file: Path, litert: Path) -> None:
    """Write the bundle as one HTML file, whole or not at all."""
    with replacing(file) as scratch:
        folder = scratch.with_name("folder")
        folder.mkdir()
        fill(content, folder, litert)
        scratch.write_text(single_file(folder), encoding="utf-8")


def single_file(folder: Path) -> str:
    """The bundle's folder as one HTML page without a reference to any other file.

    Files are gzip in base64; the threaded runtime stays out, because such a page has one thread only.
    """
    page, style = ((folder / name).read_text(encoding="utf-8") for name in ("index.html", "style.css"))
    packed = {name: _packed((folder / name).read_bytes()) for name in _embedded(folder)}
    packed["app/worker.js"] = _packed(flattened(folder / "app", "worker.js").encode())
    script = flattened(folder / "app", "main.js")
    policy = (
        f"default-src 'none'; script-src {_hash(script)} blob: 'wasm-unsafe-eval'; worker-src blob:; "
        f"style-src {_hash(style)}; img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(packed, separators=(",", ":"))
    for old, new in (
        (re.compile(r'(?<=Content-Security-Policy" content=")[^"]*'), policy),
        (re.compile(r'<link rel="stylesheet"[^>]*>'), f"<style>{style}</style>"),
        (re.compile(r'<script type="module"[^>]*></script>\n'), ""),
        (re.compile(r"(?=</body>)"), _scripts(data, script)),
    ):
        page, count = old.subn(lambda _, new=new: new, page)  # type: ignore[misc]  # mypy cannot type a default
        if count != 1:
            raise UsageError(f"the page's index.html has {count} places for {old.pattern}, not one")
    return page


def _embedded(folder: Path) -> list[str]:
    """Names of the files that go into the page as data."""
    names = [f.relative_to(folder).as_posix() for f in sorted(folder.rglob("*")) if f.is_file()]
    outside = ("index.html", "style.css", *_ONLY_FOLDER)
    return [n for n in names if n not in outside and not n.startswith("app/")]


def _scripts(data: str, script: str) -> str:
    return f'<script type="application/json" id="embedded">{data}</script>\n<script>{script}</script>\n'


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)


def flattened(folder: Path, entry: str) -> str:
    """A module and all it imports as one classic script: each is a function that returns its exports."""
    done: dict[str, str] = {}

    def add(name: str) -> None:
        if name in done:
            return
        text = (folder / name).read_text(encoding="utf-8")
        for _, needed in _IMPORT.findall(text):
            add(needed)
        done[name] = _as_function(name, text)

    add(entry)
    return '"use strict";\n' + "".join(done.values())


def _as_function(name: str, text: str) -> str:
    names = [found[1] for found in _EXPORT.findall(text)]
    body = _IMPORT.sub(lambda m: f"const {{{m[1]}}} = {_variable(m[2])};\n", text)
    body = _EXPORT.sub(r"\1", body)
    return f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {', '.join(names)} }};\n}})();\n"


def _variable(name: str) -> str:
    return "module_" + name.removesuffix(".js").replace("-", "_")
