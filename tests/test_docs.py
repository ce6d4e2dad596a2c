"""The pages, the docstrings and the generated files say what is so.

Of a page every ``python`` block is run, page by page, in order, in one namespace and an empty directory. A ``text`` block
right after one is what it prints; ``python -m tests.test_docs docs/errors.md`` writes it anew.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import linecache
import pkgutil
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core import dispatch
from tests import stubs
from tests.registries import forgetting

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + [page for page in [ROOT / "README.md"] if page.exists()]
AWAITED: set[str] = set()
"""Public functions that have no example yet."""
EXPECTED_PAGES = {
    *("index", "getting-started", "batch-norm", "backward-step-by-step", "networks", "convolution", "training", "engine", "primitives", "performance"),
    *("coming-from", "drawing", "transforms", "in-place", "errors", "testing", "finding-mistakes"),
}
WITHOUT_CODE = {"performance"}
PUBLIC = ["", "nn", "nn.functional", "nn.init", "optim", "data", "train", "drawing", "transforms", "testing", "lab"]


# Pages


def page_name(page: Path) -> str:
    """A page's path without its suffix, for the names of tests."""
    return page.relative_to(ROOT).with_suffix("").as_posix()


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, and the line of the page that it starts on."""

    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """The fenced blocks in order."""
    found = []
    for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```\s*?$", page, re.MULTILINE | re.DOTALL):
        found.append(Block(match[1].strip(), match[2], page.count("\n", 0, match.start()) + 2))
    return found


def outputs(page: str) -> Iterator[tuple[Block, str, Block | None]]:
    """Run a page: each Python block, what it printed, and the ``text`` block that shows it."""
    found = blocks(page)
    space: dict[str, Any] = {"__name__": "__main__"}
    for i, block in enumerate(found):
        if block.language == "python":
            after = found[i + 1] if i + 1 < len(found) else None
            yield block, run(block, space, i), after if after is not None and after.language == "text" else None


def run(block: Block, space: dict[str, Any], number: int = 0) -> str:
    """What a block prints. In its output the block itself is ``example.py``, so that a line of another block is seen to be one."""
    file = f"example-{number}.py"
    linecache.cache[file] = (len(block.text), None, block.text.splitlines(keepends=True), file)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, file, "exec"), space)
    except BaseException as error:
        error.add_note(f"in the block at line {block.line} of the page")
        raise
    return printed.getvalue().replace(file, "example.py")


def check(page: str) -> int:
    """Run a page; gives the number of blocks that were run."""
    count = 0
    for block, printed, shown in outputs(page):
        assert trimmed(printed) == trimmed(shown.text if shown is not None else ""), f"the block at line {block.line} prints\n{printed}"
        count += 1
    return count


def rewritten(page: str) -> str:
    """The page with what its blocks print."""
    lines = page.split("\n")
    for _, printed, shown in reversed(list(outputs(page))):
        if shown is not None:
            lines[shown.line - 1 : shown.line - 1 + shown.text.count("\n")] = trimmed(printed)
    return "\n".join(lines)


def trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty current directory; at the end, print options are as before, and primitives that were made are forgotten."""
    monkeypatch.chdir(tmp_path)
    ufuncs = dict(dispatch._of_ufunc)
    with np.printoptions(), forgetting():
        yield
    dispatch._of_ufunc.clear()
    dispatch._of_ufunc.update(ufuncs)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_a_page_runs_and_prints_what_it_shows(page: Path, empty: None) -> None:
    assert check(page.read_text(encoding="utf-8")) or page.stem in WITHOUT_CODE or page.parent.name == "api"


def test_the_pages_are_there() -> None:
    assert {page.stem for page in PAGES} >= EXPECTED_PAGES


