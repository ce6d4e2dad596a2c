"""The pytest plugin: a fixture and a marker. It lies outside the package, so that pytest starts without importing the engine.

``check_gradients`` is the fixture; ``@pytest.mark.gradients(rtol=…, elements=…, seed=…)`` sets what it takes in one test, class or module.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", "gradients(**settings): what the fixture check_gradients takes unless the test says otherwise")


@pytest.fixture
def check_gradients(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``autograd_bn.testing.check_gradients``, with the settings of the ``gradients`` marker."""
    from autograd_bn.testing import check_gradients as check

    settings: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("gradients"))):
        settings.update(marker.kwargs)

    return functools.partial(check, **settings)  # which has no line of its own between the user's and the function
