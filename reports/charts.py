"""The weekly charts, each defined once: drawn as a still picture for file, mail and print, and live in the page."""

from collections.abc import Callable

import altair as alt

from reports.chart_parts import WIDTH, as_chart, break_layers, gap_layers, one_view, row_count, week_axis, when
from reports.chart_rows import LEVELS, OUTCOMES, Rows, heat_rows, rate_rows, timeline_rows, timing_rows
from reports.composition import HEAT_WEEKS
from reports.drawing import LIGHT, Chart
from reports.tables import records
from reports.verdict import AGE_DAYS
from reports.weekly import WeeklyReport

HEIGHT = 200
_CLUSTERED = "Band: 95 % interval. Components of one plan fail together, so it counts plans."
_GAPS = "Hollow: under 10 finished. Bar on the line: none finished. Box with ?: not collected."


def weekly_charts(report: WeeklyReport) -> tuple[Chart, ...]:
    """Define the charts of a report; one without anything to show is left out."""
    tables = report.tables
    rates, timing = tables["release-rates"], tables["batch-timing-by-week-batch"]
    weeks = {row["week"]: row["coverage"] for row in records(rates)}
    failed = rate_rows(rates, "failed", breaks=_breaks(report, "release-failure-rates"))
    undone = rate_rows(rates, "rolled_back", breaks=_breaks(report, "verdict"))
    batches = timing_rows(timing, weeks, breaks=_breaks(report, "batch-timing"))
    components = heat_rows(
        tables["component-weeks"],
        {week: weeks[week] for week in sorted(weeks)[-HEAT_WEEKS:]},
        breaks=_breaks(report, "release-failure-rates"),
    )
    plans = timeline_rows(tables["releases"], report.window.zone)
    drawn: tuple[tuple[Rows, Callable[[], Chart]], ...] = (
        (failed, lambda: _rate_chart("failure-rate", "Releases that failed in the end", failed)),
        (undone, lambda: _rate_chart("rollbacks", f"Releases rolled back within {AGE_DAYS} days", undone)),
        (batches, lambda: _timing_chart(batches)),
        (components, lambda: _heat_chart(components)),
        (plans, lambda: _timeline_chart(plans, report)),
    )
    return tuple(draw() for shown, draw in drawn if shown.rows)


def _breaks(report: WeeklyReport, *names: str) -> set[str]:
    return {week for week, definition in report.breaks if definition in names}


# --- a rate by week ------------------------------------------------------------------------------------------


def _rate_chart(name: str, title: str, rows: Rows) -> Chart:
    highest = max((row["high"] for row in rows.rows if row["high"] is not None), default=0.0)
    x, middle = week_axis(rows), week_axis(rows, band=0.5)
    scale = alt.Scale(domain=[0, min(1.0, max(0.05, highest * 1.05))], nice=highest * 1.05 < 1)
    rate = alt.Y(
        "rate:Q",
        axis=alt.Axis(title=None, format=".0%" if highest > 0.1 else ".1%", domain=False, ticks=False),
        scale=scale,
    )
    told = alt.Tooltip("text:N")
    seen = alt.Chart().transform_filter(when("value", "few", "provisional"))
    layers = [
        *gap_layers(rows, HEIGHT),
        seen.mark_bar(color=LIGHT["range"], cornerRadius=4).encode(
            x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", tooltip=told
        ),
        seen.mark_line(color=LIGHT["accent"], strokeWidth=1.5).encode(x=middle, y=rate, detail="segment:N"),
        seen.mark_point(size=60, filled=False, opacity=1, strokeWidth=1.75, stroke=LIGHT["accent"]).encode(
            x=middle,
            y=rate,
            fill=alt.condition("datum.state === 'value'", alt.value(LIGHT["accent"]), alt.value(LIGHT["ground"])),
            shape=alt.condition("datum.state === 'provisional'", alt.value("diamond"), alt.value("circle")),
            tooltip=told,
        ),
        alt.Chart()
        .transform_filter(when("nothing"))
        .mark_bar(color=LIGHT["dim"])
        .encode(x=x, y=alt.value(HEIGHT - 3), y2=alt.value(HEIGHT), tooltip=told),
        *break_layers(rows),
    ]
    subtitle = [_CLUSTERED, _GAPS]
    if any(row["state"] == "provisional" for row in rows.rows):
        subtitle.append(f"Diamond: provisional, not {AGE_DAYS} days past, rollbacks can still come.")
    if name == "rollbacks":
        subtitle.insert(0, "Every week at the same age, as in the verdict: what came later is not counted here.")
    return as_chart(
        name,
        title,
        subtitle,
        rows,
        one_view(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)),
        rows.rows[-1]["text"],
    )


