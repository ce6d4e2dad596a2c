"""Views with fewer boxes: how deep the scopes of a large graph are drawn open."""

from __future__ import annotations

import pytest

import autograd_bn as ab
from autograd_bn.drawing import draw
from autograd_bn.drawing.view import MOST, closed, fitting_depth, whole


def nested(outer: int, inner: int, links: int) -> ab.Tensor:
    """Scopes of scopes of chains."""
    y = ab.tensor(1.0, requires_grad=True, name="x")
    for _ in range(outer):
        with ab.scope("outer"):
            for _ in range(inner):
                with ab.scope("inner"):
                    for _ in range(links):
                        y = y * 2.0
    return y


@pytest.mark.parametrize(("most", "depth", "boxes"), [(61, None, 61), (60, 1, 13), (13, 1, 13), (12, 0, 4), (4, 0, 4), (2, 0, 4)])
def test_as_many_levels_are_open_as_fit(most: int, depth: int | None, boxes: int) -> None:
    view = whole(ab.graph(nested(3, 4, 5)))
    assert fitting_depth(view, most) == depth
    assert len(view.boxes if depth is None else closed(view, depth).boxes) == boxes


def test_a_large_graph_is_drawn_closed_and_says_so() -> None:
    y = nested(3, MOST // 10, 10)
    with pytest.warns(UserWarning, match=r"a graph of 901 boxes is large: scopes are drawn open to depth 1; .*ab\.explore") as caught:
        shown = draw(y, fold=False)
    assert caught[0].filename == __file__
    assert shown.source == draw(y, depth=1, fold=False).source
    assert draw(y, depth=2).source.count("->") == 900


def test_a_large_graph_without_scopes_is_drawn_whole() -> None:
    y = ab.tensor(1.0, requires_grad=True)
    for _ in range(MOST + 10):
        y = y * 2.0
    assert draw(y, fold=False).source.count("->") == MOST + 10


def test_a_large_graph_that_repeats_itself_is_folded_and_says_so() -> None:
    x = y = ab.tensor(1.0, requires_grad=True, name="x")
    with ab.record():
        for _ in range(MOST):
            y = ab.tanh(y * x)
        y.backward()
    with pytest.warns(UserWarning, match=rf"a graph of {2 * MOST + 1} boxes is large: what repeats is drawn once, .*fold=False") as caught:
        shown = draw(y)
    assert caught[0].filename == __file__
    assert shown.source == draw(y, fold=True).source
    assert (shown.source.count("->"), f"×{MOST}" in shown.source) == (3, True)
