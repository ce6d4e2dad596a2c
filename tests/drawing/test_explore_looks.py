"""How the explorer page looks in a real browser: contrast, text inside its card, small windows, paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.graph import Graph
from tests.drawing.chromium import at, opened

CONTRAST = """() => {
  const probe = document.createElement('span');
  document.body.append(probe);
  const light = (color) => {
    probe.style.color = `var(${color})`;
    const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const found = {};
  for (const fore of ['--ink', '--muted', '--back']) for (const back of ['--paper', '--card', '--bar', '--leaf', '--shade', '--now', '--cold', '--hot']) {
    const [a, b] = [light(fore), light(back)];
    found[`${fore} on ${back}`] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  probe.remove();
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(browser: Any, recorded: tuple[Path, Graph], scheme: str) -> None:
    with opened(browser, recorded[0], color_scheme=scheme) as page:

        def paper() -> Any:
            return page.evaluate("getComputedStyle(document.body).backgroundColor")

        first = paper()
        for _ in range(2):
            assert {pair: ratio for pair, ratio in page.evaluate(CONTRAST).items() if ratio < 4.5} == {}
            page.keyboard.press("t")
        assert paper() == first
        page.keyboard.press("t")
        assert paper() != first


OVERFLOW = """() => [...document.querySelectorAll('.card, .scope.closed')].flatMap((group) => {
  const body = group.querySelector('.body').getBBox();
  return [...group.querySelectorAll('text')].filter((text) => text.getBBox().x + text.getBBox().width > body.x + body.width).map((text) => text.textContent);
})"""


def test_text_stays_inside_its_card(browser: Any, tmp_path: Path) -> None:
    y = ab.tensor([1e-300, -2.0, 3.25e-5], requires_grad=True, name="a_name_that_is_longer_than_a_card")
    with ab.record(), np.errstate(all="ignore"):
        for layer in range(30):
            with ab.scope(f"layer {layer}"):
                y = ab.sqrt(y * 1.2345e-7 + 1.0) + ab.log(y)
        y.sum().backward()
    with opened(browser, ab.explore(y, file=tmp_path / "a.html")) as page:
        for key in "ce":
            page.keyboard.press(key)
            assert page.evaluate(OVERFLOW) == []


def test_where_numbers_stop_being_finite_is_said(browser: Any, tmp_path: Path) -> None:
    x = ab.tensor([0.0, 4.0], requires_grad=True, name="x")
    with ab.record(), np.errstate(all="ignore"):
        with ab.scope("roots"):
            y = ab.sqrt(x * 1.0)
        z = ab.log(x - 1.0)
        (y + z).sum().backward()
    with opened(browser, ab.explore(y + z, file=tmp_path / "a.html")) as page:
        assert page.locator("#canvas .origin .starts").all_text_contents() == ["NaN or ∞ starts here, backward", "NaN or ∞ starts here"]
        assert "NaN or ∞ starts here" in page.locator("#canvas .origin").first.get_attribute("aria-label")
        at(page, 0)
        assert page.locator("#canvas .origin").count() == 0
        page.keyboard.press("c")
        page.keyboard.press("End")
        assert page.locator(".scope.origin .starts").all_text_contents() == ["NaN or ∞ starts here"]


def test_most_of_a_low_window_is_the_graph(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0], viewport={"width": 640, "height": 360}) as page:
        assert page.locator("#stage").bounding_box()["height"] > 0.65 * 360
        assert page.evaluate("document.documentElement.scrollWidth") == 640


def test_all_that_is_open_is_printed_dark_on_light(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0], color_scheme="dark") as page:
        for _ in range(4):
            page.keyboard.press("+")
        before = page.locator(".world").get_attribute("transform")
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        width, height = page.viewport_size["width"], page.viewport_size["height"]
        for card in page.locator(".card").all():
            box = card.bounding_box()
            assert min(box["x"], box["y"]) >= 0
            assert (box["x"] + box["width"] <= width, box["y"] + box["height"] <= height) == (True, True)
        assert not page.locator(".replay").is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.emulate_media(media="screen")
        assert page.locator(".world").get_attribute("transform") == before
        assert page.evaluate("document.documentElement.dataset.theme") is None
