"""The system's Chromium, without a screen; and the screenshots of docs/explore.md: python -m tests.drawing.chromium docs/images"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "explore_batch_norm.py"


def program() -> str | None:
    """Where a Chromium is: what CHROMIUM names, else what is on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def started() -> Iterator[Any]:
    """A browser of Playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[Any]:
    """The page, ready; afterwards nothing may have gone wrong and nothing been asked for."""
    context = browser.new_context(**{"viewport": {"width": 1360, "height": 800}, "reduced_motion": "reduce"} | options)
    page = context.new_page()
    page.set_default_timeout(30_000)
    troubles: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.locator("html[data-ready]").wait_for()
    yield page
    assert troubles == []
    assert asked == [file.as_uri()]
    assert page.evaluate("window.ran") is None
    context.close()


def at(page: Any, step: int) -> None:
    """Move the replay to a step."""
    page.locator("#time").fill(str(step))


def shots(browser: Any, page_file: Path, folder: Path) -> None:
    """The page in the middle of the backward pass, light; and with the details of a node, dark."""
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1280, "height": 720 if scheme == "dark" else 560}, color_scheme=scheme, device_scale_factor=1.5)
        page.goto(page_file.as_uri())
        page.locator("html[data-ready]").wait_for()
        for _ in range(4):
            page.locator("#back").click()
        if scheme == "dark":
            page.locator(".card", has_text="xμ").first.click()
        page.mouse.move(640, 400)
        save(page, folder / f"explore-{scheme}.png")


def shot_of_sizes(browser: Any, made: Path, folder: Path) -> None:
    """Eight sigmoid layers, coloured by the size of the gradient."""
    import numpy as np

    import autograd_bn as ab

    layers = [ab.nn.Sequential(ab.nn.Linear(8, 8, rng=i), ab.nn.Sigmoid()) for i in range(8)]
    model = ab.nn.Sequential(*layers)
    x = ab.tensor(np.random.default_rng(0).standard_normal((16, 8)), name="x")
    page = browser.new_page(viewport={"width": 1280, "height": 330}, color_scheme="light", device_scale_factor=1.5)
    page.goto(ab.explore(lambda x: (model(x) ** 2).mean(), x, file=made / "sizes.html", title="Eight sigmoid layers").as_uri())
    page.locator("html[data-ready]").wait_for()
    page.keyboard.press("c")
    page.locator(".scope.closed .head").click()
    for key in ("g", "Escape", "0"):
        page.keyboard.press(key)
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(640, 80)
    save(page, folder / "explore-sizes.png")


def save(page: Any, file: Path) -> None:
    """A screenshot of few colours."""
    from PIL import Image

    Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(96).save(file, optimize=True)
    page.close()


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as made, started() as browser:
        subprocess.run([sys.executable, str(EXAMPLE), made], check=True)
        shots(browser, Path(made) / "batch-norm.html", folder)
        shot_of_sizes(browser, Path(made), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
