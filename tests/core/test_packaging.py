"""What is installed is what is in the folders, under names of its own."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HOMES = {
    "regnet_edge": "regnet_edge",
    "converters": "regnet_edge.converters",
    "benchmarks": "regnet_edge.benchmarks",
}


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_list_of_packages_is_the_folders() -> None:
    found = {"regnet_edge.bundles.page"}  # apps/web: no Python inside
    for folder, name in HOMES.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            below = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((name, *below)))
    assert set(setup()["options"]["packages"].split()) == found


def test_every_pinned_version_is_one_that_pip_gives_to_this_python() -> None:
    """uv takes a release whose Requires-Python ended below this Python; pip refuses it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(Requirement(w).name): Requirement(w) for w in lines if not w.startswith("#")}
    checked = set()
    for found in importlib.metadata.distributions():
        name = canonicalize_name(found.metadata["Name"])
        if name in pinned and found.version in pinned[name].specifier:
            checked.add(name)
            wanted = SpecifierSet(found.metadata.get("Requires-Python") or "")
            assert wanted.contains(platform.python_version(), prereleases=True), (name, str(wanted))
    assert len(checked) > 100


def test_nothing_imports_the_mapped_folders_by_their_bare_names() -> None:
    folders = [f for f in ROOT.iterdir() if f.is_dir() and f.name != "build" and not f.name.startswith(".")]
    for file in (file for folder in folders for file in folder.rglob("*.py") if "build" not in file.parts):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {n.split(".")[0] for n in names} & {"converters", "benchmarks"}, file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    checkout = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(
        ROOT, checkout, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "demo", "tests")
    )
    done = subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_has_the_mapped_packages_and_the_shipped_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "regnet_edge/converters/tflite/__init__.py",
        "regnet_edge/benchmarks/runner/__main__.py",
        "regnet_edge/assets/default.safetensors",
        "regnet_edge/assets/fashion_mnist_test.npz",
        "regnet_edge/assets/LICENSE-FASHION-MNIST.txt",
        "regnet_edge/schemas/artifact.schema.json",
        "regnet_edge/bundles/page/index.html",
        "regnet_edge/bundles/page/app/main.js",
        "regnet_edge/bundles/page/licenses/Apache-2.0.txt",
        "regnet_edge/py.typed",
    ):
        assert needed in names
    assert not {n.split("/")[0] for n in names} & {"converters", "benchmarks", "tests"}


def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "others.pth").write_text(ours)  # torch and the tools are heavy: take those that are installed
    code = (
        "import regnet_edge, regnet_edge.converters as c; from regnet_edge.shipped import default_model;"
        "print(regnet_edge.__file__); print(c.__file__); print(default_model().name); print(*c.targets())"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    home, converters, model, names = done.stdout.splitlines()
    assert home.startswith(str(site))
    assert converters.startswith(str(site))
    assert model == "regnety_15mf_fashion_mnist"
    assert names == "coreml executorch onnx tflite"
