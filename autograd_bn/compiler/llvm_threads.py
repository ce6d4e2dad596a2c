"""The blocks of a kernel on several threads: each takes the next block until there is none.

The threads are there for one kernel, and joined at its end. To start one takes some ten microseconds, which a large kernel does not notice; in return there
is nothing that a fork could lose, no state that calls could share, and no thread that waits. Who computes a block makes no difference to it.
"""

from __future__ import annotations

from llvmlite import ir

from autograd_bn.compiler.llvm_scalar import INDEX, POINTER, WORD

MOST = 64
"""How many threads there are at most."""


def _at(builder: ir.IRBuilder, place: ir.Value, number: ir.Value | int) -> ir.Value:
    return builder.gep(place, [number if isinstance(number, ir.Value) else INDEX(number)], source_etype=INDEX)


def _library(module: ir.Module, name: str, *given: ir.Type) -> ir.Function:
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(WORD, given), name)


def _worker(block: ir.Function, count: int) -> ir.Function:
    """What each thread runs. It is given the number of the next block, and the pointers."""
    worker = ir.Function(block.module, ir.FunctionType(POINTER, [POINTER]), f"{block.name}s")
    worker.linkage = "internal"
    worker.attributes.add("noinline")
    (frame,) = worker.args
    builder = ir.IRBuilder(worker.append_basic_block())
    pointers = [builder.load(_at(builder, frame, k + 1), typ=POINTER) for k in range(len(block.args) - 1)]
    head, body, end = (worker.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    number = builder.atomic_rmw("add", frame, INDEX(1), "monotonic")
    builder.cbranch(builder.icmp_unsigned("<", number, INDEX(count)), body, end)
    builder.position_at_end(body)
    builder.call(block, [*pointers, number])
    builder.branch(head)
    builder.position_at_end(end)
    builder.ret(POINTER(None))
    return worker


def run(builder: ir.IRBuilder, variables: ir.IRBuilder, block: ir.Function, pointers: list[ir.Value], count: int, threads: ir.Value) -> None:
    """Run all blocks of a function, whose last parameter is the number of one, on at most so many threads, this one among them."""
    module, function, nothing = block.module, builder.function, POINTER(None)
    worker = _worker(block, count)
    frame = variables.alloca(INDEX, INDEX(len(pointers) + 1))
    handles = variables.alloca(INDEX, INDEX(MOST))
    builder.store(INDEX(0), frame)
    for k, pointer in enumerate(pointers):
        builder.store(builder.ptrtoint(pointer, INDEX), _at(builder, frame, k + 1))
    create, join = _library(module, "pthread_create", *[POINTER] * 4), _library(module, "pthread_join", INDEX, POINTER)
    most = INDEX(min(MOST, count) - 1)
    wanted = builder.sub(threads, INDEX(1))
    wanted = builder.select(builder.icmp_signed("<", wanted, most), wanted, most)
    starting, started, share, joining, joined, end = (function.append_basic_block() for _ in range(6))
    before = builder.block
    builder.branch(starting)
    builder.position_at_end(starting)
    number = builder.phi(INDEX)
    number.add_incoming(INDEX(0), before)
    builder.cbranch(builder.icmp_signed("<", number, wanted), started, share)
    builder.position_at_end(started)
    failed = builder.call(create, [_at(builder, handles, number), nothing, worker, frame])
    number.add_incoming(builder.add(number, INDEX(1)), started)
    builder.cbranch(builder.icmp_unsigned("==", failed, WORD(0)), starting, share)  # where there cannot be more, there are fewer
    builder.position_at_end(share)
    builder.call(worker, [frame])
    builder.branch(joining)
    builder.position_at_end(joining)
    other = builder.phi(INDEX)
    other.add_incoming(INDEX(0), share)
    builder.cbranch(builder.icmp_signed("<", other, number), joined, end)
    builder.position_at_end(joined)
    builder.call(join, [builder.load(_at(builder, handles, other), typ=INDEX), nothing])
    other.add_incoming(builder.add(other, INDEX(1)), joined)
    builder.branch(joining)
    builder.position_at_end(end)
