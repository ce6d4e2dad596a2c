"""The examples run as scripts, and the pictures that the documentation shows are those that examples/figure.py and examples/gallery.py make."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.mnist import written

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
IMAGES = ROOT / "docs" / "images"
SVG = "{http://www.w3.org/2000/svg}"
WRITES = {
    "custom_op": set(),
    "custom_primitive": {"softplus.svg"},
    "explore_batch_norm": {"batch-norm.html"},
    "figure": {"batch-norm-classic.svg", "batch-norm-kernels.svg", "batch-norm-recorded.svg", "small-recorded.svg"},
    "gallery": {
        f"gallery-{name}.svg"
        for name in (
            "attention",
            "batch-norm",
            "layer-norm",
            "lstm-step",
            "residual-block",
            "second-derivative",
            "vanishing",
            "vanishing-folded",
        )
    },
    "higher_order": set(),
    "mnist_cnn": {"mnist"},
    "quickstart": {"quickstart.svg"},
    "train_digits": {"network.svg"},
}
"""Each example and what it leaves."""
ARGUMENTS = {"mnist_cnn": ["--data", "mnist", "--steps", "3"]}
"""For those that would need what is not there, or take long."""


def started(example: str, where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An example that was started in a directory and has ended; any warning is an error."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8", PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{example}.py"), *arguments]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)


def run(example: str, where: Path, *arguments: str) -> str:
    """The output of an example."""
    done = started(example, where, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_example_is_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(WRITES)


@pytest.mark.parametrize("example", sorted(WRITES))
def test_an_example_runs_and_writes_into_the_current_directory(example: str, tmp_path: Path) -> None:
    if example == "mnist_cnn":
        written(tmp_path / "mnist", train=130, side=28)
    run(example, tmp_path, *ARGUMENTS.get(example, []))
    assert {path.name for path in tmp_path.iterdir()} == WRITES[example]


def test_the_convolutional_example_says_what_it_measured_and_of_which_seed(tmp_path: Path) -> None:
    written(tmp_path / "mnist", train=130, side=28)
    lines = run("mnist_cnn", tmp_path, "--data", "mnist", "--epochs", "2", "--seeds", "3", "5").splitlines()
    assert [re.sub(r"[\d.]+%", "%", line) for line in lines] == [
        "seed 3: test accuracy %, % after steps 2, 4",
        "seed 5: test accuracy %, % after steps 2, 4",
        "median of the last: %",
    ]


def test_the_convolutional_example_can_be_compiled(tmp_path: Path) -> None:
    written(tmp_path / "mnist", train=130, side=28)
    assert "after steps 2\n" in run("mnist_cnn", tmp_path, "--data", "mnist", "--steps", "2", "--compiled")


def test_without_mnist_the_convolutional_example_says_what_to_do(tmp_path: Path) -> None:
    done = started("mnist_cnn", tmp_path, "--data", "nowhere")
    assert done.returncode == 1
    for part in ("nowhere does not have all four files", "train-images-idx3-ubyte.gz", "leave path out", "examples/train_digits.py"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_an_example_writes_into_a_given_directory(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    run("quickstart", tmp_path, "here")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["quickstart.svg"]


def test_the_fault_of_the_example_is_found_and_named(tmp_path: Path) -> None:
    found, passed = run("custom_op", tmp_path).split("\n\ngradients of loss: 9 checks passed\n")
    assert "squared_error([4, 2], [4, 2]), number 4 of 4 in the graph" in found
    assert "off by 8: a scale of 1/8 is missing, such as a mean's 1/N" in found
    assert "28 of 28 elements by complex step" in passed


def test_the_primitive_of_the_example_is_right(tmp_path: Path) -> None:
    numbers = {line.rsplit("  ", 1)[0].strip(): line.rsplit(" ", 1)[-1] for line in run("custom_primitive", tmp_path).splitlines() if "[" not in line}
    assert {name: float(number) for name, number in numbers.items()} == {"forward mode": 0.5, "second derivative": 0.25}


def test_newtons_method_arrives(tmp_path: Path) -> None:
    assert run("higher_order", tmp_path).splitlines()[-1] == "lowest point: (1.0000, 1.0000)"


def test_batch_norm_learns_faster_in_the_training_example(tmp_path: Path) -> None:
    rows = [re.findall(r"[\d.]+", line) for line in run("train_digits", tmp_path).splitlines()[2:]]
    assert len(rows) == 8
    assert all(float(normalised) > float(plain) for _, plain, normalised in rows)
    assert float(rows[-1][2]) > 90


def structure(picture: Path) -> Counter[tuple[str, ...]]:
    """What an SVG shows, whatever the engine: of each node, edge and cluster the name, the texts and, of edges, the colour."""
    found: Counter[tuple[str, ...]] = Counter()
    for group in ElementTree.parse(picture).iter(f"{SVG}g"):
        kind = group.get("class", "")
        if kind in ("node", "edge", "cluster"):
            texts = [text.text or "" for text in group.iter(f"{SVG}text")]
            strokes = [path.get("stroke", "") for path in group.iter(f"{SVG}path")] if kind == "edge" else []
            found[kind, group.findtext(f"{SVG}title", ""), *texts, *strokes] += 1
    return found


@pytest.mark.parametrize("example", ["figure", "gallery"])
def test_the_pictures_of_the_documentation_are_up_to_date(tmp_path: Path, example: str) -> None:
    run(example, tmp_path)
    for name in sorted(WRITES[example]):
        shown = structure(IMAGES / name)
        assert shown == structure(tmp_path / name), f"{name}: run python examples/{example}.py docs/images"
        assert sum(count for (kind, *_), count in shown.items() if kind == "edge") >= 6, name


def test_every_picture_of_the_documentation_is_drawn_by_an_example() -> None:
    assert {path.name for path in IMAGES.glob("*.svg")} == WRITES["figure"] | WRITES["gallery"]


def test_another_label_or_arrow_in_a_picture_is_seen(tmp_path: Path) -> None:
    text = (IMAGES / "small-recorded.svg").read_text(encoding="utf-8")
    original = structure(IMAGES / "small-recorded.svg")
    for changed in (
        text.replace(">square<", ">cube<"),
        text.replace('stroke="red"', 'stroke="black"', 1),
        text.replace("<title>n3&#45;&gt;n4", "<title>n2&#45;&gt;n4", 1),
    ):
        assert changed != text
        (tmp_path / "changed.svg").write_text(changed, encoding="utf-8")
        assert structure(tmp_path / "changed.svg") != original
