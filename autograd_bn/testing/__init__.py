"""Checks of derivatives, for this engine's operations and for anyone's. Hypothesis is imported only where it is used."""

import importlib
from typing import TYPE_CHECKING, Any

from autograd_bn.core.namespaces import curated
from autograd_bn.testing.gradients import (
    check_accumulation,
    check_aliasing,
    check_checkpoint,
    check_determinism,
    check_dtype_and_shape,
    check_gradients,
    check_graph_invariance,
    check_jit,
    check_jvp,
    check_linearity,
    check_modes_agree,
    check_second_order,
    check_unchanged,
    check_vjp,
    check_vmap,
)
from autograd_bn.testing.registering import OperationSuite, register_op
from autograd_bn.testing.report import Finding, GradientCheckError, Report

if TYPE_CHECKING:
    from autograd_bn.testing import program, program_oracle, stateful, strategies

_LATER = ("program", "program_oracle", "stateful", "strategies")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        try:
            return importlib.import_module(f"autograd_bn.testing.{name}")
        except ImportError as error:  # help() and completion pass over what is no attribute
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module 'autograd_bn.testing' has no attribute {name!r}")


curated(__name__)
__all__ = [
    "Finding",
    "GradientCheckError",
    "OperationSuite",
    "Report",
    "check_accumulation",
    "check_aliasing",
    "check_checkpoint",
    "check_determinism",
    "check_dtype_and_shape",
    "check_gradients",
    "check_graph_invariance",
    "check_jit",
    "check_jvp",
    "check_linearity",
    "check_modes_agree",
    "check_second_order",
    "check_unchanged",
    "check_vjp",
    "check_vmap",
    "program",
    "program_oracle",
    "register_op",
    "stateful",
    "strategies",
]
