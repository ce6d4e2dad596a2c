"""The directive ``names``: the reference of public names, from their docstrings. And pictures are links to themselves in full size.

Its argument is a module, its content the names to show, in that order; without a content it shows all that the module makes public,
grouped by the files they are defined in. Docstrings are plain text with ``code`` or `code`, not markup.
"""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature

import autograd_bn


def public(module: ModuleType) -> list[str]:
    """The public names of a module that are no modules themselves."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if getattr(vars(module)[name], "__module__", None) == module.__name__]
    return [name for name in names if not name.startswith("_") and not inspect.ismodule(getattr(module, name))]


def grouped(module: ModuleType) -> dict[str, list[str]]:
    """The public names by the first sentence of the file that defines them, in the order of ``__all__``."""
    groups: dict[str, list[str]] = {}
    for name in public(module):
        home = importlib.import_module(getattr(getattr(module, name), "__module__", module.__name__))
        title = "" if home is module else (home.__doc__ or "").strip().split("\n")[0].split(":")[0].rstrip(".")
        groups.setdefault(title, []).append(name)
    return groups


class Names(Directive):
    """See the module."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The nodes of autodoc for each name."""
        module = importlib.import_module(self.arguments[0])
        names = " ".join(self.content).split()
        lines: list[str] = []
        for title, group in ({"": names} if names else grouped(module)).items():
            lines += [f".. rubric:: {title}", ""] if title else []
            for name in group:
                lines += [*entry(module, name), ""]
        container = nodes.container()
        content = StringList(["```{eval-rst}", *lines, "```"], source=self.arguments[0])
        self.state.nested_parse(content, self.content_offset, container)
        return container.children


def entry(module: ModuleType, name: str) -> list[str]:
    """The lines that show one name."""
    value = getattr(module, name)
    full = f"{module.__name__}.{name}"
    own = getattr(value, "__name__", name)
    if own != name and own in public(module):
        return [f".. py:function:: {full}", "", f"   Another name of :py:obj:`{own} <{module.__name__}.{own}>`."]
    if module is not autograd_bn and name in autograd_bn.__all__ and getattr(autograd_bn, name) is value:
        return [f".. py:function:: {full}", "", f"   The same as :py:obj:`ab.{name} <autograd_bn.{name}>`."]
    if isinstance(value, type) and issubclass(value, BaseException):
        return [f".. autoexception:: {full}"]
    if inspect.isclass(value):
        return [f".. autoclass:: {full}", "   :members:"]
    return [f".. autofunction:: {full}"] if callable(value) else [f".. autodata:: {full}", "   :no-value:"]


def plain(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Escape what would be markup in a docstring, outside of its code and its examples; bring prose between its sections before them."""
    for i, line in enumerate(lines):
        lines[i] = line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
        if not re.match(r"\s*(>>>|\.\.\.)|\s*(:|\.\.) ?\w+", line):
            parts = re.split(r"(``.*?``)", line)
            lines[i] = "".join(part if k % 2 else re.sub(r"(?<!\\)([*|`]|_(?!\w))", r"\\\1", part) for k, part in enumerate(parts))
    lines[:] = "\n\n".join(prose_first("\n".join(lines).split("\n\n"))).split("\n")


def prose_first(paragraphs: list[str]) -> list[str]:
    """Paragraphs with those that end the lists of parameters and attributes ("Returns …", "Raises …") before those lists."""
    first = next((i for i, text in enumerate(paragraphs) if re.match(r"(Parameters|Attributes)\n-", text)), len(paragraphs))
    last = next((i for i, text in enumerate(paragraphs) if i > first and re.match(r"(?!Parameters|Attributes)\w+\n-", text)), len(paragraphs))
    body = paragraphs[first:last]
    prose = [text for text in body if not re.search(r"^( |-)", text, re.MULTILINE)]
    return [*paragraphs[:first], *prose, *(text for text in body if text not in prose), *paragraphs[last:]]


def called(app: Sphinx, what: str, name: str, value: Any, options: Any, arguments: str | None, result: str | None) -> tuple[str | None, str | None] | None:
    """How a class is called: as its ``__init__`` says, where autodoc takes a ``__new__`` of a base first."""
    if what != "class" or issubclass(value, BaseException) or value.__new__ is object.__new__:
        return None
    if value.__init__ is object.__init__:
        return ("()", None) if arguments == "(*args, **kwargs)" else None
    init = inspect.signature(value.__init__)
    shown = init.replace(parameters=list(init.parameters.values())[1:])
    text = stringify_signature(shown, show_annotation=False, show_return_annotation=False)
    return re.sub(r"<class 'numpy\.(\w+)'>", r"np.\1", text), None


def short(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Names as they are written after ``import autograd_bn as ab``."""
    for prefix in doctree.findall(addnodes.desc_addname):
        text = prefix.astext()
        if text.startswith("autograd_bn."):
            prefix.children = [nodes.Text("ab." + text.removeprefix("autograd_bn."))]


def enlarged(app: Sphinx, tree: nodes.document, page: str) -> None:
    """A picture that leads nowhere else leads to its own file, where it has its full size."""
    for image in list(tree.findall(nodes.image)):
        if not isinstance(image.parent, nodes.reference) and image["uri"] in app.env.images:
            file = "../" * page.count("/") + f"_images/{app.env.images[image['uri']][1]}"
            link = nodes.reference("", "", internal=True, refuri=file)
            image.replace_self(link)
            link += image


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_directive("names", Names)
    app.connect("autodoc-process-docstring", plain, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", called)
    app.connect("doctree-resolved", short)
    app.connect("doctree-resolved", enlarged)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
