"""The weekly report as a message: a title, text for chats and webhooks, and HTML with its charts for mail."""

import base64
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from reports.comparisons import TOO_FEW
from reports.marks import TOO_FEW_TO_SAY
from reports.page import charts_of
from reports.tables import clean, markdown_text, percent_text
from reports.verdict import AGE_DAYS
from reports.weekly import WeeklyReport

# A chat turns these into pings and links wherever they stand, escaped or not; a name may hold them.
_INERT_BRACKETS = str.maketrans(
    "<>", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
)
_UNSEEN = "\N{ZERO WIDTH SPACE}"


# A mail shows how it goes; the page that it carries shows the rest.
_CHARTS = ("failure-rate", "rollbacks")


def title_of(report: WeeklyReport) -> str:
    """Return the subject line: the week and its verdict; that nothing was released, or collected, where that is so."""
    is_told = report.result not in ("not collected", "no releases")
    return f"Releases in {report.week.label}: {report.verdict.word if is_told else report.result}"


def message_text(report: WeeklyReport) -> str:
    """Return the first lines of the report as Markdown; no name in it pings anyone or is a link."""
    lines = []
    if report.banner is not None:
        lines += [f"**{_chat(report.banner)}**", ""]
    for heading, sentences in _sections(report):
        lines += [f"**{heading}**", "", *(f"- {_chat(sentence)}" for sentence in sentences), ""]
    return "\n".join(lines)


def mail_body(report: WeeklyReport) -> str:
    """Return the mail as HTML: the same lines, and the charts as inline SVG, last, since many programs drop them.

    Each is an image that holds its own data: a program that drops it shows its name instead, where it would show the
    letters of an element `svg` one after the other. Styles stand in each element, for those programs that read no
    style sheet; nothing is loaded from anywhere.
    """
    template = _templates().get_template("mail.html.j2")
    text: str = template.render(
        report=report,
        title=title_of(report),
        banner=report.banner,
        sections=_sections(report),
        charts=[(chart, _inline(chart.svg)) for chart in charts_of(report) if chart.name in _CHARTS],
    )
    return text


def _inline(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _sections(report: WeeklyReport) -> list[tuple[str, Sequence[str]]]:
    """Return what a reader needs first, then what went wrong, then what isn't known."""
    told, headline = report.sentences, report.headline
    releases = "not known" if report.result == "not collected" else f"{headline['releases']:,}"
    wrong = [told["failures"]]
    if headline["failure_rate"] is not None:
        rate, low, high = (percent_text(headline[name]) for name in ("failure_rate", "ci_low", "ci_high"))
        few = f", {TOO_FEW_TO_SAY}" if headline["finished"] < TOO_FEW else ""
        wrong.append(f"Failure rate {rate} (95 % interval {low} to {high}){few}.")
    judged = report.verdict
    if judged.finished:
        undone = next(measure.hits for measure in judged.measures if measure.measure == "rollback_rate")
        wrong.append(
            f"Rolled back within {AGE_DAYS} days: {undone:,} of {judged.finished:,} finished releases"
            f"{', so far' if judged.is_provisional else ''}."
        )
    if "rollback_failures" in told:
        wrong.append(told["rollback_failures"])
    unknowns = [unknown for unknown in report.unknowns if unknown != report.banner]
    restated = [told["restated"]] if "restated" in told else []
    return [
        ("This week", [told["verdict"], f"Releases: {releases} ({told['before']}).", told["change"]]),
        ("What went wrong", wrong),
        ("What is known, and what is not", [told["known"], *unknowns, *restated]),
    ]


def _chat(text: str) -> str:
    # Brackets first, lest an escape be left before one that needs none; the rest last, lest it be cleaned away.
    escaped = markdown_text(text.translate(_INERT_BRACKETS))
    return escaped.replace("@", f"@{_UNSEEN}").replace("://", f":{_UNSEEN}//")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["clean"] = clean
    return environment
