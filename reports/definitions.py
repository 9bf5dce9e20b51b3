"""The definitions that the figures follow, each with a version: equal versions give the same figures for ever."""

from collections.abc import Mapping

# Raised whenever a table would tell other figures of the same facts.
DEFINITION_VERSIONS: Mapping[str, int] = {
    "failure-rates": 1,
    "rollbacks": 1,
    "batch-timing": 1,
    "delivery": 1,
    "coverage": 1,
    "verdict": 1,
    "flagged-components": 1,
    "failures": 1,
    "recovery": 1,
    "batch-survival": 1,
    "flaky-components": 1,
}
