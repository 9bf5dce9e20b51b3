"""Of how many weeks a report tells the releases one by one."""

from reports.behind import weeks_behind


def test_weeks_are_told_from_the_last_one_back_while_their_releases_are_few(monkeypatch):
    monkeypatch.setattr("reports.behind.ROWS_BEHIND", 60)

    assert weeks_behind([1, 20, 30, 10]) == 3
    assert weeks_behind([0, 0, 61, 0]) == 1
    assert weeks_behind([10, 10, 10]) == 3


def test_the_last_week_is_told_however_many_its_releases(monkeypatch):
    monkeypatch.setattr("reports.behind.ROWS_BEHIND", 60)

    assert weeks_behind([1, 1000]) == 1
