"""Histograms as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from qrmi.errors import QrmiError

__all__ = ["Panel", "draw"]

_MOST_BARS = 8
_COLOURS = ("#5b4bd6", "#4f9a2f", "#d9643a")
_INK = "#222222"


@attrs.frozen(kw_only=True)
class Panel:
    """One histogram of the picture.

    Attributes:
        title: stands above it.
        caption: stands below it.
        counts: outcomes and how often each was seen.
    """

    title: str
    caption: str
    counts: Mapping[str, int]


def draw(path: Path, panels: Sequence[Panel], *, heading: str) -> None:
    """Draw the panels side by side into a file; its suffix names the format, PNG without one.

    Raises:
        QrmiError: the file cannot be written, or matplotlib does not know the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(panels), 4.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(heading, fontsize=13, color=_INK)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    rows = max(_rows(panel) for panel in panels)
    for index, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        _draw_panel(axis, panel, _COLOURS[index % len(_COLOURS)])
        middle = (_rows(panel) - 1) / 2
        axis.set_ylim(middle + rows / 2, middle - rows / 2)  # bars of one height in all panels
    try:
        figure.savefig(path, format=path.suffix.lstrip(".").lower() or "png")
    except (OSError, ValueError) as error:
        raise QrmiError(
            f"cannot write the plot {path}: {error}", hint="choose another file"
        ) from error


def _rows(panel: Panel) -> int:
    """Bars of a panel; the outcomes beyond `_MOST_BARS` share one."""
    return min(len(panel.counts), _MOST_BARS + 1)


def _draw_panel(axis: Any, panel: Panel, colour: str) -> None:
    total = sum(panel.counts.values())
    ranked = sorted(panel.counts.items(), key=lambda item: (-item[1], item[0]))
    names = [name for name, _ in ranked[:_MOST_BARS]]
    shares = [100 * n / total for _, n in ranked[:_MOST_BARS]]
    rest = sum(n for _, n in ranked[_MOST_BARS:])
    if rest:
        names.append(f"{len(ranked) - _MOST_BARS} others")
        shares.append(100 * rest / total)
    colours = [colour] * min(len(ranked), _MOST_BARS) + ["#b8b8b8"] * bool(rest)
    bars = axis.barh(range(len(names)), shares, color=colours, height=0.72)
    axis.bar_label(bars, labels=[f"{share:.1f} %" for share in shares], padding=3, fontsize=9)
    axis.set_yticks(range(len(names)), names, family="monospace", fontsize=10)
    axis.set_xlim(0, max(shares) * 1.22)
    axis.set_title(panel.title, fontsize=10.5, color=_INK)
    axis.set_xlabel(f"share of {total:,} shots ({panel.caption})", fontsize=8.5, color="#555555")
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.grid(axis="x", color="#e6e6e6")
    axis.set_axisbelow(True)
