"""Chance that falls the same way on every machine: integers only, no floats, hashes or sets."""

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T")

# Quantiles of a log-normal with sigma 0.45, cut at both ends: (per mille of the draws, thousandths of the
# median). A table, because `math.exp` may differ in its last bit from one C library to the next.
_SPREAD = (
    (0, 314),
    (50, 477),
    (100, 562),
    (200, 685),
    (300, 790),
    (400, 892),
    (500, 1000),
    (600, 1121),
    (700, 1266),
    (800, 1460),
    (900, 1780),
    (950, 2096),
    (990, 2849),
    (1000, 4200),
)


class Dice:
    """A generator of one purpose, named by its seed; it uses `getrandbits` only, whose stream is fixed."""

    def __init__(self, *seed: object) -> None:
        """Name the purpose: the same words give the same stream."""
        self._bits = random.Random("/".join(map(str, seed))).getrandbits  # noqa: S311 - made-up data, no secrets

    def below(self, limit: int) -> int:
        """Draw an integer from 0 up to, without, the limit."""
        return self._bits(48) * limit >> 48

    def between(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return low + self.below(high - low + 1)

    def chance(self, permille: int) -> bool:
        """Say yes so many times in a thousand."""
        return self.below(1000) < permille

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one."""
        return choices[self.below(len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in a random order."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result

    def spread(self, median: int) -> int:
        """Draw around a median, log-normal-like: a third of it to four times it, long to the right."""
        at = self.below(1000)
        for (low, low_value), (high, high_value) in pairwise(_SPREAD):
            if at < high:
                thousandths = low_value + (high_value - low_value) * (at - low) // (high - low)
                return median * thousandths // 1000
        raise AssertionError(at)

    def hex(self, length: int) -> str:
        """Draw so many hexadecimal digits."""
        return f"{self._bits(4 * length):0{length}x}"

    def uuid(self) -> str:
        """Draw an identifier in the form of a random UUID."""
        digits = self.hex(32)
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Deck(Generic[T]):
    """Cards drawn without putting back, shuffled anew when used up: each kind has its share with any seed."""

    def __init__(self, dice: Dice, counts: Mapping[T, int]) -> None:
        """Lay in so many cards of each kind."""
        self._dice = dice
        self._cards = [kind for kind, count in counts.items() for _ in range(count)]
        self._left: list[T] = []

    def draw(self) -> T:
        """Take the next card."""
        if not self._left:
            self._left = self._dice.shuffled(self._cards)
        return self._left.pop()
