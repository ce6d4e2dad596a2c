"""Run as a program of its own: DOT on standard input, the picture on standard output, by pygraphviz's bundled Graphviz.

It must import nothing of this package, so that it starts fast and works whatever state its parent is in.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Lay out with the given program in the given format; pygraphviz is looked for in the given folder too."""
    layout, form, folder = sys.argv[1:]
    sys.path.append(folder)
    import pygraphviz  # type: ignore[import-untyped, unused-ignore]

    source = sys.stdin.buffer.read().decode()
    picture = pygraphviz.AGraph(string=source).draw(format=form, prog=layout)
    sys.stdout.buffer.write(picture)


if __name__ == "__main__":
    main()
