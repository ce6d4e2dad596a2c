"""Loops of a counter, and notes for LLVM on loops, which llvmlite has no way to write."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from autograd_bn.compiler.llvm_scalar import INDEX

LOOP = "autograd_bn.loop"
"""The text of the metadata that stands for the notes until the module is text."""

SINGLE = "autograd_bn.loop.single"
"""Stands for the notes on a loop whose turns are to take one vector each."""

MASKED = "autograd_bn.loop.masked"
"""Stands for the notes on such a loop whose last turn is to take part of a vector; written turn by turn, so that only that one has a mask."""

# Short loops would be unrolled before they are vectorised, and stay scalar.
_WHOLE = '!"llvm.loop.unroll.disable"'
_ONE = '!"llvm.loop.interleave.count", i32 1'
_NOTES = {
    LOOP: (_WHOLE,),
    SINGLE: (_WHOLE, _ONE),
    MASKED: (_WHOLE, _ONE, '!"llvm.loop.vectorize.predicate.enable", i1 1', '!"llvm.loop.vectorize.followup_all", !{ !"llvm.loop.unroll.full" }'),
}


def with_loop_notes(text: str) -> str:
    """A module's text with the notes in the place of what stands for them: a node that names itself, as LLVM wants it."""

    def noted(match: re.Match[str]) -> str:
        own = match[1]
        return f"{own} = distinct !{{ {', '.join([own, *(f'!{{ {note} }}' for note in _NOTES[match[2]])])} }}"

    return re.sub(rf'(!\d+) = !{{ !"({"|".join(map(re.escape, _NOTES))})" }}', noted, text)


def counted(builder: ir.IRBuilder, size: int, emit: Callable[[ir.IRBuilder, ir.Value], Any]) -> None:
    """A loop of a counter below ``size``; the builder goes on after it."""
    head, after = builder.append_basic_block(), builder.append_basic_block()
    before = builder.block
    builder.branch(head)
    inside = ir.IRBuilder(head)
    counter = inside.phi(INDEX)
    emit(inside, counter)
    following = inside.add(counter, INDEX(1), flags=("nuw", "nsw"))
    counter.add_incoming(INDEX(0), before)
    counter.add_incoming(following, inside.block)
    inside.cbranch(inside.icmp_unsigned("<", following, INDEX(size)), head, after)
    builder.position_at_end(after)
