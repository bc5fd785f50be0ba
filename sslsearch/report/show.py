"""How the page shows figures: numbers as text, intervals on a scale, figures as SVG."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from sslsearch import plots
from sslsearch.report.study import number

MINUS = "−"
COORDINATE = r"(?<=[ \"(,\n])-?\d+\.\d{5,}(?=[ \"),\n])"  # in a path, a place; no text begins so


@dataclass(frozen=True)
class Scale:
    """Where a value lies between the least and the greatest of a column, in percent."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[Any], room: float = 0.04) -> Scale:
        known = [x for value in values if math.isfinite(x := number(value))]
        if not known:
            return cls(0.0, 1.0)
        low, high = min(known), max(known)
        more = room * (high - low) or abs(high) * room or 1.0
        return cls(low - more, high + more)

    def at(self, value: Any) -> float:
        place = 100 * (number(value) - self.low) / (self.high - self.low)
        return round(min(100.0, max(0.0, place)), 2)


def fixed(value: Any) -> str:
    figure = number(value)
    return f"{figure:.3f}".replace("-", MINUS) if math.isfinite(figure) else "–"


def signed(value: Any) -> str:
    figure = number(value)
    return f"{figure:+.3f}".replace("-", MINUS) if math.isfinite(figure) else "–"


def whole(value: Any) -> str:
    figure = number(value)
    return f"{figure:,.0f}" if math.isfinite(figure) else "–"


def percent(value: Any) -> str:
    figure = number(value)
    return f"{100 * figure:.0f} %" if math.isfinite(figure) else "–"


def took(value: Any) -> str:
    seconds = number(value)
    if not math.isfinite(seconds):
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def short(value: Any) -> str:
    """Three digits, as a knob is written."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


FILTERS = (fixed, signed, whole, percent, took, short)


def svg(figure: Figure, says: str) -> Markup:
    """A figure as SVG on a clear ground, its ink following the page's colour; `says` is what a
    reader who does not see it is told."""
    page = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sslsearch"}):
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None})
    text = page.getvalue()
    text = text[text.index("<svg") :]  # without the XML header, which HTML does not know
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(COORDINATE, lambda found: f"{float(found.group()):.2f}", text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(says)}"', 1)
    return Markup(text.replace(plots.INK.lower(), "currentColor"))


def png(path: Path) -> str:
    """A picture as a data address; empty where there is none."""
    if not path.exists():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
