"""The colours of drawings, by theme."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from autograd_bn.core.errors import DrawingError

ThemeName = Literal["light", "dark", "print", "colorblind"]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as #rrggbb, or as Graphviz names them.

    Attributes
    ----------
    paper, ink, muted
        The ground, and text on it.
    forward, back, back_text, back_head
        Arrows that lead forward and back, text about gradients, and Graphviz's name of the heads of the arrows back.
    card, leaf, leaf_line, constant, constant_line, scope
        Boxes of operations, leaves, constants and closed scopes.
    shades, shade_line
        Clusters, alternating with their depth.
    scale
        Colours of a quantity from little to much: what vanishes fades into the paper.
    alarm, zero
        Of what is not finite, and of exactly 0.
    """

    paper: str
    ink: str
    muted: str
    forward: str
    back: str
    back_text: str
    back_head: str
    card: str
    leaf: str
    leaf_line: str
    constant: str
    constant_line: str
    scope: str
    shades: tuple[str, str]
    shade_line: str
    scale: tuple[str, ...]
    alarm: str
    zero: str

    def at(self, share: float) -> str:
        """The colour of the scale at a share from 0 to 1."""
        place = min(max(share, 0.0), 1.0) * (len(self.scale) - 1)
        step = min(int(place), len(self.scale) - 2)
        low, high = _channels(self.scale[step]), _channels(self.scale[step + 1])
        return "#" + "".join(f"{round(a + (b - a) * (place - step)):02x}" for a, b in zip(low, high, strict=True))

    def over(self, fill: str) -> Theme:
        """The theme for text on a coloured ground: as it is, or black or white alone where that would be hard to read."""
        if min(contrast(text, fill) for text in (self.ink, self.muted, self.back_text)) >= READABLE:
            return self
        ink = max(("#000000", "#ffffff"), key=lambda text: contrast(text, fill))
        return replace(self, ink=ink, muted=ink, back_text=ink)


READABLE = 4.5
"""The contrast that WCAG 2 asks of small text."""


def contrast(one: str, other: str) -> float:
    """The ratio of luminances by WCAG 2, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (channel / 255 for channel in _channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


_LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    muted="#59636e",
    forward="black",
    back="red",
    back_text="#b3121d",
    back_head="normal",
    card="#ffffff",
    leaf="#dceafa",
    leaf_line="#3b6ea5",
    constant="#f0f0f0",
    constant_line="#8c959f",
    scope="#e9edf1",
    shades=("#f6f8fa", "#eef1f4"),
    shade_line="#d0d7de",
    scale=("#ffffff", "#fdecc8", "#fdc574", "#f68b45", "#d7402b", "#8f0d22"),
    alarm="#c026d3",
    zero="#b6d7f2",
)
_DARK = Theme(
    paper="#0e1216",
    ink="#e9edf1",
    muted="#a3aeba",
    forward="#c6ced6",
    back="#ff6b76",
    back_text="#ff9aa1",
    back_head="normal",
    card="#1a2027",
    leaf="#13283f",
    leaf_line="#62a8ea",
    constant="#14181d",
    constant_line="#66727f",
    scope="#262e37",
    shades=("#151a20", "#1b2129"),
    shade_line="#36404b",
    scale=("#0e1216", "#3b1d2e", "#7c2333", "#c8452d", "#f08a2c", "#fbd45a"),
    alarm="#e15bf0",
    zero="#1f4d77",
)
_PRINT = replace(
    _LIGHT,
    ink="#000000",
    muted="#444444",
    back="#555555",
    back_text="#000000",
    back_head="empty",
    leaf="#e8e8e8",
    leaf_line="#000000",
    constant="#ffffff",
    constant_line="#777777",
    scope="#f2f2f2",
    shades=("#ffffff", "#ffffff"),
    shade_line="#777777",
    scale=("#ffffff", "#222222"),
    alarm="#000000",
    zero="#ffffff",
)
# After M. Okabe and K. Ito, "Color Universal Design" (2008): vermilion and blue stay apart for every kind of colour vision.
_COLORBLIND = replace(
    _LIGHT,
    back="#d55e00",
    back_text="#a34700",
    leaf="#d4e9f7",
    leaf_line="#0072b2",
    scale=("#ffffff", "#fdea9a", "#c9b458", "#7f7f78", "#3f5673", "#00204d"),
    alarm="#cc79a7",
    zero="#56b4e9",
)
_THEMES: dict[str, Theme] = {"light": _LIGHT, "dark": _DARK, "print": _PRINT, "colorblind": _COLORBLIND}


def theme_named(name: str) -> Theme:
    """A theme by its name; DrawingError for another."""
    if name not in _THEMES:
        raise DrawingError(f"no theme is named {name!r}; there are {', '.join(map(repr, get_args(ThemeName)))}")
    return _THEMES[name]
