"""A graph as text: scopes indented, columns in line, nothing that breaks a line."""

from __future__ import annotations

import numpy as np

import autograd_bn as ab


def test_scopes_are_indented_and_columns_are_in_line() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    w = ab.tensor([3.0, 4.0], requires_grad=True, name="w")
    with ab.scope("outer"):
        a = x * 2.0
        with ab.scope("inner"):
            b = a * w
    y = b.sum()
    assert str(ab.graph(y)).splitlines() == [
        "%0 = leaf                                (2,) float64  x",
        "%2 = leaf                                (2,) float64  w",
        "outer:",
        "  %1 = mul(%0, 2.0)                      (2,) float64  a",
        "  inner:",
        "    %3 = mul(%1, %2)                     (2,) float64  b",
        "%4 = sum(%3, axis=(0,), keepdims=False)  () float64    y",
        "return %4",
    ]


def test_two_calls_of_one_name_are_two_scopes() -> None:
    @ab.composite
    def double(v: ab.Tensor) -> ab.Tensor:
        return v * 2.0

    y = double(double(ab.tensor(1.0, requires_grad=True, name="x")))
    assert str(ab.graph(y)).count("double:\n") == 2


def test_strange_names_and_large_parameters_stay_on_their_line() -> None:
    x = ab.tensor(np.zeros(2000), requires_grad=True, name='a\nb"' + "x" * 10_000)
    with ab.scope("s\ns"):
        y = x[np.arange(2000)[::-1]]
    text = str(ab.graph(y))
    lines = text.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) < 200
    assert "'a\\nb" in lines[0]
    assert lines[1] == "'s\\ns':"
    assert len(str(ab.graph(y).nodes[1]).splitlines()) == 1
    assert max(map(len, ab.graph(y).summary().splitlines())) < 200


def test_a_wide_line_does_not_push_the_others_away() -> None:
    x = ab.tensor(np.zeros((1,) * 20), requires_grad=True, name="x")
    first, wide = str(ab.graph(x.permute_dims(tuple(range(19, -1, -1))))).splitlines()[:2]
    assert "permute_dims" in wide
    assert first.index("(1,") < wide.index("(1,")
