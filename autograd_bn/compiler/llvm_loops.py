"""Notes for LLVM on loops, which llvmlite has no way to write."""

from __future__ import annotations

import re

LOOP = "autograd_bn.loop"
"""The text of the metadata that stands for the notes until the module is text."""

_NOTES = ('!"llvm.loop.unroll.disable"',)
"""Short loops would be unrolled before they are vectorised, and stay scalar."""


def with_loop_notes(text: str) -> str:
    """A module's text with the notes in the place of what stands for them: a node that names itself, as LLVM wants it."""

    def noted(match: re.Match[str]) -> str:
        own = match[1]
        return f"{own} = distinct !{{ {', '.join([own, *(f'!{{ {note} }}' for note in _NOTES)])} }}"

    return re.sub(rf'(!\d+) = !{{ !"{re.escape(LOOP)}" }}', noted, text)
