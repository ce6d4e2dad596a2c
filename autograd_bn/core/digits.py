"""Numbers in small digits, below and above the line."""

from __future__ import annotations

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def subscript(number: int) -> str:
    """A number in small digits below the line."""
    return str(number).translate(_SUBSCRIPTS)


def superscript(number: int) -> str:
    """A number in small digits above the line."""
    return str(number).translate(_SUPERSCRIPTS)
