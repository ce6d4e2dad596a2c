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


def shots(browser: Any, page_file: Path, folder: Path) -> None:
    """The page in the middle of the backward pass, light; and with the details of a node, dark."""
    from PIL import Image

    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1280, "height": 720 if scheme == "dark" else 560}, color_scheme=scheme, device_scale_factor=1.5)
        page.goto(page_file.as_uri())
        page.locator("html[data-ready]").wait_for()
        for _ in range(4):
            page.locator("#back").click()
        if scheme == "dark":
            page.locator(".card", has_text="xμ").first.click()
        page.mouse.move(640, 400)
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.convert("RGB").quantize(96).save(folder / f"explore-{scheme}.png", optimize=True)
        page.close()


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as made, started() as browser:
        subprocess.run([sys.executable, str(EXAMPLE), made], check=True)
        shots(browser, Path(made) / "batch-norm.html", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
