"""The exceptions of the engine, each also a kind of the built-in that Python users expect to catch."""

from __future__ import annotations


class AutogradError(Exception):
    """Base of every error that the engine raises on purpose."""


class ShapeError(AutogradError, ValueError):
    """Operands, seeds or parameters whose shapes do not fit together."""


class DtypeError(AutogradError, TypeError):
    """A dtype that the operation, or differentiation, does not accept."""


class GradientError(AutogradError, RuntimeError):
    """A gradient that cannot be computed: no path, a freed graph, a missing seed."""


class ConversionError(GradientError, TypeError):
    """A conversion to Python or NumPy that would silently drop a gradient."""


class MutationError(AutogradError, RuntimeError):
    """A write in place that would make a gradient wrong."""


class RuleError(AutogradError, RuntimeError):
    """A primitive's rule returned the wrong number of cotangents, or a wrong shape."""


class AnomalyError(AutogradError, FloatingPointError):
    """Inside ``anomaly_mode()``: the first NaN or infinity, with the operation that made it."""


class TraceError(AutogradError, TypeError):
    """Inside ``ab.jit``: the function needs a value that a trace does not have, or does what a trace cannot repeat."""


class OperationError(AutogradError, ValueError):
    """An operation that was called with arguments it cannot take."""


class DrawingError(AutogradError, RuntimeError):
    """A drawing that could not be laid out or written; ``dot`` holds the DOT text."""

    def __init__(self, message: str, dot: str = "") -> None:
        super().__init__(message)
        self.dot = dot
