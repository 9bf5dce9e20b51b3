"""The verdict on a week: by hand, in simulated weeks, and in the words it is told with."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from oracle import Oracle
from random_archives import random_archive
from report_builders import UTC_ZONE, at, attempt, frames, night, rollback, week_47

from reports.comparisons import plan_permutation
from reports.verdict import _measure, _word, verdict

DAYS = ["2026-10-19", "2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16"]
SETTLED = at("2026-12-01 00:00")


def plans(day, count, failed=0, size=4):
    """Return so many plans of `size` components; the first `failed` plans fail whole."""
    return [
        attempt(
            "failed" if number < failed else "succeeded",
            f"{day} 10:00",
            plan_id=f"{day}-{number}",
            component_id=f"c{component}",
        )
        for number in range(count)
        for component in range(size)
    ]


def nights(day):
    monday = at(f"{day} 00:00").date()
    return [night(str(monday + timedelta(days=number))) for number in range(7)]


ALL_NIGHTS = [one for day in DAYS for one in nights(day)]


def judged(failed_before, failed_now, count=12, as_of=SETTLED, rollbacks=(), gaps=()):
    rows = [row for day in DAYS[:4] for row in plans(day, count, failed_before)] + plans(DAYS[4], count, failed_now)
    seen = [one for one in ALL_NIGHTS if str(one["night_date"]) not in gaps]
    missed = [night(day, "missed") for day in gaps]
    return verdict(frames(rows, rollbacks, nights=seen + missed), week_47(5), as_of=as_of)


def test_a_week_with_many_more_failed_plans_is_worse_and_says_by_how_much():
    answer = judged(failed_before=1, failed_now=8)

    assert (answer.word, answer.finished, answer.plans, answer.finished_before, answer.plans_before) == (
        "worse",
        48,
        12,
        192,
        48,
    )
    failures = answer.measures[0]
    assert (failures.measure, failures.hits, failures.hits_before) == ("change_failure_rate", 32, 16)
    assert (failures.rate, failures.rate_before) == (pytest.approx(32 / 48), pytest.approx(16 / 192))
    assert answer.sentence == (
        "Worse: of 48 finished component releases 32 failed or were rolled back within 7 days (66.7 %, after 8.3 % "
        "in the 4 weeks before), 0 were rolled back in that time (0.0 %, after 0.0 %). "
        "That is more than chance would explain."
    )


def test_a_week_with_many_fewer_failed_plans_is_better():
    assert judged(failed_before=8, failed_now=0).word == "better"


def test_the_same_releases_in_one_bad_plan_are_no_clear_change():
    rows = [row for day in DAYS[:4] for row in plans(day, 12, size=4)] + plans(DAYS[4], 11, size=1)
    rows += [attempt("failed", "2026-11-17 09:00", plan_id="bad", component_id=f"c{number}") for number in range(30)]

    answer = verdict(frames(rows, nights=ALL_NIGHTS), week_47(5), as_of=SETTLED)

    assert (answer.word, answer.measures[0].hits, answer.finished) == ("no clear change", 30, 41)
    assert "one bad plan" in answer.sentence


@pytest.mark.parametrize(("failed_before", "failed_now", "word"), [(8, 0, "no clear change"), (1, 8, "worse")])
def test_a_week_under_seven_days_old_is_provisional_and_never_better(failed_before, failed_now, word):
    answer = judged(failed_before, failed_now, as_of=at("2026-11-29 23:59"))

    assert (answer.is_provisional, answer.word, len(answer.weeks_before)) == (True, word, 4)
    assert "Provisional: 2026-W47 is not 7 days past" in answer.sentence


def test_a_week_seven_days_past_is_settled():
    assert not judged(1, 1, as_of=at("2026-11-30 00:00")).is_provisional


def test_a_baseline_week_that_is_too_young_is_left_out():
    answer = judged(1, 8, as_of=at("2026-11-20 00:00"))

    assert answer.weeks_before == ("2026-W43", "2026-W44", "2026-W45")


def test_only_rollbacks_within_seven_days_of_the_end_count():
    rows = [row for day in DAYS for row in plans(day, 12)]
    late, soon = (
        [
            rollback(
                "running",
                f"{day} 10:01",
                plan_id=f"{DAYS[4]}-{number}",
                component_id="c0",
                rollback_job_id=f"r{number}",
            )
            for number in numbers
        ]
        for day, numbers in (("2026-11-24", range(5)), ("2026-11-23", range(5, 8)))
    )

    answer = verdict(frames(rows, late + soon, nights=ALL_NIGHTS), week_47(5), as_of=SETTLED)

    assert [measure.hits for measure in answer.measures] == [3, 3]


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_releases_or_plans_are_too_little_data(count):
    answer = judged(0, count, count=count)

    assert answer.word == "too little data"
    told = f"{count * 4} component releases finished in {count} plans" if count else "no component release is known"
    assert answer.sentence.startswith(f"Too little data: {told}")


def test_an_empty_archive_has_a_verdict_too():
    answer = verdict(frames(), week_47(5), as_of=None)

    assert (answer.word, answer.is_provisional, answer.weeks_before) == ("too little data", True, ())
    assert [measure.rate for measure in answer.measures] == [None, None]
    assert len(answer.table()) == 2
    assert answer.weeks_with_gaps == ("2026-W47",)


def test_a_comparison_across_missed_nights_says_so_and_counts_the_same():
    whole, torn = judged(1, 8), judged(1, 8, gaps=("2026-10-28", "2026-11-19"))

    assert (whole.weeks_with_gaps, torn.weeks_with_gaps) == ((), ("2026-W44", "2026-W47"))
    assert (whole.word, whole.measures) == (torn.word, torn.measures)
    assert "Not every night of 2026-W44, 2026-W47 was archived" in torn.sentence


@pytest.mark.parametrize("seed", range(3))
def test_the_rates_are_those_of_the_plain_computation(seed):
    archive = random_archive(seed, plans=80)
    window = week_47(5)
    oracle = Oracle(
        archive["attempts"],
        archive["rollbacks"],
        archive["components"],
        since=window.since_date,
        until=window.until_date,
        zone=UTC_ZONE,
    )
    done = [(r["start"], r) for r in oracle.releases(7) if r["outcome"] in ("succeeded", "failed")]
    weeks = oracle.groups(done, ("week",))
    this, past = weeks[("2026-W47",)], [r for key, rows in weeks.items() if key != ("2026-W47",) for r in rows]

    answer = verdict(frames(**archive), window, as_of=SETTLED)

    changes, undone = answer.measures
    assert (answer.finished, answer.finished_before) == (len(this), len(past))
    assert (answer.plans, answer.plans_before) == tuple(
        len({(r["project_id"], r["plan_id"]) for r in rows}) for rows in (this, past)
    )
    assert (undone.hits, undone.hits_before) == tuple(sum(bool(r["held"]) for r in rows) for rows in (this, past))
    assert (changes.hits, changes.hits_before) == tuple(
        sum(bool(r["held"]) or r["outcome"] == "failed" for r in rows) for rows in (this, past)
    )


# --- simulated weeks ----------------------------------------------------------------------------------------


def simulated(dice, count, rate, together=0.4, rolled_back=0.4):
    """Return plans of 1, 4 or 12 components that fail together, some of the failures by being rolled back."""
    finished = dice.choice([1, 4, 12], count)
    spread = (1 - together) / together
    failures = dice.binomial(finished, dice.beta(rate * spread, (1 - rate) * spread, count))
    undone = np.where(dice.random(count) < rolled_back, failures, 0)
    return pd.DataFrame({"finished": finished, "change_failure_rate": failures, "rollback_rate": undone})


def word_of(now, before, *, is_provisional=False):
    measures = [_measure(name, now, before) for name in ("change_failure_rate", "rollback_rate")]
    return _word(measures, is_provisional=is_provisional)


@pytest.mark.parametrize(("count", "rate"), [(8, 0.15), (25, 0.06)])
def test_without_a_change_at_most_one_week_in_twenty_is_called(count, rate):
    dice = np.random.default_rng(1)
    words = [word_of(simulated(dice, count, rate), simulated(dice, 4 * count, rate)) for _ in range(120)]

    assert sum(word != "no clear change" for word in words) <= 6


def test_a_rate_that_tripled_is_called_worse_and_one_that_fell_to_a_quarter_better_in_most_weeks():
    dice = np.random.default_rng(2)
    worse = [word_of(simulated(dice, 40, 0.24), simulated(dice, 160, 0.08)) for _ in range(20)]
    better = [word_of(simulated(dice, 80, 0.06), simulated(dice, 320, 0.24)) for _ in range(20)]

    assert worse.count("worse") >= 16
    assert better.count("better") >= 16
    assert "better" not in worse
    assert "worse" not in better


def test_a_provisional_week_is_never_better():
    dice = np.random.default_rng(3)

    assert word_of(simulated(dice, 60, 0.01), simulated(dice, 240, 0.3), is_provisional=True) == "no clear change"


def test_plans_of_one_component_give_the_doubled_tail_of_the_hypergeometric():
    # 5 of this week's 5 plans failed, none of the 15 before: one division in C(20, 5) = 15504 is as far out.
    p_value = plan_permutation([1] * 5, [1] * 5, [0] * 15, [1] * 15)
    # 2 of 10 against 1 of 20: P(at least 2 of the 3 among the 10 of 30) = (45 * 20 + 120) / 4060.
    common = plan_permutation([1] * 2 + [0] * 8, [1] * 10, [1] + [0] * 19, [1] * 20)

    assert p_value <= 6 / 5_000
    assert common == pytest.approx(2 * 1020 / 4060, abs=0.04)


def test_the_permutation_test_gives_the_same_answer_again_and_none_for_nothing():
    counts = ([3, 0, 1], [4, 4, 4], [0, 1, 0, 0], [5, 4, 4, 1])

    assert plan_permutation(*counts) == plan_permutation(*counts)
    assert plan_permutation([], [], [1], [2]) == plan_permutation([1], [2], [], []) == 1.0
