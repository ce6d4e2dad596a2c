"""Themes: every text can be read on its ground, and the arrows of the two passes are told apart."""

from __future__ import annotations

from typing import Any

import pytest

import autograd_bn as ab
from autograd_bn.drawing.themes import READABLE, contrast, theme_named
from tests.drawing.conftest import Layout, network

THEMES = ("light", "dark", "print", "colorblind")


@pytest.mark.parametrize("name", THEMES)
def test_text_can_be_read_on_every_ground(name: str) -> None:
    theme = theme_named(name)
    for ground in (theme.paper, theme.card, theme.leaf, theme.constant, theme.scope, *theme.shades):
        for text in (theme.ink, theme.muted, theme.back_text):
            assert contrast(text, ground) >= READABLE, (text, ground)


@pytest.mark.parametrize("name", THEMES)
def test_text_can_be_read_on_every_colour_of_the_scale(name: str) -> None:
    theme = theme_named(name)
    for ground in [*(theme.at(i / 100) for i in range(101)), theme.alarm, theme.zero]:
        over = theme.over(ground)
        assert min(contrast(text, ground) for text in (over.ink, over.muted, over.back_text)) >= READABLE, ground


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", THEMES)
def test_a_theme_is_used_throughout(name: Any, engine: Any) -> None:
    theme = theme_named(name)
    y = network(2)
    layout = Layout(ab.draw(y, theme=name), engine)
    assert {node["fillcolor"] for node in layout.nodes.values()} == {theme.card, theme.leaf, theme.constant}
    assert {cluster["fillcolor"] for cluster in layout.clusters.values()} == set(theme.shades)
    both = [edge for *_, edge in layout.edges if edge.get("dir") == "both"]
    assert {edge["color"] for edge in both} == {f"{theme.forward}:{theme.back}"}
    assert {edge["arrowtail"] for edge in both} == {theme.back_head}
    assert f'bgcolor="{theme.paper}"' in ab.draw(y, theme=name).source


def test_the_passes_differ_without_colour_too_in_print() -> None:
    assert theme_named("print").back_head != "normal"
