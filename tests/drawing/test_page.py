"""The call that writes the explorer page: what is run, what is left as it was, what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from tests.drawing.conftest import batch_norm


def test_a_function_or_module_is_run_and_differentiated(tmp_path: Path) -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    page = ab.explore(lambda v: (v * v).sum(), x, file=tmp_path / "a.html").read_text(encoding="utf-8")
    assert '"recorded":{"values":true,"gradients":true}' in page
    page = ab.explore(ab.nn.Sequential(ab.nn.Linear(2, 3), ab.nn.Sigmoid()), ab.ones((4, 2)), file=tmp_path / "b.html").read_text(encoding="utf-8")
    assert '"recorded":{"values":true,"gradients":false}' in page
    with pytest.raises(DrawingError, match="needs example inputs"):
        ab.explore(lambda v: v, file=tmp_path / "c.html")
    with pytest.raises(DrawingError, match=r"'.*c\.svg': the suffix has to be \.html; ab\.draw"):
        ab.explore(x * 2.0, file=tmp_path / "c.svg")
    with pytest.raises(DrawingError, match="cannot write"):
        ab.explore(x * 2.0, file=tmp_path / "nowhere" / "c.html")


def test_the_file_of_a_drawing_is_given_by_name_that_of_a_page_may_stand_last(tmp_path: Path) -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    for file in ("c.svg", tmp_path / "c.svg"):
        with pytest.raises(DrawingError, match=r"not for a Tensor; a file is given by name, file='.*c\.svg'$"):
            ab.draw(x * 2.0, file)
    for k, file in enumerate((str(tmp_path / "0.html"), tmp_path / "1.html")):
        assert ab.explore(x * 2.0, file) == tmp_path / f"{k}.html"
    ab.explore(lambda v: (v * v).sum(), np.array([3.0]), tmp_path / "2.html")
    assert all((tmp_path / f"{k}.html").stat().st_size > 10_000 for k in range(3))
    for show in (ab.explore, ab.draw):
        with pytest.raises(DrawingError, match="not for a Tensor$"):
            show(x * 2.0, x, file=tmp_path / "c.html")


def test_a_page_without_a_file_is_refused() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(DrawingError, match=r"say where, as in explore\(y, file='page\.html'\)"):
        ab.explore(x * 2.0)


def test_exploring_a_function_leaves_gradients_and_statistics_as_they_were(tmp_path: Path) -> None:
    model = ab.nn.BatchNorm1d(3)
    x = ab.tensor(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32), requires_grad=True, name="x")
    (x * 2.0).sum().backward()
    before = [np.array(value) for value in model.state_dict().values()]
    file = ab.explore(lambda v: (model(v) ** 2).sum(), x, file=tmp_path / "a.html")
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [[2.0] * 3] * 4
    assert all(parameter.grad is None for parameter in model.parameters())
    for old, new in zip(before, model.state_dict().values(), strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    assert '"gradients":true' in file.read_text(encoding="utf-8")


def test_the_page_of_the_published_batch_norm_is_small(tmp_path: Path) -> None:
    page = ab.explore(batch_norm(60, 100, backward=True), file=tmp_path / "a.html")
    assert page.stat().st_size < 150_000
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
