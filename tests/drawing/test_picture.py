"""Files, formats, notebooks and engines."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import graphviz
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import graph
from autograd_bn.drawing import draw, engines, layout
from autograd_bn.drawing.picture import Drawing
from tests.drawing.conftest import batch_norm

MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF", ".dot": b"digraph"}


@pytest.fixture
def y() -> ab.Tensor:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    return x * 2.0


@pytest.mark.parametrize("style", ["default", "classic"])
@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_chooses_the_format(tmp_path: Path, suffix: str, style: Any) -> None:
    file = tmp_path / f"γ{suffix}"
    drawing = draw(batch_norm(), file=file, style=style)
    assert isinstance(drawing, Drawing)
    assert isinstance(drawing, graphviz.Digraph)
    assert file.read_bytes().startswith(MAGIC[suffix])


def test_the_dot_file_is_the_source(tmp_path: Path, y: ab.Tensor) -> None:
    drawing = draw(y, file=str(tmp_path / "a.DOT"))
    assert (tmp_path / "a.DOT").read_text(encoding="utf-8") == drawing.source


def test_a_graph_can_be_drawn_and_drawn_again(y: ab.Tensor) -> None:
    assert draw(graph(y)).source == draw(y).source == draw(y).source


def test_html_is_the_page_to_explore(tmp_path: Path, y: ab.Tensor) -> None:
    drawing = draw(y, file=tmp_path / "a.html")
    assert drawing.source == draw(y).source
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == ab.explore(y, file=tmp_path / "b.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.html2", "svg"])
def test_other_suffixes_are_refused_with_the_list(tmp_path: Path, name: str, y: ab.Tensor) -> None:
    with pytest.raises(DrawingError, match=r"\.svg, \.png, \.pdf, \.dot, \.json or \.html"):
        draw(y, file=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_file_is_an_error_with_the_text(tmp_path: Path, y: ab.Tensor) -> None:
    with pytest.raises(DrawingError, match="cannot write") as caught:
        draw(y, file=tmp_path / "nowhere" / "a.dot")
    assert caught.value.dot.startswith("digraph")
    with pytest.raises(DrawingError, match="cannot write"):
        draw(y, file=tmp_path / "nowhere" / "a.svg")


def test_an_unknown_style_is_refused(y: ab.Tensor) -> None:
    with pytest.raises(DrawingError, match="'default' and 'classic'"):
        draw(y, style="fancy")  # type: ignore[arg-type]


def test_pipe_gives_bytes_or_text(y: ab.Tensor) -> None:
    drawing = draw(y)
    assert drawing.pipe("svg").startswith(b"<?xml")
    assert drawing.pipe(format="svg", encoding="utf-8").startswith("<?xml")
    assert drawing.pipe().startswith(b"%PDF")
    with pytest.raises(ValueError, match="unknown format"):
        drawing.pipe("nonsense")
    with pytest.raises(ValueError, match="unknown layout"):
        drawing.pipe("svg", engine="nonsense")


def test_render_writes_the_text_and_the_picture(tmp_path: Path, y: ab.Tensor) -> None:
    path = draw(y).render("g", tmp_path, format="svg")
    assert Path(path) == tmp_path / "g.svg"
    assert (tmp_path / "g").read_text(encoding="utf-8").startswith("digraph")
    path = draw(y).render(outfile=tmp_path / "out.png", cleanup=True)
    assert Path(path).read_bytes().startswith(MAGIC[".png"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g", "g.svg", "out.png"]
    with pytest.raises(DrawingError, match="cannot write"):
        draw(y).render(tmp_path, format="svg")


def test_a_notebook_shows_svg(y: ab.Tensor) -> None:
    bundle = draw(y)._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml"}
    assert bundle["image/svg+xml"].startswith("<?xml")


def test_a_copy_keeps_positions() -> None:
    drawing = draw(batch_norm(), style="classic")
    assert drawing.copy().pipe("json") == drawing.pipe("json")


def test_engines_reports_what_is_there() -> None:
    for engine in engines():
        assert engine.name in ("pygraphviz", "dot")
        assert engine.version
        assert Path(engine.path).exists()


def test_without_an_engine_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, y: ab.Tensor) -> None:
    monkeypatch.setattr(layout, "_pygraphviz", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engines() == ()
    with pytest.raises(DrawingError, match="pip install pygraphviz") as caught:
        draw(y).pipe("svg")
    assert caught.value.dot == draw(y).source
    draw(y, file=tmp_path / "a.dot")


def test_dot_serves_where_pygraphviz_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, y: ab.Tensor) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import sys; sys.exit('it broke')")
    monkeypatch.setattr(layout, "_PROGRAM", str(broken))
    program = tmp_path / "dot"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.read()\nprint('made by', *sys.argv[1:])\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert draw(y).pipe("svg") == b"made by -Kdot -Tsvg\n"
    program.unlink()
    with pytest.raises(DrawingError, match="it broke"):
        draw(y).pipe("svg")


def test_a_layout_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, y: ab.Tensor) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(layout, "_PROGRAM", str(slow))
    with pytest.raises(DrawingError, match="within 0.5 s"):
        draw(y, timeout=0.5).pipe("svg")


def test_broken_dot_text_is_an_error_and_nothing_is_printed(capfd: pytest.CaptureFixture[str], y: ab.Tensor) -> None:
    drawing = draw(y)
    drawing.body.append("\t[[[\n")
    with pytest.raises(DrawingError, match="failed"):
        drawing.pipe("svg")
    assert capfd.readouterr() == ("", "")


def test_threads_may_draw_at_once(y: ab.Tensor) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(draw(y).pipe("svg"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def test_importing_the_package_does_not_import_graphviz() -> None:
    code = "import sys, autograd_bn, autograd_bn.core.graph, autograd_bn.drawing; sys.exit('graphviz' in sys.modules or 'pygraphviz' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
