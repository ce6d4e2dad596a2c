"""The default style: nodes, arrows, clusters, recorded values and gradients; hostile text; any size."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.graph import graph
from autograd_bn.drawing import draw
from autograd_bn.drawing.layout import lay_out
from tests.drawing.conftest import Layout, batch_norm, network


def arrows(source: str, color: str) -> list[tuple[int, int]]:
    """Operand and result of each arrow: a red one is the tail of a black one's edge, or an edge that has only a tail."""
    found = re.findall(r"^\tn(\d+) -> n(\d+)(.*)$", source, re.MULTILINE)
    marks = {"black": 'color="black:red" dir=both', "red": "color=red dir=back"}
    return sorted((int(a), int(b)) for a, b, rest in found if marks["black"] in rest or (marks["red"] in rest) == (color == "red"))


def words(svg: bytes) -> list[str]:
    """The text of a picture, as it is read."""
    import html

    return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode())]


def test_a_black_arrow_an_edge() -> None:
    y = batch_norm()
    found = graph(y)
    assert arrows(draw(y).source, "black") == sorted((e.source, e.target) for e in found.edges)
    assert arrows(draw(y).source, "red") == []


def test_a_red_arrow_an_edge_after_record() -> None:
    y = batch_norm(backward=True)
    source = draw(y).source
    assert arrows(source, "red") == arrows(source, "black") == sorted((e.source, e.target) for e in graph(y).edges)


def test_every_engine_lays_out_the_same_structure(engine: Any) -> None:
    layout = Layout(draw(batch_norm(backward=True), direction="LR"), engine)
    assert len(layout.nodes) == 13
    assert [(e["color"], e["dir"]) for *_, e in layout.edges] == [("black:red", "both")] * 14
    x = {name: layout.position(name)[0] for name in layout.nodes}
    assert all(x[tail] < x[head] for tail, head, _ in layout.edges)


def test_nodes_show_label_name_shape_and_other_dtypes(engine: Any) -> None:
    shown = words(lay_out(draw(batch_norm()).source, "svg", using=engine))
    for text in ["−", "xμ", "**2", "1/N Σ", "√", "1/x", "x̂", "γ", "(4, 3)", "(3,)", "batch_norm", "+ 1e-05"]:
        assert text in [word.strip() for word in shown]
    x = ab.tensor(np.ones(2, "float32"), requires_grad=True)
    assert "(2,) float32" in words(lay_out(draw(x * x).source, "svg", using=engine))


def test_kinds_look_different(engine: Any) -> None:
    x, c = ab.tensor([1.0], requires_grad=True, name="x"), ab.tensor([2.0], name="c")
    layout = Layout(draw(x * c), engine)
    assert len({node["fillcolor"] for node in layout.nodes.values()}) == 3
    assert ["dashed" in layout.nodes[f"n{i}"]["style"] for i in range(3)] == [False, True, False]
    assert {tail: e.get("style") for tail, _, e in layout.edges} == {"n0": None, "n1": "dashed"}


def test_no_gradient_flows_to_constants() -> None:
    x, c = ab.tensor([1.0], requires_grad=True, name="x"), ab.tensor([2.0], name="c")
    with ab.record():
        y = x * c
        y.backward()
    assert len(arrows(draw(y).source, "black")) == 2
    assert len(arrows(draw(y).source, "red")) == 1


def test_gradients_add_up_where_paths_merge() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record():
        y = (x * x + x).sum()
        y.backward()
    source = draw(y).source
    assert "dx = dx₁ + dx₂ + dx₃ = [3, 5]" in source
    assert [source.count(f"<I>dx{i}</I>") for i in "₁₂₃"] == [1, 1, 1]


def test_parts_are_numbered_in_the_order_of_the_figure() -> None:
    y = batch_norm(backward=True)
    by_edge = {(int(a), int(b)): name for a, b, name in re.findall(r"^\tn(\d+) -> n(\d+) \[label=<.*?<I>(\w+)</I>", draw(y).source, re.MULTILINE)}
    index = {node.name: node.index for node in graph(y).nodes}
    assert by_edge[index["x"], index["xμ"]] == "dx₁"
    assert by_edge[index["x"], index["μ"]] == "dx₂"
    assert by_edge[index["xμ"], index["x̂"]] == "dxμ₁"
    assert by_edge[index["xμ"], index["sq"]] == "dxμ₂"


def test_a_gradient_that_has_other_sources_says_so() -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    with ab.record():
        y, z = x * 2.0, x * 5.0
        y.backward()
        z.backward()
    assert "dx = dx₁ + … = [7]" in draw(y).source
    assert "dx = dx₁ + dx₂ = [7]" in draw(graph(y, z)).source