def test_a_wrong_output_a_missing_one_and_an_error_are_found(empty: None) -> None:
    good = "```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n```python\nx += 1\nprint(x)\n```\nand so\n```text\n2\n```\n"
    assert check(good) == 2
    assert rewritten(good.replace("\n2\n", "\n3\n4\n")) == good
    for wrong in (good.replace("\n2\n", "\n3\n"), good.split("and so")[0], good.replace("print", "y = "), good.replace("x += 1", "x += z")):
        with pytest.raises((AssertionError, NameError)):
            check(wrong)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_fence_is_closed_and_has_a_language(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = blocks(text)
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(found)
    languages = {block.language for block in found if not block.language.startswith("{")}
    assert languages <= {"python", "text", "sh", "dot", "bibtex"}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_to_files_of_the_repository_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_code_fits_the_width_of_a_page(page: Path) -> None:
    code = [line for block in blocks(page.read_text(encoding="utf-8")) if block.language in ("python", "sh") for line in block.text.split("\n")]
    assert [line for line in code if len(line) > 90] == []


def toctree(page: Path) -> list[Path]:
    """The pages below a page in the site's contents."""
    trees = [block.text for block in blocks(page.read_text(encoding="utf-8")) if block.language == "{toctree}"]
    return [page.parent / f"{line}.md" for tree in trees for line in tree.split("\n") if line and not line.startswith(":")]


def test_every_page_is_in_the_contents_once() -> None:
    reached = [DOCS / "index.md"]
    for page in reached:
        reached += toctree(page)
    assert sorted(reached) == sorted(DOCS.rglob("*.md")), "list the page in a toctree of docs/index.md"


def test_the_index_says_what_every_page_tells() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if page.stem != "index" and f"({page.name})" not in index] == []


# Names that pages speak of


def namespaces() -> list[str]:
    """Every public module: the package, and whatever module is a public name of one."""
    found = ["autograd_bn"]
    for name in found:
        here = importlib.import_module(name)
        found += [f"{name}.{n}" for n in getattr(here, "__all__", ()) if inspect.ismodule(getattr(here, n))]
    return found


def referenced() -> list[tuple[str, list[str]]]:
    """What the reference shows: a module, and the names of it, none meaning all."""
    pages = [blocks(page.read_text(encoding="utf-8")) for page in DOCS.glob("api/*.md")]
    return [(block.language.split()[1], block.text.split()) for found in pages for block in found if block.language.startswith("{names}")]


@pytest.mark.parametrize("namespace", namespaces())
def test_the_reference_has_every_public_name_once_and_no_other(namespace: str) -> None:
    shown = [names for module_name, names in referenced() if module_name == namespace]
    here = importlib.import_module(namespace)
    expected = [name for name in getattr(here, "__all__", ()) if not inspect.ismodule(getattr(here, name)) and not name.startswith("_")]
    if shown != [[]]:  # which is the whole module, as it is
        assert sorted(name for names in shown for name in names) == sorted(expected), f"list it in docs/api, in the names of {namespace}"


def test_the_reference_is_of_public_modules_only() -> None:
    assert {module_name for module_name, _ in referenced()} == set(namespaces())


