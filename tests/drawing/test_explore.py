"""The explorer page in a real browser: what it shows, that it shows the engine's numbers, and that nothing typed can run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.graph import Graph, graph
from autograd_bn.drawing.words import array_text
from tests.drawing.chromium import at, opened
from tests.drawing.conftest import batch_norm

HOSTILE = ['"<>{}|\\', "a\nb", "</script><script>window.ran = 1</script>", "<img src=x onerror='window.ran = 1'>", "{{data}} ${window.ran = 1} `", "x" * 10_000]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def node(page: Any, index: int) -> Any:
    return page.locator(f"[data-key=n{index}]")


def index_of(g: Graph, name: str) -> int:
    return next(n.index for n in g.nodes if n.name == name)


def elements(page: Any, kind: str) -> list[float]:
    return page.locator(f"#panel .array.{kind} td").evaluate_all("cells => cells.map(cell => Number(cell.dataset.value))")  # type: ignore[no-any-return]


def test_every_node_is_shown_with_its_label_name_and_shape(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    with opened(browser, file) as page:
        assert page.title() == "batch norm"
        assert page.locator(".card").count() == len(g.nodes)
        for n in g.nodes:
            shown = node(page, n.index).text_content()
            assert n.label in shown
            assert (n.name or "") in shown
            assert str(n.shape) in shown
        assert page.locator(".scope.open .title").text_content() == "batch_norm"
        assert page.locator(".wire .black").count() == len(g.edges) + 3  # x, γ and β cross the border of batch_norm


SHOWN = """() => [...['value', 'gradient'].map((kind) => [...document.querySelectorAll(`#panel .array.${kind} td`)].map((cell) => Number(cell.dataset.value))),
  [...document.querySelectorAll('#panel .terms li')].map((term) => term.textContent)]"""


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_at_the_end_of_the_replay_each_gradient_is_the_engines(browser: Any, recorded: tuple[Path, Graph], options: Any) -> None:
    file, g = recorded
    with opened(browser, file, **options) as page:
        at(page, 0)
        last = int(page.locator("#time").get_attribute("max"))
        for _ in range(last):
            page.locator("#next").click()
        assert page.locator("#next").is_disabled()
        for n in g.nodes:
            node(page, n.index).focus()
            page.keyboard.press("Enter")
            assert n.value is not None and n.gradient is not None
            value, gradient, terms = page.evaluate(SHOWN)
            assert value == n.value.ravel().tolist()
            assert gradient == n.gradient.ravel().tolist()
            sent = [g.nodes[e.target].cotangents[g.nodes[e.target].operands.index(e.operand)] for e in g.edges if e.source == n.index]  # type: ignore[index]
            assert len(terms) == len(sent)
            for cotangent in sent:
                assert cotangent is not None
                assert any(array_text(cotangent) in term for term in terms)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_gradients_appear_step_by_step_and_add_up(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    x = index_of(g, "xμ")
    operations = [n for n in g.nodes if n.kind == "operation"]
    with opened(browser, file) as page:
        at(page, 0)
        node(page, x).click()
        assert "xμ" in page.locator("#panel h2").text_content()
        assert elements(page, "value") == []
        assert page.locator("#panel .none").all_text_contents() == ["—", "—"]
        assert " 0" not in node(page, x).text_content().replace("(4, 3)", "")
        at(page, len(operations))  # all forward steps
        assert elements(page, "value") == g.nodes[x].value.ravel().tolist()  # type: ignore[union-attr]
        assert page.locator("#panel .none.gradient").text_content() == "—"
        seen = []
        for step in range(len(operations) + 1, 2 * len(operations) + 2):
            at(page, step)
            seen.append((page.locator("#panel .gradient .formula").text_content(), elements(page, "gradient")))
        by_multiplication, by_square = [
            t.cotangents[t.operands.index(e.operand)]  # type: ignore[index]
            for e in sorted(g.edges, key=lambda e: -e.target)
            if e.source == x
            for t in [g.nodes[e.target]]
        ]
        assert seen[0] == ("dxμ = —", [])
        first = next(i for i, (formula, _) in enumerate(seen) if formula == "dxμ = dxμ₁ + …")
        assert seen[first][1] == by_multiplication.ravel().tolist()  # type: ignore[union-attr]
        assert seen[-1][0] == "dxμ = dxμ₁ + dxμ₂"
        np.testing.assert_allclose(seen[-1][1], (by_multiplication + by_square).ravel())  # type: ignore[operator]


def test_a_wire_tells_what_flows_along_it_both_ways(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    xhat = g.nodes[index_of(g, "x̂")]
    with opened(browser, file) as page:
        node(page, index_of(g, "xμ")).focus()
        page.keyboard.press("Enter")
        page.locator("#panel .terms button.back").first.click()
        assert page.locator("#panel .kind").text_content() == "wire"
        assert page.locator(".wire.selected").count() == 1
        assert xhat.cotangents is not None
        assert elements(page, "gradient") == xhat.cotangents[0].ravel().tolist()  # type: ignore[union-attr]
        assert elements(page, "value") == g.nodes[xhat.inputs[0]].value.ravel().tolist()  # type: ignore[union-attr]
        assert "dxμ₁ = dx̂ · ivar" in page.locator("#panel .formula").all_text_contents()
        at(page, 0)
        assert page.locator("#panel .none").all_text_contents() == ["—", "—"]
        page.locator("#collapse").click()
        at(page, int(page.locator("#time").get_attribute("max")))
        page.locator(".wire .hit").first.dispatch_event("click")
        np.testing.assert_allclose(elements(page, "gradient"), g.nodes[0].gradient.ravel())  # type: ignore[union-attr]


def test_two_fingers_zoom(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0], **PHONE) as page:

        def scale() -> float:
            return float(page.locator(".world").get_attribute("transform").split("scale(")[1][:-1])

        start = scale()
        touch = page.context.new_cdp_session(page)
        for kind, apart in (("touchStart", 40), ("touchMove", 50), ("touchMove", 80)):
            touch.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": 195 - apart, "y": 400, "id": 1}, {"x": 195 + apart, "y": 400, "id": 2}]}
            )
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert scale() == pytest.approx(2 * start, rel=0.05)


def test_play_runs_to_the_end(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0]) as page:
        last = page.locator("#time").get_attribute("max")
        at(page, int(last) - 1)
        page.keyboard.press("Space")
        assert page.locator("#play").get_attribute("aria-label") == "Pause"
        page.locator("#next:disabled").wait_for()
        page.locator("#play[aria-label=Play]").wait_for()


def test_pointing_at_a_node_lights_its_twins_and_neighbours(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    name = index_of(g, "x̂")
    with opened(browser, file) as page:
        node(page, name).hover()
        near = page.locator(".card.near").evaluate_all("cards => cards.map(card => Number(card.dataset.key.slice(1)))")
        touching = [e for e in g.edges if name in (e.source, e.target)]
        assert set(near) == {i for e in touching for i in (e.source, e.target)} - {name}
        assert page.locator(".wire.on .black").count() >= len(touching)
        assert page.locator(".wire.on .black").count() == page.locator(".wire.on .red").count()
        page.mouse.move(2, 2)
        assert page.locator(".wire.on").count() == 0


def test_search_finds_names_operations_and_scopes(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    with opened(browser, file) as page:
        page.locator("#collapse").click()
        page.keyboard.press("/")
        page.keyboard.type("sqrt")
        assert page.locator("#found [role=option]").count() == 1
        page.keyboard.press("Enter")
        assert "sqrtvar" in page.locator("#panel h2").text_content()
        assert node(page, index_of(g, "sqrtvar")).is_visible()
        page.keyboard.press("/")
        page.keyboard.type("batch_norm")
        page.keyboard.press("Enter")
        assert page.locator("#panel .kind").text_content() == "scope"
        page.keyboard.press("/")
        page.keyboard.type("no such thing")
        assert page.locator("#found").text_content() == "nothing found"


def test_scopes_close_and_open(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    with opened(browser, file) as page:
        page.locator(".scope .head").click()
        assert page.locator(".card").count() == 3
        assert page.locator(".scope.closed").get_attribute("aria-expanded") == "false"
        assert page.locator(".flow").all_text_contents() == ["dx₁ + dx₂", "dγ", "dβ"]
        page.locator(".scope.closed").focus()
        page.keyboard.press("Enter")
        assert page.locator(".card").count() == len(g.nodes)
        page.keyboard.press("c")
        assert page.locator(".card").count() == 3
        page.keyboard.press("e")
        assert page.locator(".card").count() == len(g.nodes)


def test_it_can_be_moved_zoomed_and_fitted(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0]) as page:
        where = lambda: page.locator(".world").get_attribute("transform")
        page.locator("#fit").click()
        start = where()
        page.mouse.move(500, 600)
        page.mouse.wheel(0, -300)
        assert where() != start
        page.locator("#fit").click()
        assert where() == start
        page.mouse.move(500, 600)
        page.mouse.down()
        page.mouse.move(560, 620, steps=3)
        page.mouse.up()
        moved = [float(a) - float(b) for a, b in zip(re.findall(r"[\d.-]+", where())[:2], re.findall(r"[\d.-]+", start)[:2], strict=True)]
        assert moved == pytest.approx([60, 20], abs=0.1)
        page.keyboard.press("0")
        assert where() == start
        page.keyboard.press("d")
        page.keyboard.press("+")
        assert where() != start


def test_gradients_are_coloured_by_size_and_the_least_is_found(browser: Any, tmp_path: Path) -> None:
    h = x = ab.tensor([0.5, 1.0], requires_grad=True, name="x")
    with ab.record(), np.errstate(all="ignore"):
        for number in range(4):
            with ab.scope(f"layer {number}"):
                h = ab.sigmoid(h * 0.01)
        with ab.scope("broken"):
            y = (h + ab.sqrt(x * 0.0)).sum()
        y.backward()
    g = graph(y)
    size = lambda n: float(np.sqrt(np.mean(n.gradient**2)))
    finite = [n for n in g.nodes if n.gradient is not None and np.isfinite(n.gradient).all() and n.gradient.any()]
    heat = "element => element.classList.contains('sized') ? Number(element.style.getPropertyValue('--size')) : null"
    with opened(browser, ab.explore(y, file=tmp_path / "a.html")) as page:
        assert page.locator(".sized").count() == 0
        page.keyboard.press("g")
        assert page.locator("#heat").get_attribute("aria-pressed") == "true"
        low, high = min(map(size, finite)), max(map(size, finite))
        for n in finite:
            assert node(page, n.index).evaluate(heat) == pytest.approx(np.log(size(n) / low) / np.log(high / low), abs=1e-3)
        assert page.locator(".broken").evaluate_all("all => all.map(one => Number(one.dataset.key.slice(1)))") == [
            n.index for n in g.nodes if n.gradient is not None and not np.isfinite(n.gradient).all()
        ]
        page.locator("#least").click()
        assert page.evaluate("document.querySelector('.selected').dataset.key") == f"n{min(finite, key=size).index}"
        page.keyboard.press("c")
        closed = page.locator(".scope.closed.sized").evaluate_all(f"all => all.map({heat})")
        assert closed[:4] == sorted(closed[:4])
        at(page, 0)
        assert page.locator(".sized, .broken").count() == 0
        page.locator("#heat").click()
        at(page, int(page.locator("#time").get_attribute("max")))
        assert page.locator(".sized, .broken").count() == 0


def test_the_keyboard_goes_everywhere(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0]) as page:
        page.locator("#canvas").focus()
        seen = set()
        for _ in range(12):
            page.keyboard.press("ArrowRight")
            seen.add(page.evaluate("document.activeElement.dataset.key"))
        assert len(seen) > 5
        page.keyboard.press("?")
        assert page.locator("#helptext").is_visible()
        page.keyboard.press("Escape")
        assert not page.locator("#helptext").is_visible()
        page.keyboard.press("Home")
        assert page.locator("#time").input_value() == "0"
        page.keyboard.press(".")
        assert page.locator("#time").input_value() == "1"


def test_space_acts_on_the_card_that_has_the_keyboard_and_else_plays(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0]) as page:
        playing = lambda: page.locator("#play").get_attribute("aria-label") == "Pause"
        page.locator("#canvas").focus()
        while not page.evaluate("document.activeElement.matches('.card')"):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        assert page.locator("#panel").is_visible() and not playing()
        page.keyboard.press("Space")
        assert not playing()
        scope = page.locator(".scope[role=button], .scope .head").first
        shown = page.locator(".card").count()
        scope.focus()
        page.keyboard.press("Space")
        assert page.locator(".card").count() != shown and not playing()
        page.keyboard.press("Space")
        assert page.locator(".card").count() == shown and not playing()
    with opened(browser, recorded[0]) as page:
        page.locator(".card").first.click()
        page.keyboard.press("Space")
        assert playing()


def test_the_keyboard_is_not_lost_in_the_details(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    xhat, centred = index_of(g, "x̂"), index_of(g, "xμ")
    with opened(browser, file) as page:
        focused = lambda: page.evaluate("document.activeElement.id || document.activeElement.dataset.key || document.activeElement.tagName")
        node(page, xhat).focus()
        page.keyboard.press("Enter")
        page.locator("#panel .link", has_text="xμ").first.focus()
        page.keyboard.press("Enter")
        assert "xμ" in page.locator("#panel h2").text_content()
        assert focused() == "panel"
        page.keyboard.press(",")
        assert focused() == "panel"
        page.locator("#panel .close").focus()
        page.keyboard.press("Enter")
        assert page.locator("#panel").is_hidden()
        assert focused() == f"n{centred}"
        page.keyboard.press("ArrowRight")
        assert focused() not in (f"n{centred}", "BODY")


def test_everything_that_can_be_pressed_has_a_name(browser: Any, recorded: tuple[Path, Graph]) -> None:
    with opened(browser, recorded[0]) as page:
        unnamed = "all => all.filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.outerHTML)"
        assert page.locator("button, input, [role=button], [role=img]").evaluate_all(unnamed) == []


def test_a_screen_reader_is_told_the_numbers(browser: Any, recorded: tuple[Path, Graph]) -> None:
    file, g = recorded
    xhat = index_of(g, "x̂")
    with opened(browser, file) as page:
        label = node(page, xhat).get_attribute("aria-label")
        assert re.fullmatch(r"operation \* x̂ \(4, 3\), value ‖·‖ [\d.]+, gradient ‖dx̂‖ [\d.]+", label), label
        at(page, 0)
        assert node(page, xhat).get_attribute("aria-label") == "operation * x̂ (4, 3), value —, gradient dx̂ —"
        page.locator("#play").click()
        assert page.locator("#caption").get_attribute("aria-live") == "off"
        page.locator("#play").click()
        assert page.locator("#caption").get_attribute("aria-live") == "polite"
        page.keyboard.press("c")
        assert page.locator(".scope.closed").get_attribute("aria-label").startswith("scope batch_norm, closed, ")


def test_labels_survive_as_typed_and_never_run(browser: Any, tmp_path: Path) -> None:
    with ab.record():
        total = ab.tensor([0.0, 0.0])
        for name in HOSTILE:
            with ab.scope(name):
                total = total + ab.tensor([1.0, 2.0], requires_grad=True, name=name) * 3.0
        total.backward([1.0, 1.0])
    shown = graph(total)
    with opened(browser, ab.explore(total, file=tmp_path / "a.html", title=HOSTILE[2])) as page:
        assert page.title() == HOSTILE[2]
        for name in HOSTILE:
            node(page, index_of(shown, name)).focus()
            page.keyboard.press("Enter")
            assert page.locator("#panel h2").text_content() == name
        page.keyboard.press("c")
        found = []
        for scope in page.locator(".scope.closed").all():
            scope.dispatch_event("click")
            found.append(page.locator("#panel h2").text_content())
        assert sorted(found) == sorted(HOSTILE)
        assert page.locator("script").count() == 2
        assert page.locator("img").count() == 0


@pytest.mark.parametrize(("steps", "said"), [("", "the order"), ("forward", "it run"), ("forward backward", "it run, forward and then backward")])
def test_the_replay_says_what_there_is_to_see(browser: Any, tmp_path: Path, steps: str, said: str) -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record() if steps else ab.enable_grad():
        y = (x * x).sum()
        if "backward" in steps:
            y.backward()
    with opened(browser, ab.explore(y, tmp_path / "page.html")) as page:
        assert page.locator("#caption").inner_text().endswith(f"press play to see {said}")


def test_what_was_not_recorded_is_a_dash(browser: Any, tmp_path: Path) -> None:
    with opened(browser, ab.explore(batch_norm(), file=tmp_path / "a.html")) as page:
        assert page.locator(".wire .red").count() == 0
        node(page, 2).click()
        assert page.locator("#panel .none").all_text_contents() == ["—", "—"]


def test_a_crowd_opens_closed_and_says_so(browser: Any, tmp_path: Path) -> None:
    y = x = ab.tensor(1.0, requires_grad=True, name="x")
    for _ in range(1500):
        y = y + x
    with opened(browser, ab.explore(y, file=tmp_path / "a.html")) as page:
        assert page.locator(".card, .scope[role=button]").count() <= 60
        assert "scopes are closed" in page.locator("#message").text_content()
        page.locator("#expand").click()
        assert 60 < page.locator(".card, .scope[role=button]").count() <= 600
        assert "opened until" in page.locator("#message").text_content()
        assert re.fullmatch(r"steps \d+ … \d+", page.locator(".scope .title").first.text_content())
