"""Options of the default style: formulas, statistics, one pass alone, dtypes, direction, and what a backward pass recorded."""

from __future__ import annotations

import re
from typing import Any

import autograd_bn as ab
from autograd_bn.core.graph import graph
from autograd_bn.drawing import draw
from tests.drawing.conftest import Layout, batch_norm, words


def test_formulas_are_those_of_the_rules(engine: Any) -> None:
    shown = words(draw(batch_norm(backward=True), formulas=True), engine)
    for text in ["xμ · ivar", "√v₅", "= dx̂ · ivar", "= −divar · ivar / sqrtvar", "= dμ / 4"]:
        assert text in shown, text
    assert "dv₅ = " in " ".join(shown)


def test_statistics_instead_of_short_text(engine: Any) -> None:
    y = batch_norm(backward=True)
    shown = words(draw(y, values="statistics"), engine)
    value = next(node.value for node in graph(y).nodes if node.name == "x")
    assert value is not None
    assert f"{value.min():.3g} … {value.max():.3g}".replace("-", "−") in shown
    assert f"mean {value.mean():.3g}, std {value.std():.3g}".replace("-", "−") in shown


def test_the_backward_pass_alone_has_no_black_arrows() -> None:
    source = draw(batch_norm(backward=True), gradients="only").source
    arrows = re.findall(r"^\tn\d+ -> n\d+.*$", source, re.MULTILINE)
    assert len(arrows) == 14
    assert all("dir=back" in arrow for arrow in arrows)


def test_dtypes_can_be_shown_always_or_never() -> None:
    y = batch_norm()
    assert draw(y, types=True).source.count("float64") == 13
    assert "(4, 3)" not in draw(y, types=False).source


def test_a_long_graph_goes_from_top_to_bottom() -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    y = x
    found = []
    for _ in range(20):
        y = y * 1.0
        found.append("rankdir=TB" in draw(y).source)
    assert found == sorted(found)
    assert found[0] is False
    assert found[-1] is True
    assert "rankdir=LR" in draw(y, direction="LR").source


def test_what_a_backward_pass_recorded_has_a_border_of_its_own(engine: Any) -> None:
    drawing = draw(ab.grad(lambda x: ab.tanh(x) * x), 0.5, gradients=False)
    layout = Layout(drawing, engine)
    assert {cluster["label"] for cluster in layout.clusters.values()} == {"backward pass"}
    borders = {name: node["color"] for name, node in layout.nodes.items()}
    assert list(borders.values()).count("#b3121d") == 6
    assert {"dx", "dx₁", "dx₂"} <= set(words(drawing, engine))
