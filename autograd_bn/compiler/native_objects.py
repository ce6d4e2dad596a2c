"""The way in and out of native code: arrays are taken out of tensors and put into tensors by native functions, several in a call.

In Python each would take as long as a kernel takes for hundreds of numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from autograd_bn.compiler import objects
from autograd_bn.compiler.machine import Code, compiled_text, python_symbol
from autograd_bn.core.node import CONSTANT, Constant
from autograd_bn.core.tensor import Tensor

_SOURCE = """
declare ptr @{PyTuple_New}(i64)
declare ptr @{PyType_GenericAlloc}(ptr, i64)
declare void @{Py_IncRef}(ptr)
declare void @{Py_DecRef}(ptr)

define internal ptr @item(ptr %tuple, i64 %k) alwaysinline {{
  %items = getelementptr i8, ptr %tuple, i64 {ITEMS}
  %place = getelementptr ptr, ptr %items, i64 %k
  ret ptr %place
}}

define internal void @put(ptr %object, i64 %offset, ptr %value) alwaysinline {{
  call void @{Py_IncRef}(ptr %value)
  %place = getelementptr i8, ptr %object, i64 %offset
  store ptr %value, ptr %place
  ret void
}}

define ptr @values_of(ptr %self, ptr %args, i64 %count) {{
entry:
  %tensor.at = call ptr @item(ptr %self, i64 0)
  %tensor = load ptr, ptr %tensor.at
  %constant.at = call ptr @item(ptr %self, i64 1)
  %constant = load ptr, ptr %constant.at
  br label %look
look:
  %k = phi i64 [0, %entry], [%k.next, %next]
  %arg.at = getelementptr ptr, ptr %args, i64 %k
  %arg = load ptr, ptr %arg.at
  %type.at = getelementptr i8, ptr %arg, i64 {TYPE}
  %type = load ptr, ptr %type.at
  %is.tensor = icmp eq ptr %type, %tensor
  br i1 %is.tensor, label %inside, label %miss
inside:
  %node.at = getelementptr i8, ptr %arg, i64 {node}
  %node = load ptr, ptr %node.at
  %kind.at = getelementptr i8, ptr %node, i64 {TYPE}
  %kind = load ptr, ptr %kind.at
  %is.constant = icmp eq ptr %kind, %constant
  br i1 %is.constant, label %next, label %miss
next:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %count
  br i1 %more, label %look, label %made
made:
  %out = call ptr @{PyTuple_New}(i64 %count)
  %good = icmp ne ptr %out, null
  br i1 %good, label %fill, label %end
fill:
  %j = phi i64 [0, %made], [%j.next, %fill]
  %from.at = getelementptr ptr, ptr %args, i64 %j
  %from = load ptr, ptr %from.at
  %value.at = getelementptr i8, ptr %from, i64 {value}
  %value = load ptr, ptr %value.at
  %to = call ptr @item(ptr %out, i64 %j)
  call void @put(ptr %to, i64 0, ptr %value)
  %j.next = add i64 %j, 1
  %again = icmp ult i64 %j.next, %count
  br i1 %again, label %fill, label %end
end:
  ret ptr %out
miss:
  %none.at = call ptr @item(ptr %self, i64 2)
  %none = load ptr, ptr %none.at
  call void @{Py_IncRef}(ptr %none)
  ret ptr %none
}}

define ptr @tensors_of(ptr %self, ptr %args, i64 %count) {{
entry:
  %tensor.at = call ptr @item(ptr %self, i64 0)
  %tensor = load ptr, ptr %tensor.at
  %node.at = call ptr @item(ptr %self, i64 1)
  %node = load ptr, ptr %node.at
  %none.at = call ptr @item(ptr %self, i64 2)
  %none = load ptr, ptr %none.at
  %out = call ptr @{PyTuple_New}(i64 %count)
  %good = icmp ne ptr %out, null
  br i1 %good, label %one, label %end
one:
  %k = phi i64 [0, %entry], [%next, %fill]
  %new = call ptr @{PyType_GenericAlloc}(ptr %tensor, i64 0)
  %there = icmp ne ptr %new, null
  br i1 %there, label %fill, label %failed
fill:
  %value.at = getelementptr ptr, ptr %args, i64 %k
  %value = load ptr, ptr %value.at
  call void @put(ptr %new, i64 {value}, ptr %value)
  call void @put(ptr %new, i64 {node}, ptr %node)
  call void @put(ptr %new, i64 {base}, ptr %none)
  call void @put(ptr %new, i64 {views}, ptr %none)
  %to = call ptr @item(ptr %out, i64 %k)
  store ptr %new, ptr %to
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %one, label %end
end:
  ret ptr %out
failed:
  call void @{Py_DecRef}(ptr %out)
  ret ptr null
}}
"""


class NativeObjects(NamedTuple):
    """Each takes one or more, and gives a tuple.

    ``values_of(*tensors)`` are their arrays, or None if one of them is no Tensor or has another history than a Constant; ``tensors_of(*arrays)`` are constants.
    """

    values_of: Callable[..., tuple[Any, ...] | None]
    tensors_of: Callable[..., tuple[Any, ...]]


@functools.cache
def native_objects() -> NativeObjects:
    """The functions, compiled when they are first asked for."""
    symbols = {name: python_symbol(name) for name in ("PyTuple_New", "PyType_GenericAlloc", "Py_IncRef", "Py_DecRef")}
    places = {"ITEMS": objects.ITEMS, "TYPE": objects.TYPE, **objects.slots(Tensor, ("value", "node", "base", "views"))}
    code = Code(compiled_text(_SOURCE.format(**symbols, **places)))
    return NativeObjects(code.call("values_of", Tensor, Constant, None), code.call("tensors_of", Tensor, CONSTANT, None))
