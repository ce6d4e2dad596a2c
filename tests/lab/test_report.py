"""The report: one page that needs nothing from anywhere."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import autograd_bn as ab
from autograd_bn.lab import experiments, run
from autograd_bn.lab.report import collected, report

pytest.importorskip("matplotlib")
VOID = {"meta", "br", "path", "use", "rect"}


class Checked(HTMLParser):
    """Balances tags, and collects what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action") and not (value or "").startswith("#"):
                self.loaded.append(f"{tag} {name}={value}")
            if name == "id" and value is not None:
                self.ids.add(value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lab")
    for name in ("scale", "gradient"):
        run(experiments()[name], quick=True, seeds=2, out=out, command=f"autograd-bn lab run {name} <quick>", progress=False)
    return out


def test_the_page_is_whole_and_loads_nothing(folder: Path) -> None:
    page = report(collected(folder), experiments())
    parsed = Checked()
    parsed.feed(page)
    assert parsed.open == []
    assert parsed.loaded == []
    assert re.findall(r"https?:|url\((?!#)|@import", page) == []
    assert {"scale", "gradient"} <= parsed.ids


def test_the_page_has_all_that_was_found(folder: Path) -> None:
    page = report(collected(folder), experiments())
    for outcome in collected(folder):
        experiment = experiments()[outcome.experiment]
        for text in (experiment.title, experiment.citation, outcome.verdict.kind, outcome.verdict.checks[0].numbers, "<quick>"):
            assert html.escape(text) in page
        assert page.count(f'id="{experiment.name}"') == 1
    assert page.count("<svg") == 2
    assert "2 seeds" in page
    assert page.index('id="scale"') < page.index('id="gradient"')


def test_figures_follow_the_pages_colours_and_are_the_same_each_time(folder: Path) -> None:
    first, again = (report(collected(folder), experiments()) for _ in range(2))
    assert first == again
    figures = "".join(re.findall(r"<svg.*?</svg>", first, re.DOTALL))
    assert "currentColor" in figures
    assert "#1f2328" not in figures
    assert re.findall("fill: (?:white|#fff)", figures) == []
    assert "prefers-color-scheme: dark" in first


def test_an_empty_folder_and_an_unknown_experiment_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ab.OperationError, match="no results in"):
        collected(tmp_path)
    outcome = collected(folder)[0]._replace(experiment="alchemy")
    with pytest.raises(ab.OperationError, match="no experiment alchemy"):
        report([outcome], experiments())
