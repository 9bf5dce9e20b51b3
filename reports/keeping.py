"""What was worked out of frames is kept for as long as they live: a report asks for the same a dozen times."""

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import pandas as pd

_P = ParamSpec("_P")
_T = TypeVar("_T")


def kept(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Answer again what was asked of the very same frames, without working it out again.

    Frames are the same if they are one object: no metric alters a frame it was given. Each answer is a copy that
    shares its cells until it is written to. Nothing is kept of frames that are gone.
    """
    answers: dict[tuple[Any, ...], Any] = {}

    @wraps(function)
    def answer(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        frames = [value for value in args if isinstance(value, pd.DataFrame)]
        others = [value for value in args if not isinstance(value, pd.DataFrame)]
        key = (*map(id, frames), *others, *sorted(kwargs.items()))
        if key not in answers:
            answers[key] = function(*args, **kwargs)
            for frame in frames:
                # An id can be that of another frame once this one is gone.
                weakref.finalize(frame, answers.pop, key, None)
        return cast("_T", _copied(answers[key]))

    return answer


def _copied(answer: Any) -> Any:
    if isinstance(answer, pd.DataFrame):
        return answer.copy(deep=False)
    return tuple(map(_copied, answer))
