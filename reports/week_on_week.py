"""What changed since the week before, by exact tests, in words."""

from collections.abc import Mapping
from typing import Any

from reports.verdict import AGE_DAYS

_CHANCE = 0.05


def change_sentence(headline: Mapping[str, Any]) -> str:
    """Say how the failure rate of attempts changed, by Fisher's exact test; the verdict weighs plans, not attempts."""
    change, p_value = headline["failure_rate_change"], headline["failure_rate_p_value"]
    if change is None:
        if headline["finished_before"] == 0:
            reason = "was not collected" if headline["coverage_before"] == "none" else "had no finished attempts"
            return f"Nothing to compare with: the week before {reason}."
        return "Nothing to compare: no attempt of this week finished."
    test = f"Fisher's exact test, p {p_text(p_value)}"
    if p_value >= _CHANCE:
        return f"No clear change: the difference from the week before is within chance ({test})."
    word = "Worse" if change > 0 else "Better"
    return f"{word} than the week before, attempt by attempt ({test}); the verdict knows that plans fail together."


def rollback_failures_sentence(headline: Mapping[str, Any]) -> str:
    """Say how the number of failed rollbacks changed, by the exact test of two Poisson counts over a week each.

    As in the verdict, only rollbacks within 7 days of their release are compared, nothing is compared with a week
    younger than that, and no such week is called better.
    """
    count, before = headline["early_rollbacks_failed"], headline["early_rollbacks_failed_before"]
    late = headline["rollbacks_failed"] - count
    failed = f"{count:,} rollback{'' if count == 1 else 's'} within {AGE_DAYS} days of this week's releases failed"
    failed += f" (and {late:,} that came later)" if late else ""
    if headline["coverage_before"] == "none" and not (headline["releases_before"] or before):
        return f"{failed}; the week before was not collected."
    p_value = headline["rollbacks_failed_p_value"]
    if p_value is None:
        return f"{failed}; the week before is not {AGE_DAYS} days past either, so there is nothing to compare with."
    word = "within chance" if p_value >= _CHANCE else "more than chance would explain"
    if p_value < _CHANCE and count < before and headline["is_young"]:
        word = f"fewer, but the week is not {AGE_DAYS} days past and too young to be called better"
    return f"{failed}, {before:,} of the week before: {word} (exact Poisson test, p {p_text(p_value)})."


def p_text(p_value: float) -> str:
    """Write a p-value with two digits, a tiny one as a bound.

    >>> p_text(0.0314), p_text(0.5), p_text(1e-9)
    ('0.031', '0.50', 'under 0.001')
    """
    if p_value < 0.001:
        return "under 0.001"
    return f"{p_value:.2f}" if p_value >= 0.1 else f"{p_value:.2g}"