# --- batches --------------------------------------------------------------------------------------------------


def _timing_chart(rows: Rows) -> Chart:
    told = alt.Tooltip("text:N")
    minutes = alt.Axis(title=None, domain=False, ticks=False, tickCount=3, labelExpr="datum.label + ' min'")
    seen = alt.Chart().transform_filter(when("value"))
    x, middle = week_axis(rows), week_axis(rows, band=0.5)
    layers = [
        *gap_layers(rows, 70),
        seen.mark_bar(color=LIGHT["range"], cornerRadius=3).encode(
            x=x, y=alt.Y("p50:Q", axis=minutes, scale=alt.Scale(zero=True)), y2="p90:Q", tooltip=told
        ),
        seen.mark_line(color=LIGHT["accent"], strokeWidth=1.5).encode(x=middle, y="p50:Q", detail="segment:N"),
        seen.mark_point(size=35, filled=False, opacity=1, strokeWidth=1.5, stroke=LIGHT["accent"]).encode(
            x=middle,
            y="p50:Q",
            fill=alt.condition("datum.is_few", alt.value(LIGHT["ground"]), alt.value(LIGHT["accent"])),
            tooltip=told,
        ),
        *break_layers(rows),
    ]
    drawn = (
        alt.layer(*layers)
        .properties(width=WIDTH - 80, height=70)
        .facet(
            row=alt.Row(
                "batch:N",
                sort=None,
                title=None,
                header=alt.Header(
                    labelAngle=0, labelAlign="left", labelOrient="top", labelAnchor="start", labelPadding=2
                ),
            ),
            spacing=14,
            data=alt.InlineData(values=list(rows.rows)),
        )
        .resolve_scale(y="independent")
    )
    subtitle = [
        "Dot: median of a batch's first pass. Bar: up to the 90th percentile.",
        "Hollow: under 10 batches. Empty: no batch finished. Each batch has its own scale.",
    ]
    return as_chart("batch-timing", "How long a batch takes", subtitle, rows, drawn, rows.rows[-1]["text"])


# --- components by weeks ----------------------------------------------------------------------------------------


def _heat_chart(rows: Rows) -> Chart:
    colours = [*(LIGHT[f"level-{level}"] for level in range(6)), LIGHT["few"], LIGHT["gap"]]
    order = alt.EncodingSortField("place")
    component = alt.Y("component:N", sort=order, axis=alt.Axis(title=None, domain=False, ticks=False, labelLimit=150))
    told = alt.Tooltip("text:N")
    x, middle = week_axis(rows), week_axis(rows, band=0.5)
    cells = (
        alt.Chart()
        .transform_filter("datum.level !== 'nothing'")
        .mark_rect(stroke=LIGHT["ground"], strokeWidth=2)
        .encode(
            x=x,
            y=component,
            color=alt.Color(
                "level:N",
                scale=alt.Scale(domain=list(LEVELS), range=colours),
                legend=alt.Legend(
                    title=None,
                    orient="bottom",
                    columns=4,
                    symbolType="square",
                    symbolStrokeColor=LIGHT["dim"],
                    symbolStrokeWidth=0.75,
                ),
            ),
            tooltip=told,
        )
    )
    hatch = (
        alt.Chart()
        .transform_filter("datum.level === 'too few'")
        .mark_rect(fillOpacity=0, stroke=LIGHT["dim"], strokeDash=[2, 2], strokeWidth=0.75)
        .encode(x=x, y=component, tooltip=told)
    )
    counts = (
        alt.Chart()
        .mark_text(fontSize=10, clip=True)
        .encode(
            x=middle,
            y=component,
            text="count:N",
            color=alt.condition("datum.level === 'over 40 %'", alt.value(LIGHT["level-ink"]), alt.value(LIGHT["ink"])),
            tooltip=told,
        )
    )
    drawn = alt.layer(cells, hatch, counts, *break_layers(rows)).properties(width=WIDTH, height=22 * row_count(rows))
    subtitle = [
        "In each cell: failed of finished releases; the colour is the rate.",
        "Grey, dashed: under 10 finished. Empty: none. ?: not collected.",
    ]
    return as_chart(
        "component-weeks",
        "Failures by component and week",
        subtitle,
        rows,
        one_view(drawn),
        f"{row_count(rows):,} {_plural(row_count(rows), 'component')}, week by week",
    )


