"""Reads packed releases once more, in plain Python, from what reports/packing.py says of the bytes."""

import base64
import gzip
import io
import json
from itertools import pairwise


def read_pack(text):
    """Return the releases in the order of their starts, by the keys of their columns; times in minutes."""
    data = io.BytesIO(gzip.decompress(base64.b64decode(text)))
    told = json.loads(data.readline())
    count = told["count"]

    def word_of(word):
        if isinstance(word, str):
            return word
        digits = data.read(16).hex()
        cuts = [0, 8, 12, 16, 20, 32] if word else [0, 32]
        return "-".join(digits[start:end] for start, end in pairwise(cuts))

    def numbers(width):
        planes = [data.read(count) for _ in range(width)]
        return [sum(plane[row] << 8 * place for place, plane in enumerate(planes)) for row in range(count)]

    releases = [{} for _ in range(count)]
    for group in told["groups"]:
        columns = [[word_of(word) for word in words] for words in group["words"]]
        for release, place in zip(releases, numbers(group["bytes"]), strict=True):
            release |= {key: column[place] for keys, column in zip(group["keys"], columns, strict=True) for key in keys}
    later, lasted = (
        [number - 1 + told[name]["least"] if number else None for number in numbers(told[name]["bytes"])]
        for name in ("started", "ended")
    )
    start, begun = told["from"], {}
    for number, release in enumerate(releases):
        start += later[number] or 0
        starts, ends = None if later[number] is None else start, lasted[number]
        begun[id(release)] = start
        release |= dict(zip(told["cells"], [starts, None if ends is None else start + ends], strict=True))
    assert data.read() == b""
    return sorted(releases, key=lambda release: begun[id(release)])
