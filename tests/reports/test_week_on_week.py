"""What changed since the week before: told by exact tests, and by none where nothing can be compared."""

from datetime import date

import pytest
from report_builders import UTC_ZONE, at, attempt, frames, night, rollback
from scipy.stats import binomtest, fisher_exact

from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)
NIGHTS = [night(f"2026-11-{day:02}") for day in range(9, 23)]


def report_of(now, before, nights=NIGHTS, undone=(0, 0), as_of="2026-11-30", late=0):
    """Return the report on so many (failed, finished) attempts now and before, and so many failed rollbacks.

    The last `late` of this week's came 8 days after their release.
    """
    attempts, rollbacks = [], []
    for day, (failed, finished), count in (("2026-11-16", now, undone[0]), ("2026-11-09", before, undone[1])):
        for number in range(finished):
            plan = f"{day} {number}"
            attempts.append(attempt("failed" if number < failed else "succeeded", f"{day} 10:00", plan_id=plan))
            if number < count:
                undone_on = "2026-11-24" if day == "2026-11-16" and number >= count - late else day
                rollbacks.append(rollback("failed", f"{undone_on} 11:00", plan_id=plan, rollback_job_id=plan))
    known = frames(attempts, rollbacks, nights=nights, last_run_ended_at=at(f"{as_of} 00:00"))
    return weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14)


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        ((9, 20), (1, 20), "Worse than the week before, attempt by attempt (Fisher's exact test, p 0.0084)"),
        ((1, 20), (9, 20), "Better than the week before, attempt by attempt"),
        ((2, 20), (1, 20), "No clear change: the difference from the week before is within chance"),
        ((4, 40), (0, 40), "No clear change"),  # Newcombe's interval excludes 0, the exact test does not
    ],
)
def test_a_change_of_the_failure_rate_is_told_by_fishers_exact_test(now, before, words):
    report = report_of(now, before)

    table = [[now[0], now[1] - now[0]], [before[0], before[1] - before[0]]]
    assert report.headline["failure_rate_p_value"] == pytest.approx(fisher_exact(table).pvalue)
    assert report.sentences["change"].startswith(words)


@pytest.mark.parametrize(
    ("undone", "words"),
    [
        ((9, 1), "9 rollbacks within 7 days of this week's releases failed, 1 of the week before: more than"),
        ((1, 0), "1 rollback within 7 days of this week's releases failed, 0 of the week before: within chance"),
        ((1, 9), "1 rollback within 7 days of this week's releases failed, 9 of the week before: more than"),
    ],
)
def test_a_change_of_the_number_of_failed_rollbacks_is_told_by_the_exact_poisson_test(undone, words):
    report = report_of((0, 12), (0, 12), undone=undone)

    p_value = binomtest(undone[0], sum(undone), 0.5).pvalue
    assert report.headline["rollbacks_failed_p_value"] == pytest.approx(p_value)
    assert report.sentences["rollback_failures"].startswith(words)


def test_fewer_failed_rollbacks_of_a_young_week_are_never_called_better():
    young = report_of((0, 12), (0, 12), undone=(1, 9), as_of="2026-11-29")

    assert young.headline["rollbacks_failed_p_value"] == pytest.approx(0.0215, abs=1e-4)  # 22 / 1024
    assert "9 of the week before: fewer, but the week is not 7 days past and" in young.sentences["rollback_failures"]
    worse = report_of((0, 12), (0, 12), undone=(9, 1), as_of="2026-11-29")
    assert "1 of the week before: more than chance would explain" in worse.sentences["rollback_failures"]


def test_failed_rollbacks_that_came_later_are_told_and_not_compared():
    report = report_of((0, 12), (0, 12), undone=(9, 1), late=7)

    assert report.headline["rollbacks_failed"] == 9
    assert report.headline["rollbacks_failed_p_value"] == pytest.approx(binomtest(2, 3, 0.5).pvalue)
    assert report.sentences["rollback_failures"].startswith(
        "2 rollbacks within 7 days of this week's releases failed (and 7 that came later), 1 of the week before: within"
    )


def test_with_a_week_before_that_is_young_itself_nothing_is_compared():
    report = report_of((0, 12), (0, 12), undone=(1, 9), as_of="2026-11-22")

    assert report.headline["rollbacks_failed_p_value"] is None
    assert report.sentences["rollback_failures"].endswith("so there is nothing to compare with.")


def test_without_a_failed_rollback_nothing_is_said_of_them():
    assert "rollback_failures" not in report_of((0, 3), (0, 3)).sentences


def test_a_week_before_that_was_not_collected_is_compared_with_nothing():
    report = report_of((1, 12), (0, 0), nights=NIGHTS[7:], undone=(1, 0))

    assert report.sentences["change"] == "Nothing to compare with: the week before was not collected."
    assert report.sentences["rollback_failures"].endswith("failed; the week before was not collected.")


def test_a_week_before_that_an_import_alone_told_of_is_compared_with():
    """No night was collected of it, and yet its releases are known."""
    report = report_of((2, 20), (1, 20), nights=NIGHTS[7:], undone=(1, 1))

    assert "(exact Poisson test, p " in report.sentences["rollback_failures"]
