"""Flaky components: they fail, and the same version then succeeds in the same place, with nothing changed between."""

import pandas as pd

from reports.columns import Frames
from reports.failure_rates import with_rate
from reports.groups import Selection, chosen, matching, outcome_flags, summarise, with_coverage
from reports.releases import PLACE, component_releases
from reports.spread import by_plan


def flaky_components(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return finished, flaky, flaky_rate with its 95 % interval, and reruns a group; meant for groups by component.

    A release is a component's place in a plan, in the week of its first attempt with a start. It is flaky if an
    attempt in it failed and a later one of the same version succeeded; the rate is of finished releases. `reruns`
    counts, in all releases, the attempts of a version that had already failed in that place. An unknown version is no
    version: it is never the same. An attempt replaced unseen can hide a rerun, so that the rate is a lower bound.
    """
    counts = ("finished", "flaky", "reruns")
    table = summarise(_tried_again(frames, selection), selection, counts={name: (name, "sum") for name in counts})
    table = with_rate(table, part="flaky", rate="flaky_rate")
    columns = ["finished", "flaky", "flaky_rate", "ci_low", "ci_high", "reruns"]
    return with_coverage(chosen(table, selection, columns), frames.nights, selection)


@by_plan
def _tried_again(frames: Frames, selection: Selection) -> pd.DataFrame:
    releases = matching(component_releases(frames.attempts, frames.rollbacks), selection)
    releases = releases.merge(places_tried_again(frames.attempts), on=PLACE, how="left")
    finished = outcome_flags(releases["outcome"])["finished"]
    is_flaky = releases["is_flaky"].eq(other=True) & (finished == 1)
    return releases.assign(finished=finished, flaky=is_flaky.astype("int64"), reruns=releases["reruns"].fillna(0))


def places_tried_again(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the places where a version that had failed was tried again: if it succeeded (`is_flaky`), and `reruns`."""
    known = attempts[attempts["version"].notna()].sort_values("attempt", kind="stable")
    version = known.groupby([*PLACE, "version"], dropna=False)
    failed = (known["outcome"] == "failed").astype("int64")
    failed_before = failed.groupby(version.ngroup()).cumsum() - failed
    again = known[failed_before > 0]
    again = again.assign(is_flaky=again["outcome"] == "succeeded")
    by_place = again.groupby(PLACE, dropna=False)
    return by_place.agg(is_flaky=("is_flaky", "any"), reruns=("is_flaky", "size")).reset_index()
