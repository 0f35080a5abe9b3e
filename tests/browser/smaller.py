"""Makes a browser's PNG smaller: a palette of 256 colours, of which each pixel takes the nearest.

https://www.w3.org/TR/png-3/
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BYTES = 3  # of a pixel: red, green, blue
COLOURS = 256
ALIKE = 64  # as _distance has it


def make_smaller(path: Path) -> None:
    """In its place. Of a PNG in plain colours, 8 bits each, as Chromium writes them."""
    chunks = list(_chunks(path.read_bytes()))
    header = chunks[0][1]
    width, height = struct.unpack(">II", header[:8])
    assert header[8:] == bytes((8, 2, 0, 0, 0)), f"{path} is another kind of PNG"
    rows = list(_rows(zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), width))
    counted = Counter(row[x : x + BYTES] for row in rows for x in range(0, len(row), BYTES))
    palette = _palette(counted)
    nearest = {colour: _nearest(colour, palette) for colour in counted}
    pixels = b"".join(b"\0" + bytes(nearest[row[x : x + BYTES]] for x in range(0, len(row), BYTES)) for row in rows)
    made = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(palette)),
        (b"IDAT", zlib.compress(pixels, 9)),
        (b"IEND", b""),
    )
    path.write_bytes(SIGNATURE + b"".join(_chunk(kind, data) for kind, data in made))


def _palette(counted: Counter[bytes]) -> list[bytes]:
    """The commonest; of those that nobody can tell apart only one, so that what is rare but different has its place."""
    chosen: list[bytes] = []
    for colour, _count in counted.most_common():
        if len(chosen) < COLOURS and all(_distance(colour, other) > ALIKE for other in chosen):
            chosen.append(colour)
    return chosen


def _nearest(colour: bytes, palette: list[bytes]) -> int:
    return min(range(len(palette)), key=lambda n: _distance(colour, palette[n]))


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rows(raw: bytes, width: int) -> Iterator[bytes]:
    """Each line's pixels, without the filter that it was written with."""
    size = width * BYTES
    above = bytes(size)
    for at in range(0, len(raw), size + 1):
        above = _unfiltered(raw[at], raw[at + 1 : at + 1 + size], above)
        yield above


def _unfiltered(kind: int, given: bytes, above: bytes) -> bytes:
    line = bytearray(len(given))
    for x, byte in enumerate(given):
        left, up, corner = (line[x - BYTES], above[x], above[x - BYTES]) if x >= BYTES else (0, above[x], 0)
        line[x] = (byte + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]) & 255
    return bytes(line)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
