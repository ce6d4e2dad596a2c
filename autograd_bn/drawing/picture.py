"""The drawing that a user holds: a ``graphviz.Digraph`` that lays itself out with whichever engine there is."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import graphviz  # type: ignore[import-untyped, unused-ignore]

from autograd_bn.core.errors import DrawingError
from autograd_bn.drawing.layout import TIMEOUT, lay_out

SUFFIXES = (".svg", ".png", ".pdf", ".dot")


class Drawing(graphviz.Digraph):  # type: ignore[misc, unused-ignore]
    """A picture of a graph.

    ``source`` is its DOT text, ``pipe("svg")`` its bytes in a format, ``render()`` and ``write("bn.svg")`` make files, and a
    notebook shows it by itself. All of ``graphviz.Digraph`` works, but no ``dot`` program is needed.
    """

    def __init__(self, *args: Any, neato_no_op: int | None = None, timeout: float | None = TIMEOUT, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.neato_no_op = neato_no_op
        self.timeout = timeout

    def _copy_kwargs(self, **kwargs: Any) -> Any:
        return super()._copy_kwargs(**kwargs) | {"neato_no_op": self.neato_no_op, "timeout": self.timeout}

    def pipe(  # type: ignore[override, unused-ignore]
        self,
        format: str | None = None,  # noqa: A002 - graphviz's name
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        *,
        engine: str | None = None,
        encoding: str | None = None,
    ) -> bytes | str:
        """The picture as bytes, or as text if an encoding is given (for svg and the like).

        Parameters are those of ``graphviz.Digraph.pipe``; ``quiet`` has nothing to do, as nothing is printed.

        Raises DrawingError if it cannot be laid out, ValueError for an unknown engine or format.
        """
        form = (format or self.format).lower()
        layout = (engine or self.engine).lower()
        if form not in graphviz.FORMATS:
            raise ValueError(f"unknown format {form!r}; common ones are svg, png and pdf")
        if layout not in graphviz.ENGINES:
            raise ValueError(f"unknown layout {layout!r}; there are {', '.join(sorted(graphviz.ENGINES))}")
        no_op = self.neato_no_op if neato_no_op is None else int(neato_no_op)
        if layout == "neato" and no_op:
            layout = "nop2" if no_op == 2 else "nop"
        for part in (renderer, formatter):
            form += f":{part}" if part else ""
        picture = lay_out(self.source, form, layout=layout, timeout=self.timeout)
        if encoding is None:
            return picture
        return codecs.decode(picture, encoding)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, bytes | str]:
        """What a notebook shows: the picture, or why there is none."""
        try:
            found: dict[str, bytes | str] = super()._repr_mimebundle_(include, exclude, **options)
        except DrawingError as error:
            return {"text/plain": str(error)}
        return found

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,  # noqa: A002 - graphviz's name
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        quiet_view: bool = False,
        *,
        outfile: str | os.PathLike[str] | None = None,
        engine: str | None = None,
        raise_if_result_exists: bool = False,
        overwrite_source: bool = False,
    ) -> str:
        """Write the DOT text to ``filename`` and the picture beside it; returns the picture's path.

        Parameters are those of ``graphviz.Digraph.render``. Raises DrawingError if it cannot be laid out or written.
        """
        if outfile is not None and format is None:
            format = Path(outfile).suffix.lstrip(".") or None  # noqa: A001 - graphviz's name
        form = (format or self.format).lower()
        if outfile is not None:
            target = Path(outfile) if directory is not None or not self.directory else Path(self.directory, outfile)
            if filename is None:
                filename = target.with_suffix(f".{self._default_extension}").name
                directory = target.parent if directory is None else directory
        picture = self.pipe(form, renderer, formatter, neato_no_op, quiet, engine=engine)
        assert isinstance(picture, bytes)
        try:
            saved = self.save(filename, directory=directory)
        except OSError as error:
            raise _unwritable(filename or self.filepath, error, self.source) from error
        if outfile is None:
            parts = [part for part in (formatter, renderer, form) if part]
            target = Path(f"{saved}.{'.'.join(parts)}")
        if not overwrite_source and target.absolute() == Path(saved).absolute():
            raise ValueError(f"outfile {str(target)!r} is also the DOT text's file; use another name, or overwrite_source=True")
        if raise_if_result_exists and target.exists():
            raise graphviz.FileExistsError(f"{target} exists already")
        write_file(target, picture, self.source)
        if cleanup and target.absolute() != Path(saved).absolute():
            os.remove(saved)
        if view or quiet_view:
            graphviz.view(str(target), quiet=quiet_view)
        return str(target)

    def write(self, file: str | os.PathLike[str]) -> None:
        """Write the picture in the format that the file's suffix says: .svg, .png, .pdf, or .dot for the text.

        Raises DrawingError for another suffix, if it cannot be laid out, or if the file cannot be written.
        """
        path = checked(file)
        suffix = path.suffix.lower()
        picture = self.source.encode() if suffix == ".dot" else self.pipe(suffix[1:])
        assert isinstance(picture, bytes)
        write_file(path, picture, self.source)


def checked(file: str | os.PathLike[str], others: Sequence[str] = ()) -> Path:
    """The path of a file whose suffix names a format of a picture, or is one of ``others``."""
    path = Path(file)
    suffixes = (*SUFFIXES, *others)
    if path.suffix.lower() not in suffixes:
        given = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise DrawingError(f"cannot draw to {str(path)!r}: {given}; a drawing is written as {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    return path


def write_file(path: Path, content: bytes, source: str = "") -> None:
    """Write, or raise a DrawingError with the DOT text."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _unwritable(path, error, source) from error


def _unwritable(path: str | os.PathLike[str], error: OSError, source: str) -> DrawingError:
    return DrawingError(f"cannot write {os.fspath(path)!r}: {error.strerror or error}", source)
