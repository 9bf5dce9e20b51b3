"""The report as a message: what is said first, that names do nothing, and that charts need nothing from elsewhere."""

import base64
import dataclasses
import re
from html.parser import HTMLParser

import pytest
from report_builders import UTC_ZONE, at, attempt, component, frames, night, rollback, week_47

from reports.mail import mail_body, message_text, title_of
from reports.weekly import weekly_report

MONDAY_NIGHT = at("2026-11-23 02:20")
HOSTILE = "<script>alert(1)</script> <!channel> @everyone [x](https://evil.example) \u202eturned **bold**"


def report_of(*attempts, nights=7, as_of=MONDAY_NIGHT, rollbacks=()):
    made = frames(
        attempts=attempts,
        rollbacks=rollbacks,
        components=[component()],
        nights=[night(f"2026-11-{16 + day}") for day in range(nights)],
        last_run_ended_at=as_of,
    )
    return weekly_report(made, week_47().since_date, UTC_ZONE, recheck_days=14)


class _Parser(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words += data


def parsed(html):
    parser = _Parser()
    parser.feed(html)
    return parser


def test_the_message_says_the_week_then_what_went_wrong_then_what_is_not_known():
    report = report_of(attempt("failed"), attempt(job_id="2", attempt=2), rollbacks=[rollback("failed")])

    text = message_text(report)

    assert title_of(report) == "Releases in 2026-W47: too little data"
    assert re.findall(r"\*\*(.+?)\*\*", text) == ["This week", "What went wrong", "What is known, and what is not"]
    # Wilson's interval of 1 in 2, worked by hand: (0.5 + 1.9208 / 2 ± …) / (1 + 1.9208), 9.5 % to 90.5 %.
    wrong = text.split("**What went wrong**")[1].split("**")[0].strip().splitlines()
    assert wrong == [
        "- 1 of 2 finished attempts failed.",
        "- Failure rate 50.0 % (95 % interval 9.5 % to 90.5 %), too few to say.",
        "- Rolled back within 7 days: 1 of 1 finished releases, so far.",
        "- 1 rollback within 7 days of this week's releases failed; the week before was not collected.",
    ]
    assert text.rstrip().endswith("so failure rates are a lower bound.")


def test_the_verdict_is_the_first_line_and_its_word_the_title():
    report = report_of(attempt())

    assert title_of(report) == f"Releases in 2026-W47: {report.verdict.word}"
    assert message_text(report).splitlines()[2] == f"- {report.sentences['verdict']}"
    assert title_of(report_of(nights=0)) == "Releases in 2026-W47: not collected"


@pytest.mark.parametrize("attempts", [(), (attempt("running", seconds=None),)])
def test_a_week_of_which_little_is_known_still_reads(attempts):
    report = report_of(*attempts, nights=0, as_of=None)

    for text in (message_text(report), parsed(mail_body(report)).words):
        assert "None" not in text.replace("None of 1 attempt is known", "")
        assert "nan" not in text


def test_hostile_words_ping_no_one_and_are_no_markup():
    report = report_of(attempt())
    report = dataclasses.replace(report, unknowns=(HOSTILE,), sentences={**report.sentences, "verdict": HOSTILE})

    text, mail = message_text(report), mail_body(report)

    assert not re.search(r"<|>|@(?!\u200b)|://|\u202e", text)
    assert "\u2039script\u203aalert(1)\u2039/script\u203a \u2039!channel\u203a @\u200beveryone" in text
    assert "\\[x\\](https:\u200b//evil.example)" in text
    assert "\\*\\*bold\\*\\*" in text
    seen = parsed(mail)
    assert "script" not in seen.tags
    assert "<script>alert(1)</script> <!channel> @everyone" in seen.words
    assert "\u202e" not in mail + title_of(report)


def test_the_mail_holds_its_charts_and_loads_nothing():
    seen = parsed(mail_body(report_of(attempt("failed"), attempt(job_id="2", attempt=2))))

    drawings = [value for name, value in seen.attributes if name == "src"]
    assert seen.tags.count("img") == len(drawings) == 2
    for drawing in drawings:
        start, _, data = drawing.partition(",")
        assert start == "data:image/svg+xml;base64"
        assert base64.b64decode(data).startswith(b"<svg")
    assert "2026-W47: 0 of 1 release failed, in 1 plan: 0.0 % (0.0 % to 79.3 %), too few to say" in seen.words
    assert not {"script", "svg", "link", "iframe", "style"} & set(seen.tags)
    assert {name for name, _ in seen.attributes} & {"href", "class"} == set()
    assert not any("url(" in (value or "") for _, value in seen.attributes)


def test_without_its_drawings_the_mail_says_what_they_are_and_none_of_their_letters():
    seen = parsed(mail_body(report_of(attempt("failed"), attempt(job_id="2", attempt=2))))

    names = [value for name, value in seen.attributes if name == "alt"]
    assert names == [
        "Drawing: Releases that failed in the end, week by week",
        "Drawing: Releases rolled back within 7 days, week by week",
    ]
    assert "Releases that failed in the end. 2026-W47: 0 of 1 release failed" in seen.words
    assert "W46W47" not in seen.words  # as an axis would say it


@pytest.mark.parametrize(
    ("as_of", "words"),
    [
        (at("2026-11-23 00:00"), None),
        (at("2026-11-22 23:59"), "the newest run ended at 2026-11-22 23:59 UTC"),
        (None, "no run has ended yet"),
    ],
)
def test_a_report_that_did_not_wait_for_the_last_night_says_so_above_all(as_of, words):
    report = report_of(attempt(), as_of=as_of)

    sentence = report.banner

    if words is None:
        assert sentence is None
        assert message_text(report).startswith("**This week**")
    else:
        assert f"The night that ends this week was not archived: {words}." in sentence
        assert message_text(report).startswith("**The night that ends this week was not archived")
        assert sentence in parsed(mail_body(report)).words


def test_a_banner_that_the_report_tells_already_is_told_once():
    report = report_of(attempt(), as_of=at("2026-11-22 02:20"))

    assert message_text(report).count("was not archived:") == 1