def test_a_gradient_to_come_is_a_dash() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record():
        y = x * 3.0
        assert "dx = —" in draw(y).source
        assert "<I>dx</I>&#160; —" in draw(y).source
        y.sum().backward()
    assert "—" not in draw(y).source
    assert "dx = [3, 3]" in draw(y).source


def test_summing_over_broadcast_axes_is_visible() -> None:
    y = batch_norm(backward=True)
    assert draw(y).source.count("Σ (4, 3) → (3,)") == 2
    assert draw(y).source.count("Σ (4, 3) → (1, 3)") == 2


@pytest.mark.parametrize(("rows", "inner"), [(2, 3), (1, 2)])
def test_a_matrix_product_sums_over_no_broadcast_axes(rows: int, inner: int) -> None:
    x, w = ab.tensor(np.ones((rows, inner)), requires_grad=True), ab.tensor(np.ones((inner, 3)), requires_grad=True)
    with ab.record():
        y = x @ w
        y.backward(np.ones((rows, 3)))
    assert "→" not in draw(y).source


def test_values_and_gradients_can_be_left_out_or_asked_for() -> None:
    y = batch_norm(backward=True)
    assert arrows(draw(y, gradients=False).source, "red") == []
    assert "‖·‖" not in draw(y, values=False, gradients=False).source
    assert len(arrows(draw(batch_norm(), gradients=True).source, "red")) == 14


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(1.23456), "1.23"),
        (np.array([1.0, -2.0]), "[1, −2]"),
        (np.eye(2), "[[1, 0],\n[0, 1]]"),
        (np.array([[[[1.0]], [[2.0]]]]), "[1, 2]"),
        (np.zeros((0, 2)), "empty"),
        (np.full(100, 2.0), "‖·‖ 20, mean 2"),
        (np.array([1.0] * 9 + [np.nan]), "1 of 10 not finite"),
        (np.array([True, False]), "[True, False]"),
        (np.full(10, 1e30, "float32"), "‖·‖ 3.16e+30, mean 1e+30"),
    ],
)
def test_arrays_in_a_few_words(array: Any, text: str) -> None:
    from autograd_bn.drawing.words import array_text

    assert array_text(array) == text


def test_an_index_is_shown_as_typed(engine: Any) -> None:
    x = ab.tensor(np.zeros((4, 6)), requires_grad=True, name="x")
    y = x * 1.0
    y[1:3, ::2] = 2.0
    parts = [x[1], x[:, 2], x[..., -1], x[::2, None], x[np.array([0, 2])], x[0][1:], y]
    shown = words(lay_out(draw(parts).source, "svg", using=engine))
    assert {"[1]", "[:, 2]", "[..., -1]", "[::2, None]", "[…]", "[1:]", "[1:3, ::2] ←"} <= set(shown)


def test_scopes_are_nested_clusters(engine: Any) -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    with ab.scope("outer"):
        h = x + 1.0
        with ab.scope("inner"):
            h = h * 2.0
        h = h - 3.0
    layout = Layout(draw(h), engine)
    assert {cluster["label"] for cluster in layout.clusters.values()} == {"outer", "inner"}
    boxes = {c["label"]: [float(v) for v in c["bb"].split(",")] for c in layout.clusters.values()}
    (a, b, c, d), (e, f, g, h_) = boxes["outer"], boxes["inner"]
    assert a < e < g < c
    assert b < f < h_ < d
    inside = {name for name in layout.nodes if a < layout.position(name)[0] < c and b < layout.position(name)[1] < d}
    assert inside == {"n1", "n2", "n3"}
    assert draw(h).source.count("subgraph") == 2


def test_two_calls_are_two_clusters() -> None:
    @ab.composite
    def square(x: Any) -> Any:
        return x * x

    source = draw(square(square(ab.tensor([2.0], requires_grad=True)))).source
    assert len(set(re.findall(r"subgraph (cluster_\d+)", source))) == 2


