"""Notes for LLVM on loops, which llvmlite has no way to write."""

from __future__ import annotations

import re

LOOP = "autograd_bn.loop"
"""The text of the metadata that stands for the notes until the module is text."""

SINGLE = "autograd_bn.loop.single"
"""Stands for the notes on a loop whose turns are to take one vector each."""

_NOTES = {
    # Short loops would be unrolled before they are vectorised, and stay scalar.
    LOOP: ('!"llvm.loop.unroll.disable"',),
    SINGLE: ('!"llvm.loop.unroll.disable"', '!"llvm.loop.interleave.count", i32 1'),
}


def with_loop_notes(text: str) -> str:
    """A module's text with the notes in the place of what stands for them: a node that names itself, as LLVM wants it."""

    def noted(match: re.Match[str]) -> str:
        own = match[1]
        return f"{own} = distinct !{{ {', '.join([own, *(f'!{{ {note} }}' for note in _NOTES[match[2]])])} }}"

    return re.sub(rf'(!\d+) = !{{ !"({"|".join(map(re.escape, _NOTES))})" }}', noted, text)
