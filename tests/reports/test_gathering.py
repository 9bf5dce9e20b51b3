"""Portions of a result put together as a frame of a contract."""

import math

import pandas as pd

from reports.columns import INSTANT, WORDS
from reports.gathering import Coded, gathered


def one(dtype, *portions):
    """Return the column that portions of one column make."""
    return gathered(([values] for values in portions), {"column": dtype})["column"]


def test_words_of_several_portions_sort_as_text_does():
    words = one(WORDS, ["web", None, "api"], ["mail", "api"])

    assert words.cat.categories.to_list() == ["api", "mail", "web"]
    assert words.astype("str").fillna("-").to_list() == ["web", "-", "api", "mail", "api"]


def test_words_that_came_as_codes_are_the_same_words():
    coded = Coded(pd.Series([0, 2, 1, -1]).to_numpy(), ["web", None, "api"])

    assert one(WORDS, coded).equals(one(WORDS, ["web", "api", None, None]))


def test_instants_as_sqlite_has_them_are_read_as_pandas_reads_them():
    texts = ["2026-11-16T23:59:59.999Z", None, "1969-12-31T23:59:59.001Z", "9999-12-31T00:00:00.000Z"]

    instants = one(INSTANT, texts, texts[::-1])

    assert instants.dtype == INSTANT
    assert instants.equals(pd.to_datetime(pd.Series(texts + texts[::-1]), utc=True, format="ISO8601").dt.as_unit("ms"))


def test_instants_written_otherwise_are_read_all_the_same():
    # Together these two are as long as two of the usual kind.
    odd = ["2026-11-16T10:00:00.0Z", "2026-11-16T10:00:00.00000Z"]
    local = ["2026-11-16T10:00:00+01:00"]

    assert one(INSTANT, odd).to_list() == [pd.Timestamp("2026-11-16T10:00:00Z")] * 2
    assert one(INSTANT, local).to_list() == [pd.Timestamp("2026-11-16T09:00:00Z")]
    assert one(INSTANT, [pd.Timestamp("2026-11-16T10:00:00Z"), None]).isna().to_list() == [False, True]


def test_numbers_and_text_have_the_dtype_of_the_contract_whatever_is_missing():
    assert one("Int64", [1, None], [None, 2**60]).to_list() == [1, pd.NA, pd.NA, 2**60]
    assert one("float64", [None], [1.5])[1] == 1.5
    assert math.isnan(one("float64", [None], [1.5])[0])
    assert one("str", ["a", None]).isna().to_list() == [False, True]


def test_no_portions_are_an_empty_frame_of_the_contract():
    contract = {"word": WORDS, "number": "Int64", "at": INSTANT, "text": "str", "seconds": "float64"}

    frame = gathered([], contract)

    assert len(frame) == 0
    assert frame["word"].cat.categories.to_list() == []
    assert [str(dtype) for dtype in frame.dtypes[1:]] == ["Int64", INSTANT, "str", "float64"]
