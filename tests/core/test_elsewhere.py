"""Names of other libraries: what an AttributeError says must exist, and what it is said for must not."""

from __future__ import annotations

import copy
import functools
import pickle
import re

import pytest

import autograd_bn as ab
from autograd_bn.core.elsewhere import INSTEAD

OWNERS = {"autograd_bn": ab, "Tensor": ab.tensor([1.0]), "nn": ab.nn, "nn.functional": ab.nn.functional, "optim": ab.optim, "data": ab.data}
ENTRIES = [(owner, name, instead) for owner, names in INSTEAD.items() for name, instead in names.items()]


@pytest.mark.parametrize(("owner", "name", "instead"), ENTRIES)
def test_each_name_is_not_here_and_what_is_named_instead_is(owner: str, name: str, instead: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(OWNERS[owner], name)
    assert str(error.value).endswith(f"has no attribute {name!r}; instead: {instead}")
    for path in re.findall(r"\bab\.([\w.]*\w)", instead):
        functools.reduce(getattr, path.split("."), ab)
    for attribute in re.findall(r"\bx\.(\w+)", instead):
        getattr(OWNERS["Tensor"], attribute)


def test_each_part_of_the_table_has_names() -> None:
    assert set(INSTEAD) == set(OWNERS) and all(INSTEAD.values())


def test_methods_that_write_in_place_are_told_how_tensors_are_written() -> None:
    with pytest.raises(AttributeError, match=r"'mul_'; instead: .*ab\.assign"):
        ab.tensor([1.0]).mul_(2.0)  # type: ignore[attr-defined]


def test_other_names_are_left_to_pythons_own_suggestions() -> None:
    for owner in OWNERS.values():
        with pytest.raises(AttributeError, match="has no attribute 'reshap'$") as error:
            owner.reshap  # type: ignore[attr-defined]  # noqa: B018
        assert error.value.name == "reshap" and error.value.obj is owner


def test_tensors_are_copied_and_pickled_as_ever() -> None:
    x = ab.tensor([1.0, 2.0])
    for made in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert made.tolist() == [1.0, 2.0]
    assert not hasattr(x, "__cuda_array_interface__")
