"""Random numbers: functions of a state (a key and a count), so that the same state gives the same numbers wherever it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_bn.core.constructors import discrete
from autograd_bn.core.primitive import Primitive


def _random(name: str, label: str, draw: Callable[[Any, tuple[int, ...], Any], Any]) -> Primitive:
    """Numbers from the counter-based generator Philox, keyed by the last axis of the state: (key, count)."""

    def forward(state: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        single = np.dtype(dtype).itemsize < 8
        rows = [np.array((row[0], row[-1])).astype(np.uint64) for row in state.reshape((-1, state.shape[-1]))]
        drawn = [draw(np.random.Generator(np.random.Philox(key=key)), shape, np.float32 if single else np.float64) for key in rows]
        out = drawn[0] if state.ndim == 1 else np.reshape(drawn, (*state.shape[:-1], *shape))
        return out.astype(dtype, copy=False)

    primitive = discrete(
        name,
        forward,
        batch=lambda state, shape, dtype: primitive(state, shape=shape, dtype=dtype),
        shape=lambda state, shape, dtype: (*state.shape[:-1], *shape),
        label=label,
        example=lambda rng: [((rng.integers(1 << 40, size=2),), {"shape": shape, "dtype": np.dtype(dtype)}) for shape in ((2, 3), ()) for dtype in "fd"],
    )
    return primitive


uniform = _random("random_uniform", "U(0, 1)", lambda rng, shape, dtype: rng.random(shape, dtype))
normal = _random("random_normal", "N(0, 1)", lambda rng, shape, dtype: rng.standard_normal(shape, dtype))
