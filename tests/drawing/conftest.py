"""Graphs to draw, and the layout engines to draw them with."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.drawing import engines
from autograd_bn.drawing.layout import lay_out
from autograd_bn.drawing.picture import Drawing
from tests.drawing import chromium

ENGINES = ("pygraphviz", "dot")


def batch_norm(rows: int = 4, columns: int = 3, *, backward: bool = False, names: tuple[str, str, str] = ("x", "γ", "β"), **options: Any) -> ab.Tensor:
    """A batch norm of leaves, recorded with its backward pass if asked."""
    rng = np.random.default_rng(0)
    x = ab.tensor(rng.standard_normal((rows, columns)), requires_grad=True, name=names[0])
    gamma = ab.tensor(rng.standard_normal(columns), requires_grad=True, name=names[1])
    beta = ab.tensor(rng.standard_normal(columns), requires_grad=True, name=names[2])
    if not backward:
        return ab.nn.functional.batch_norm(x, gamma, beta, **options)
    with ab.record():
        y = ab.nn.functional.batch_norm(x, gamma, beta, **options)
        y.backward(rng.standard_normal((rows, columns)))
    return y


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    """Each engine that this machine has."""
    if request.param not in {found.name for found in engines()}:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests of a module."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium.program() is None:
        pytest.skip("there is no Chromium on this machine")
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ab.Graph]:
    """The page of a small recorded batch norm, and its graph."""
    y = batch_norm(backward=True)
    return ab.explore(y, file=tmp_path_factory.mktemp("page") / "bn.html", title="batch norm"), ab.graph(y)


class Layout:
    """What an engine made of a drawing: objects (clusters and nodes) and edges with their positions."""

    def __init__(self, drawing: Drawing, using: Any) -> None:
        layout = "nop2" if drawing.neato_no_op == 2 else drawing.engine
        found = json.loads(lay_out(drawing.source, "json", layout=layout, using=using))
        objects = found["objects"]
        self.nodes = {o["name"]: o for o in objects if "nodes" not in o and not o["name"].startswith("cluster")}
        self.clusters = {o["name"]: o for o in objects if o["name"].startswith("cluster")}
        self.edges = [(objects[e["tail"]]["name"], objects[e["head"]]["name"], e) for e in found["edges"]]

    def position(self, name: str) -> tuple[float, float]:
        """The centre of a node in points."""
        x, y = self.nodes[name]["pos"].rstrip("!").split(",")
        return float(x), float(y)


def words(drawing: Drawing, using: Any) -> list[str]:
    """The text of a picture, as it is read."""
    svg = lay_out(drawing.source, "svg", using=using).decode()
    return [html.unescape(text).replace("\xa0", " ").strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


class Block(ab.nn.Module):
    """An affine map, batch norm if asked, and a sigmoid."""

    def __init__(self, width: int, rng: Any, normalised: bool = False) -> None:
        self.linear = ab.nn.Linear(width, width, rng=rng)
        self.norm = ab.nn.BatchNorm1d(width) if normalised else None

    def forward(self, x: Any) -> ab.Tensor:
        h = self.linear(x)
        return ab.sigmoid(h if self.norm is None else self.norm(h))


def network(depth: int, *, normalised: bool = False, width: int = 8) -> Any:
    """The mean square of a chain of blocks on a batch, run forward and backward with everything kept."""
    rng = np.random.default_rng(0)
    model = ab.nn.Sequential(*[Block(width, rng, normalised) for _ in range(depth)], ab.nn.Linear(width, 2, rng=rng))
    x = ab.tensor(rng.standard_normal((5, width)).astype(np.float32), name="x")
    with ab.record():
        loss = (model(x) ** 2).mean()
        loss.backward()
    return loss
