"""Facts numbered by where they are, alike in every frame."""

import numpy as np
import pytest
from report_builders import attempt, component, frames

from reports.numbering import numbered, where_found


def test_equal_places_have_equal_numbers_in_every_frame_and_no_batch_is_the_last():
    known = frames(
        attempts=[attempt(batch=2), attempt(batch=None), attempt(plan_id="other"), attempt(component_id="web")],
        components=[component(component_id="web"), component(batch=9), component(batch=None)],
    )
    tried, there = numbered(known.attempts, known.components)

    assert there.place[0] == tried.place[3]
    assert there.place[2] == tried.place[1]
    assert there.batch[2] == tried.batch[1]
    assert tried.place[0] < there.place[1] < tried.place[1] < tried.place[3]
    assert tried.plan[2] < tried.plan[0] == tried.plan[3] == there.plan[0]
    assert tried.component[0] == tried.component[1] == there.component[1]
    assert tried.component[0] != tried.component[2]


def test_frames_that_have_not_the_same_words_are_not_numbered():
    with pytest.raises(ValueError, match="component_id"):
        numbered(frames(attempts=[attempt()]).attempts, frames(attempts=[attempt(component_id="web")]).attempts)


def test_more_places_than_there_are_numbers_are_refused(monkeypatch):
    monkeypatch.setattr("reports.numbering._MOST", 11)
    several = frames(attempts=[attempt(plan_id=f"p{n}", component_id=f"c{n}", batch=n) for n in range(2)])
    one = frames(attempts=[attempt()])

    assert len(numbered(one.attempts)) == 1
    with pytest.raises(ValueError, match="ask for fewer weeks"):
        numbered(several.attempts)


def test_a_number_is_found_where_it_first_stands():
    assert where_found(np.array([5, 1, 7, 9]), np.array([1, 5, 5, 7])).tolist() == [1, 0, 3, -1]
    assert where_found(np.array([5]), np.array([], dtype="int64")).tolist() == [-1]