def test_the_reference_keeps_what_a_docstring_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    monkeypatch.syspath_prepend(DOCS)
    reference = importlib.import_module("reference")
    lines = ["The *n*-th `f`.", "", "Parameters", "----------", "x", "    A |n|, ``a*b``.", "", "Returns x_.", "", "Examples", "--------", ">>> 2 * 3", "6"]
    reference.plain(None, "function", "f", None, None, lines)
    assert "\n".join(lines) == (
        "The \\*n\\*-th ``f``.\n\nReturns x\\_.\n\nParameters\n----------\nx\n    A \\|n\\|, ``a*b``.\n\nExamples\n--------\n>>> 2 * 3\n6"
    )
    lists = ["One.", "Parameters\n----------\nx\n    A.", "Attributes\n----------\ny\n    B.", "Returns z.", "Examples\n--------\n>>> 1"]
    assert reference.prose_first(lists) == [lists[0], lists[3], lists[1], lists[2], lists[4]]
    shown = {kind: reference.called(None, "class", kind.__name__, kind, None, "(*args, **kwargs)", None) for kind in (ab.nn.Linear, ab.nn.ReLU)}
    assert shown == {ab.nn.Linear: ("(in_features, out_features, bias=True, *, rng=None, dtype=np.float32)", None), ab.nn.ReLU: ("()", None)}
    assert reference.called(None, "class", "SGD", ab.optim.SGD, None, "(params)", None) is None
    assert reference.entry(ab, "amax")[0] == ".. py:function:: autograd_bn.amax"
    assert reference.entry(ab, "max") == [".. autofunction:: autograd_bn.max"]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_names_of_ours_in_a_pages_prose_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", prose):
        for dotted in re.findall(r"(?<![\w.])ab\.([A-Za-z_][\w.]*\w|\w)", code):
            value: Any = ab
            for part in dotted.split("."):
                assert hasattr(value, part), f"ab.{dotted}"
                value = getattr(value, part)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_code_that_a_page_includes_is_in_the_file(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language.startswith("{literalinclude}"):
            code = (page.parent / block.language.split()[1]).read_text(encoding="utf-8")
            marks = re.findall(r"^:(?:start-at|end-at|end-before): (.*)$", block.text, re.MULTILINE)
            names = re.findall(r"^:pyobject: (?:\w+\.)*(\w+)$", block.text, re.MULTILINE)
            assert marks or names
            assert [mark for mark in marks if mark.strip('"') not in code] == []
            assert [name for name in names if not re.search(rf"(def|class) {name}\b", code)] == []


# Docstrings


def module(name: str) -> ModuleType:
    return importlib.import_module(f"autograd_bn.{name}" if name else "autograd_bn")


def public(name: str) -> dict[str, Any]:
    """The public functions and classes of a module by qualified name."""
    found = module(name)
    names = getattr(found, "__all__", None)
    if names is None:
        names = [n for n, value in vars(found).items() if not n.startswith("_") and getattr(value, "__module__", None) == found.__name__]
    values = {f"{found.__name__}.{n}": getattr(found, n) for n in names}
    return {n: value for n, value in values.items() if callable(value)}


MODULES = [info.name for info in pkgutil.walk_packages(ab.__path__, "autograd_bn.") if not info.name.endswith(("__main__", "layout_process"))]


def everything() -> dict[str, str]:
    """Every docstring by name: of public functions, classes and their methods, and of all that doctest finds in any module."""
    names = {qualified: value for name in PUBLIC for qualified, value in public(name).items()}
    found = {qualified: value.__doc__ or "" for qualified, value in names.items()}
    for qualified, value in names.items():
        if inspect.isclass(value):
            for member in dir(value):
                attribute = inspect.getattr_static(value, member)
                if isinstance(attribute, (staticmethod, classmethod)):
                    attribute = attribute.__func__
                if callable(attribute) or isinstance(attribute, property):
                    found[f"{qualified}.{member}"] = attribute.__doc__ or ""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        with contextlib.suppress(ImportError):  # another test reports it
            for test in finder.find(importlib.import_module(name), name):
                found.setdefault(test.name, test.docstring or "")
    unique: dict[str, str] = {}
    for name, text in found.items():
        if ">>>" in text and text not in unique.values():
            unique[name] = text
    return unique


DOCSTRINGS = everything()


def run_examples(name: str, text: str) -> tuple[int, str]:
    """How many examples of a docstring fail, and the report."""
    report = io.StringIO()
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), {"__name__": "__main__"}, name, None, None)
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.write)
    return result.failed, report.getvalue()


@pytest.mark.parametrize("name", sorted(DOCSTRINGS))
def test_the_examples_of_a_docstring_run(name: str, empty: None) -> None:
    failed, report = run_examples(name, DOCSTRINGS[name])
    assert not failed, report


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_imported_and_says_what_it_is_for(name: str) -> None:
    found = importlib.import_module(name)
    assert found.__doc__ or not Path(found.__file__ or "").read_text(encoding="utf-8")


def test_a_wrong_docstring_is_found() -> None:
    assert run_examples("wrong", "One.\n\n    >>> 1 + 1\n    3\n")[0] == 1
    assert run_examples("right", "One.\n\n    >>> 1 + 1\n    2\n")[0] == 0


def test_the_examples_of_docstrings_fit_the_width_of_a_page() -> None:
    code = {line for text in DOCSTRINGS.values() for line in inspect.cleandoc(text).split("\n") if line.startswith((">>> ", "... "))}
    assert {line for line in code if len(line) > 86} == set()


def test_functions_made_by_constructors_are_among_those_run() -> None:
    assert {"autograd_bn.exp", "autograd_bn.add", "autograd_bn.relu"} <= set(DOCSTRINGS)
    assert any(name.endswith("Tensor.backward") for name in DOCSTRINGS)


def test_every_public_function_has_an_example() -> None:
    without = {qualified for name in PUBLIC for qualified, value in public(name).items() if not inspect.isclass(value) and ">>>" not in (value.__doc__ or "")}
    assert without == AWAITED


def test_every_public_name_has_a_docstring() -> None:
    assert {qualified for name in PUBLIC for qualified, value in public(name).items() if not (value.__doc__ or "").strip()} == set()


# Generated files


def test_the_declarations_of_tensors_methods_are_up_to_date() -> None:
    assert stubs.PATH.read_text(encoding="utf-8") == stubs.text(), "run python -m tests.stubs"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument).resolve()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), np.printoptions():
            new = rewritten(path.read_text(encoding="utf-8"))
        path.write_text(new, encoding="utf-8")