# --- the week's releases ----------------------------------------------------------------------------------------

_SHAPES = ("diamond", "cross", "triangle-down", "triangle-right", "triangle-up", "square", "circle")
_COLOURS = ("worst", "bad", "undone", "gap-line", "soft", "dim", "accent")


def _timeline_chart(rows: Rows, report: WeeklyReport) -> Chart:
    monday = report.week.start_date
    first = int((monday - type(monday)(1970, 1, 1)).total_seconds()) * 1000
    day = 86_400_000
    friday = first + 5 * day
    scale = alt.Scale(domain=[first, first + 7 * day], nice=False, zero=False)
    days = alt.Axis(
        title=None,
        labelExpr="utcFormat(datum.value, '%a %d')",
        values=[first + day * number for number in range(8)],
        labelFlush=True,
        domain=False,
        grid=True,
    )
    start = alt.X("start:Q", scale=scale, axis=days)
    plan = alt.Y(
        "plan:N",
        sort=alt.EncodingSortField("place"),
        axis=alt.Axis(title=None, domain=False, ticks=False, grid=True, labelLimit=150),
    )
    domain = list(OUTCOMES)
    colour = alt.Scale(domain=domain, range=[LIGHT[role] for role in _COLOURS])
    told = alt.Tooltip("text:N")
    speaks = alt.Chart().transform_filter("isValid(datum.plan_outcome)")
    layers = [
        alt.Chart()
        .mark_bar(height=7, clip=True, minBandSize=2)
        .encode(x=start, x2="end", y=plan, color=alt.Color("outcome:N", scale=colour, legend=None), tooltip=told),
        speaks.mark_point(size=75, filled=True, opacity=1, clip=True).encode(
            x="plan_end:Q",
            y=plan,
            color=alt.Color("plan_outcome:N", scale=colour, legend=None),
            shape=alt.Shape("plan_outcome:N", scale=alt.Scale(domain=domain, range=list(_SHAPES)), legend=None),
            tooltip=told,
        ),
        _words(speaks, f"datum.plan_end <= {friday}", plan)
        .mark_text(align="left", dx=8, fontSize=10, color=LIGHT["ink"])
        .encode(x="plan_end:Q"),
        # Late in the week the words stand on the left, where there is room.
        _words(speaks, f"datum.plan_end > {friday}", plan)
        .mark_text(align="right", dx=-8, fontSize=10, color=LIGHT["ink"])
        .encode(x="plan_start:Q"),
    ]
    drawn = alt.layer(*layers).properties(width=WIDTH, height=17 * row_count(rows))
    subtitle = [
        "A row a plan, a bar a batch; the sign at its end is the worst that happened to a release of it, however late.",
        "● succeeded  ✚ failed  ▼ rolled back  ◆ a rollback failed  ■ aborted  ▲ not finished  ▶ unknown",
        f"Days of {report.window.zone.key}.",
    ]
    return as_chart(
        "timeline",
        f"Releases of {report.week.label}",
        subtitle,
        rows,
        one_view(drawn),
        f"{row_count(rows):,} {_plural(row_count(rows), 'plan')} in the order of their start",
    )


def _words(plans: alt.Chart, where: str, plan: alt.Y) -> alt.Chart:
    chosen = plans.transform_filter(f"datum.plan_outcome !== 'succeeded' && {where}")
    return chosen.encode(y=plan, text="label:N", tooltip="text:N")


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
