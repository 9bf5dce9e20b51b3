"""What the weekly charts are put together from: their frame, their weeks, and the signs for what is not known."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from reports.chart_rows import Rows
from reports.drawing import LIGHT, Chart, specification

WIDTH = 640
VERSION = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def as_chart(
    name: str, title: str, subtitle: Sequence[str], rows: Rows, drawn: alt.TopLevelMixin, summary: str
) -> Chart:
    """Give a chart its frame, its rows and its words; `summary` tells in a sentence what it shows."""
    drawn = drawn.properties(
        title=alt.TitleParams(title, subtitle=[line for line in (*subtitle, rows.left_out) if line]),
        data=alt.InlineData(values=list(rows.rows)),
    )
    return Chart(name, title, summary, rows.left_out, specification(drawn), VERSION)


def row_count(rows: Rows) -> int:
    return len({row["place"] for row in rows.rows}) or 1


def when(*states: str) -> str:
    return " || ".join(f"datum.state === '{state}'" for state in states)


def week_axis(rows: Rows, *, band: float | None = None) -> alt.X:
    """Lay out the weeks, all of them and in order, also those that a layer leaves out."""
    weeks = list(dict.fromkeys(row["week"] for row in rows.rows))
    axis = alt.Axis(title=None, labelAngle=0, labelOverlap="greedy", labelSeparation=6, ticks=False)
    scale = alt.Scale(domain=weeks, paddingInner=0.3, paddingOuter=0.15)
    return alt.X("week:O", axis=axis, sort=None, scale=scale, bandPosition=alt.Undefined if band is None else band)


def gap_layers(rows: Rows, height: int) -> list[alt.Chart]:
    """Draw a box for each week that was not collected: nothing is known of it, which is not nothing."""
    gap = alt.Chart().transform_filter(when("uncollected"))
    told = alt.Tooltip("text:N")
    return [
        gap.mark_bar(color=LIGHT["gap"]).encode(x=week_axis(rows), y=alt.value(0), y2=alt.value(height), tooltip=told),
        gap.mark_text(text="?", color=LIGHT["gap-line"], fontSize=12).encode(
            x=week_axis(rows, band=0.5), y=alt.value(height - 10), tooltip=told
        ),
    ]


def break_layers(rows: Rows) -> list[alt.Chart]:
    """Draw a line before each week from which a definition is another."""
    broken = alt.Chart().transform_filter("datum.is_break")
    return [
        broken.mark_rule(color=LIGHT["ink"], strokeDash=[5, 3], strokeWidth=1.5).encode(x=week_axis(rows, band=0)),
        broken.mark_text(text="definition changed", color=LIGHT["ink"], align="right", dx=-4, dy=8, fontSize=11).encode(
            x=week_axis(rows, band=0), y=alt.value(0)
        ),
    ]


def one_view(chart: Any) -> Any:
    """Let the width be that of the whole picture, so that the page can fit it to the screen."""
    return chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
