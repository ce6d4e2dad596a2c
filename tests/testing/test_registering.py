"""An operation of one's own gets the whole suite; the plugin gives the fixture and the marker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.primitive import Domain
from autograd_bn.testing import GradientCheckError, register_op
from tests.registries import temporary as temporary


@ab.custom_jvp
def squashed(x: Any) -> Any:
    return x / (1.0 + ab.abs(x))


squashed.defjvp(lambda primals, tangents: (squashed(*primals), tangents[0] / (1.0 + ab.abs(primals[0])) ** 2))
TestSquashed = register_op(squashed, reference=lambda x: x / (1 + np.abs(x)), domain=Domain(-2.0, 2.0, avoid=(0.0,))).tests()
TestHypot = register_op(lambda x, y: ab.sqrt(x * x + y * y), reference=np.hypot, domain=(0.5, 2.0)).tests()


def test_a_wrong_value_and_a_wrong_rule_are_two_failures() -> None:
    suite = register_op(lambda x: x * x * x, reference=lambda x: x * x, domain=(0.5, 2.0))
    failed = set()
    for case in suite.cases():
        try:
            suite.run(case)
        except GradientCheckError:
            failed.add(case.check)
    assert failed == {"values"}


def test_what_cannot_be_sampled_is_said() -> None:
    with pytest.raises(ab.AutogradError, match="how many operands"):
        register_op(lambda *xs: xs[0])
    with pytest.raises(ab.AutogradError, match="leaves nothing"):
        register_op(lambda x: x, domain=Domain(-0.05, 0.05, avoid=(0.0,)))
    with pytest.raises(ab.AutogradError, match="no check 'speed'"):
        register_op(lambda x: x, checks=["speed"])


def test_the_plugin_gives_the_fixture_and_the_marker(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import pytest, sys\n"
        "def test_lazy(): assert 'autograd_bn' not in sys.modules\n"
        "@pytest.mark.gradients(rtol=1e9)\n"
        "def test_loose(check_gradients):\n"
        "    import autograd_bn as ab\n"
        "    assert check_gradients(lambda x: x * ab.stop_gradient(x), 2.0, checks=['vjp']).ok\n"
        "def test_strict(check_gradients):\n"
        "    import autograd_bn as ab\n"
        "    check_gradients(lambda x: x * ab.stop_gradient(x), 2.0)\n"
        "def test_line(check_gradients):\n"
        "    import autograd_bn as ab\n"
        "    check_gradients(ab.stop_gradient, 2.0)  # the user's line\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "autograd_bn_pytest", "-p", "no:cacheprovider"]
    environment = {"PYTHONPATH": str(root), "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "the graph was cut by detach()" in done.stdout
    assert "autograd_bn_pytest.py" not in done.stdout


def test_importing_the_kit_does_not_import_hypothesis() -> None:
    code = "import sys, autograd_bn.testing; sys.exit('hypothesis' in sys.modules or 'pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_a_primitive_is_sampled_where_its_record_says(temporary: None) -> None:
    shifted = ab.primitives.unary("shifted_log", lambda x: np.log(x - 5), lambda x: 1 / (x - 5), domain=ab.primitives.Domain(6.0, 7.0))
    suite = ab.testing.register_op(shifted)
    assert all(((x >= 6) & (x <= 7)).all() for args in suite.calls.values() for x in args)
    assert all(suite.run(case).ok for case in suite.cases())
    assert any((x < 0).any() for args in ab.testing.register_op(ab.sin).calls.values() for x in args)


@pytest.mark.parametrize("wrong_for", [lambda x: x.dtype == np.float32, lambda x: x.shape == (1,)])
@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_rule_that_is_wrong_for_one_dtype_or_one_length_is_found(wrong_for: Any, factor: float, temporary: None) -> None:
    op = ab.primitives.unary("partly", lambda x: np.tanh(x), lambda x, out: (1 - out * out) * (factor if wrong_for(x) else 1.0))
    suite = register_op(op, checks=["vjp", "jvp"])
    reports = [ab.testing.check_gradients(op, *case.args, checks=[case.check], raises=False) for case in suite.cases()]
    assert {f.check for report in reports for f in report.findings} == (set() if factor == 1.0 else {"vjp", "jvp"})