HOSTILE = [
    "<b>bold</b>",
    '"quoted"',
    "a|b{c}d",
    "back\\slash \\N \\G \\L \\l",
    "&amp; &lt; &#946;",
    "<",
    "]]>",
    "trailing\\",
    "tab\there",
    "nul\0",
    "γ→∂ 漢字",
    "<<x>>",
    '"<>{}|\\',
    "</script><script>window.ran = 1</script>",
    "x" * 10_000,
    "γ" * 20_000,
    '<&"' * 10_000,
    "\\" * 20_001,
    " " * 20_001 + "|",
    "a;b--c->d",
    "//no",
    "  two  spaces ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_comes_out_as_typed(text: str, engine: Any) -> None:
    x = ab.tensor([1.0], requires_grad=True, name=text)
    with ab.scope(text):
        y = x * 1.0
    y.name = text
    expected = text.replace("\0", "␀").replace("\t", "␉")
    shown = [word.replace("\xa0", " ") for word in words(lay_out(draw(y).source, "svg", using=engine))]
    assert shown.count(expected) == 3, shown


@pytest.mark.parametrize(("form", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_hostile_text_is_drawn_in_formats_without_text_too(form: str, magic: bytes, engine: Any) -> None:
    for text in ('"<>{}|\\\n</script>', "x" * 10_000):
        x = ab.tensor([1.0], requires_grad=True, name=text)
        with ab.scope(text):
            y = x * 1.0
        assert lay_out(draw(y).source, form, using=engine).startswith(magic)


def test_of_many_gradients_that_come_together_some_are_named() -> None:
    x = y = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record():
        for _ in range(5_000):
            y = y + x
        y.backward([1.0, 1.0])
    source = draw(y, fold=False).source
    assert "dx = dx₁ + dx₂ + dx₃ + … + dx₅₀₀₁ = " in source
    assert max(map(len, source.splitlines())) < 2_000


def test_newlines_break_the_line(engine: Any) -> None:
    x = ab.tensor([1.0], requires_grad=True, name="one\ntwo")
    assert {"one", "two"} <= set(words(lay_out(draw(x * 1.0).source, "svg", using=engine)))


def test_half_a_surrogate_pair_can_be_drawn() -> None:
    x = ab.tensor([1.0], requires_grad=True, name="\ud800")
    assert "\\\\ud800" in draw(x * 1.0).source


def test_layers_stand_in_line(engine: Any) -> None:
    """What one layer gives stands before all of the next, also before its parameters: no two share a place from top to bottom."""
    layout = Layout(draw(network(4), direction="TB"), engine)
    boxes = {cluster["label"]: [float(x) for x in cluster["bb"].split(",")] for cluster in layout.clusters.values()}
    layers = [boxes[f"{i}: Block"] for i in range(4)]
    assert all(above[1] > below[3] for above, below in itertools.pairwise(layers))
    assert max(right for *_, right, _ in layers) - min(left for left, *_ in layers) < 2 * (layers[0][2] - layers[0][0])


def test_where_numbers_stop_being_finite_is_marked(engine: Any) -> None:
    x = ab.tensor([0.0, 4.0], requires_grad=True, name="x")
    with ab.record(), np.errstate(all="ignore"):
        y = ab.log(x * 1.0) + 1.0
        y.sum().backward()
    layout = Layout(draw(y.sum()), engine)
    assert [name for name, node in layout.nodes.items() if node.get("penwidth") == "4"] == ["n2"]
    shown = words(lay_out(draw(y).source, "svg", using=engine))
    assert shown.count("NaN or ∞ starts here") == shown.count("NaN or ∞ starts here, backward") + 1 == 1
    coloured = Layout(draw(y, color="nonfinite"), engine).nodes["n2"]
    assert (coloured["penwidth"], coloured["color"] != coloured["fillcolor"]) == ("4", True)
    with ab.record(), np.errstate(all="ignore"):
        root = ab.sqrt(x)
        root.sum().backward()
    shown = words(lay_out(draw(root).source, "svg", using=engine))
    assert [text for text in shown if "starts" in text] == ["NaN or ∞ starts here, backward"]


def test_a_long_chain_is_drawn_without_recursion() -> None:
    y = ab.tensor([1.0], requires_grad=True)
    for _ in range(100_000):
        y = y + 1.0
    assert draw(y, fold=False).source.count("->") == 100_000


def test_deeply_nested_scopes_are_drawn() -> None:
    import contextlib

    x = ab.tensor([1.0], requires_grad=True)
    with contextlib.ExitStack() as stack:
        for i in range(2_000):
            stack.enter_context(ab.scope(str(i)))
        y = x * 1.0
    source = draw(y).source
    assert source.count("subgraph") == 2_000
    assert source.count("{") == source.count("}")


def test_an_output_is_marked_and_a_tooltip_names_the_line() -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    y = x * 2.0
    lines = draw(y).source.splitlines()
    assert [("penwidth" in line) for line in lines if re.match(r"\s*n\d+ \[", line)] == [False, True]
    assert "test_dot.py" in draw(y).source
    assert "y = x * 2.0" in draw(y).source
