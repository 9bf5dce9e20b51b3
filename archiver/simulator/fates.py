"""What becomes of a plan: the stories of a release history, from plain success to a rollback days later."""

from archiver.simulator.play import MINUTE_MS, Play

HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# How many of each in a deck. `night` is a release under way when the nightly snapshot is taken.
FATES = {
    "plain": 32,
    "retried": 3,
    "edited": 5,
    "left": 2,
    "withdrawn": 1,
    "deleted": 2,
    "aborted": 2,
    "late rollback": 4,
    "undone": 2,
    "again": 1,
    "night": 2,
}
AFTER_FAILURE = {"redeploy": 11, "roll back": 5, "leave": 4}
FAILURES = {"": 34, "early": 2, "no job": 1}
# What the list shows of a late rollback: see `Play.roll_back`.
MOVES = {"all": 2, "status": 2, "nothing": 1}


def perform(play: Play, fate: str, at_ms: int, moves: str) -> None:
    """Play a plan that is to be released at an instant, through to its end or the history's."""
    record, dice, ends_ms = play.record, play.dice, play.rules.ends_ms
    if fate == "edited":
        edit(play, at_ms)
    if fate == "left" or at_ms >= ends_ms:
        return
    if fate == "withdrawn":
        record.delete(at_ms)
        return
    if fate == "aborted":
        over_ms = play.release(at_ms, play.present(), abort_at_ms=at_ms + dice.between(8, 75) * 1000)
        if dice.chance(500):
            redeploy(play, over_ms + dice.between(60, 300) * MINUTE_MS, over_ms)
        return
    over_ms = play.release(at_ms, play.present())
    over_ms = recover(play, over_ms, must_redeploy=fate == "retried")
    _go_on(play, fate, over_ms, moves)


def _go_on(play: Play, fate: str, over_ms: int, moves: str) -> None:
    """Play what comes hours or days after a release."""
    dice, ends_ms = play.dice, play.rules.ends_ms
    later_ms = over_ms + dice.between(DAY_MS, 5 * DAY_MS)
    if fate == "deleted" and later_ms < ends_ms:
        play.record.delete(later_ms)
    elif fate == "again":
        again_ms = over_ms + dice.between(90, 400) * MINUTE_MS
        if again_ms < ends_ms:
            recover(play, play.release(again_ms, play.present()), must_redeploy=False)
    elif fate == "undone" and play.is_whole:
        undo(play, over_ms + dice.between(3, 20) * MINUTE_MS, play.present(), "all")
    elif fate == "late rollback" and play.is_whole:
        late_ms = over_ms + dice.between(DAY_MS, 10 * DAY_MS)
        # A rollback that the list shows nothing of is one of a single component.
        undo(play, late_ms, play.present()[-1:] if moves == "nothing" else play.present(), moves)


def edit(play: Play, at_ms: int) -> None:
    """Edit a plan before its release: one component in, one out, one to another batch."""
    record, dice = play.record, play.dice
    created_ms = record.start.created_ms
    quarter_ms = (at_ms - created_ms) // 4
    present = play.present()
    out, moved = dice.shuffled(present)[:2]
    batch = record.slots[moved].batch
    last_batch = max(slot.batch for slot in record.slots)
    changes = [{"key": moved, "batch": batch + 1 if batch < last_batch else max(1, batch - 1) if batch > 1 else 2}]
    changes.append({"key": out, "is_present": False})
    changes += [{"key": slot.key, "is_present": True} for slot in record.slots if not slot.is_present]
    for place, change in enumerate(dice.shuffled(changes)):
        when_ms = created_ms + quarter_ms * (place + 1) - dice.below(quarter_ms // 2)
        if when_ms >= play.rules.ends_ms:
            return
        record.plan(when_ms, modified_ms=when_ms)
        record.slot(when_ms, **change)


def recover(play: Play, over_ms: int, *, must_redeploy: bool) -> int:
    """React to a release that isn't whole: redeploy, roll back, or leave it; return when that was over."""
    dice = play.dice
    for _ in range(3):
        if play.is_whole:
            break
        course = "redeploy" if must_redeploy else play.rules.after_failure.draw()
        must_redeploy = False
        if course == "redeploy":
            over_ms = redeploy(play, over_ms + dice.between(12, 150) * MINUTE_MS, over_ms)
        elif course == "roll back":
            over_ms = undo(play, over_ms + dice.between(1, 12) * MINUTE_MS, sorted(play.tried), "all")
            if not dice.chance(250):
                break
            over_ms = redeploy(play, over_ms + dice.between(16, 26) * HOUR_MS, over_ms)
        else:
            break
    return over_ms


def redeploy(play: Play, at_ms: int, over_ms: int) -> int:
    """Deploy what hasn't succeeded; return when that was over."""
    keys = [key for key in play.present() if key not in play.succeeded]
    return play.release(at_ms, keys) if at_ms < play.rules.ends_ms else over_ms


def undo(play: Play, at_ms: int, keys: list[int], moves: str) -> int:
    """Roll back, and at times once more when that failed; return when it was over."""
    if at_ms >= play.rules.ends_ms:
        return at_ms
    over_ms, worked = play.roll_back(at_ms, keys, moves)
    again_ms = over_ms + play.dice.between(20, 60) * MINUTE_MS
    if not worked and play.dice.chance(500) and again_ms < play.rules.ends_ms:
        over_ms, _ = play.roll_back(again_ms, keys[-1:], moves, may_fail=False)
    return over_ms
