"""How a chart is drawn: its colours, and its specification as a still picture and as a script for the page."""

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

# A role's colour on a light ground and on a dark one. Charts are written in the light ones; the page's style sheet
# puts the dark ones in their place, which takes that no two roles share a light colour. After Okabe and Ito, whose
# colours stay apart for the colour-blind; nothing is said by colour alone.
PALETTE: Mapping[str, tuple[str, str]] = {
    "ground": ("#ffffff", "#1a2029"),
    "ink": ("#1d2430", "#e7eaee"),
    "soft": ("#59636f", "#a3adb8"),
    "line": ("#dcdfe3", "#323b47"),
    "accent": ("#0067a8", "#6cb6ee"),
    "range": ("#b5d5ec", "#2b4d6b"),
    "bad": ("#c24a00", "#ff9a52"),
    "worst": ("#8f1414", "#ff6b6b"),
    "undone": ("#a0448a", "#e08fce"),
    "dim": ("#8a929c", "#7f8a96"),
    "gap": ("#fff5df", "#2c2517"),
    "gap-line": ("#a87a1f", "#d9a93f"),
    "few": ("#e9ebee", "#2a323d"),
    "level-0": ("#eef6fb", "#1f2a35"),
    "level-1": ("#fbe6d4", "#4a3020"),
    "level-2": ("#f6c9a3", "#6e3f1d"),
    "level-3": ("#ec9f62", "#97531c"),
    "level-4": ("#d56a1e", "#c9681a"),
    "level-5": ("#8c3000", "#ffb27a"),
    "level-ink": ("#fffffe", "#12161c"),
}
LIGHT: Mapping[str, str] = {role: colours[0] for role, colours in PALETTE.items()}

# The one font that the drawing library carries itself: the same bytes on every machine.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

_THEME: Mapping[str, Any] = {
    "aria": False,  # the page names each chart, and has its numbers in a table
    "background": LIGHT["ground"],
    "font": FONT,
    "padding": 6,
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "frame": "group",
        "color": LIGHT["ink"],
        "fontSize": 15,
        "fontWeight": 600,
        "subtitleColor": LIGHT["soft"],
        "subtitleFontSize": 11.5,
        "subtitleLineHeight": 15,
        "subtitlePadding": 4,
        "offset": 10,
    },
    "axis": {
        "labelColor": LIGHT["soft"],
        "titleColor": LIGHT["soft"],
        "labelFontSize": 11.5,
        "titleFontSize": 11.5,
        "titleFontWeight": 400,
        "gridColor": LIGHT["line"],
        "domainColor": LIGHT["line"],
        "tickColor": LIGHT["line"],
        "labelPadding": 4,
    },
    "legend": {
        "labelColor": LIGHT["soft"],
        "titleColor": LIGHT["soft"],
        "labelFontSize": 11.5,
        "titleFontSize": 11.5,
        "titleFontWeight": 400,
        "symbolSize": 90,
    },
    "header": {"labelColor": LIGHT["ink"], "labelFontSize": 12, "labelFontWeight": 600},
}


@dataclass(frozen=True)
class Chart:
    """One chart: the name of its file, what it is called, what it shows in words, and its specification.

    `spec` is Vega-Lite `version` as JSON with sorted keys; `left_out` says what it does not show, empty where it shows
    all.
    """

    name: str
    title: str
    summary: str
    left_out: str
    spec: str
    version: str

    @property
    def svg(self) -> str:
        """The still picture; equal specifications give equal bytes, and nothing is fetched for them."""
        return _drawn(self.spec, self.version, self.name)


def can_draw() -> bool:
    """Say if the extra that brings the drawing libraries is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("altair", "vl_convert"))


def specification(chart: Any) -> str:
    """Return an Altair chart as Vega-Lite in JSON, in the report's colours."""
    spec = chart.to_dict(validate=False) | {"config": dict(_THEME)}  # what is wrong with it shows when it is drawn
    return json.dumps(spec, ensure_ascii=False, allow_nan=False, sort_keys=True)


@lru_cache(maxsize=64)
def _drawn(spec: str, version: str, name: str) -> str:
    import vl_convert  # noqa: PLC0415 - an extra

    drawn: str = vl_convert.vegalite_to_svg(spec, vl_version=version, allowed_base_urls=[])
    # The library counts its clips on from picture to picture: they are named anew, apart from those of other charts.
    known = dict.fromkeys(re.findall(r'id="(clip\d+)"', drawn))
    names = {clip: f"{name}-clip{number}" for number, clip in enumerate(known, start=1)}

    def tidy(tag: re.Match[str]) -> str:
        return _LONG.sub(_rounded, _CLIP.sub(lambda clip: names[clip[0]], _NOISE.sub("", tag[0])))

    # Every text says the one font; once is enough.
    return _TAG.sub(tidy, drawn).replace(_FONT, "").replace("<svg", f"<svg{_FONT}", 1)


def _rounded(number: re.Match[str]) -> str:
    """Write a number of so many digits with two decimals, finer than anyone can see."""
    return f"{round(float(number[0]), 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # adding 0.0 makes a -0.0 a 0.0


# In a picture's text every < is escaped, so that this finds its elements alone.
_TAG = re.compile(r"<[^>]*>")
# What only the library reads, and what a picture is anyway.
_NOISE = re.compile(r' (?:(?:class|role|aria-[a-z]+|pointer-events)="[^"]*"|(?:opacity|stroke-width)="1")')
_FONT = f' font-family="{FONT}"'
_LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_CLIP = re.compile(r"(?<=[\"#])clip\d+(?=[\")])")


@cache
def page_script(version: str) -> str:
    """Return Vega, Vega-Lite and their embedding as one script that needs nothing else."""
    import vl_convert  # noqa: PLC0415 - an extra

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
