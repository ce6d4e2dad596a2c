"""What a built wheel holds, and what importing it costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build", reason="the package build is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    # Of a copy: what an earlier build left in build/ would get into the wheel.
    copy = folder / "copy"
    shutil.copytree(ROOT / "autograd_bn", copy / "autograd_bn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("autograd_bn_pytest.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(copy)], check=True, capture_output=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(wheel_path: Path) -> list[str]:
    return zipfile.ZipFile(wheel_path).namelist()


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "core/methods.pyi",
        "data/digits.npz",
        "data/DIGITS.txt",
        "drawing/layout_process.py",
        "drawing/page/page.html",
        "drawing/page/page.css",
        "drawing/page/main.js",
        "cli/__init__.py",
    ],
)
def test_a_wheel_holds_what_the_package_needs(wheel: list[str], name: str) -> None:
    assert f"autograd_bn/{name}" in wheel


def test_a_wheel_holds_every_module_and_nothing_else(wheel: list[str]) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "autograd_bn").rglob("*.py")}
    assert {name for name in wheel if name.endswith(".py")} == modules | {"autograd_bn_pytest.py"}
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"autograd_bn", "autograd_bn_pytest.py"}


def test_pytest_finds_the_plugin(wheel_path: Path) -> None:
    with zipfile.ZipFile(wheel_path) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        assert "[pytest11]\nautograd_bn = autograd_bn_pytest\n" in archive.read(name).decode()


def test_importing_the_package_leaves_heavy_packages_alone() -> None:
    heavy = ("graphviz", "pygraphviz", "matplotlib", "tqdm", "hypothesis", "torch", "argparse", "llvmlite", "scipy")
    code = f"import sys, autograd_bn; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_no_file_is_longer_than_500_lines() -> None:
    files = [*(ROOT / "autograd_bn").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    assert [str(path) for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 500] == []


def test_nothing_stray_lies_beside_the_package() -> None:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    files = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "README.md", "autograd_bn_pytest.py", "pyproject.toml", "setup.cfg"}
    assert {name.split("/")[0] for name in listed} == files | {".ci", ".gitignore", "autograd_bn", "docs", "examples", "tests"}
