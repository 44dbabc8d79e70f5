"""Other inputs from one input: bytes changed, cut, repeated and exchanged; JSON changed as a tree; archives within.

All are functions of the input and a seeded generator, so that a run can be repeated.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

_INTERESTING_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x0A, 0x22, 0x5C)
_INTERESTING_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -0.0, 0.5, 1e308, -1e-308, 1e999),
    *(
        "",
        "\x00",
        "\ud800",
        "\u202e",
        "a" * 200,
        "none",
        "auto",
        "5",
        "-",
        "..",
        "../x",
        "~x",
        "é",
        "你好",
        [],
        {},
        [[]],
    ),
)
_LARGEST_REPEAT = 4096


def mutated(data: bytes, random: Random, words: tuple[bytes, ...], max_bytes: int) -> bytes:
    """One to four small changes."""
    for _ in range(random.choice((1, 1, 2, 4))):
        data = random.choice(_CHANGES)(data, random, words)[:max_bytes]
    return data


def mutated_json(data: bytes, random: Random, words: tuple[bytes, ...], max_bytes: int) -> bytes:
    """A change of a value in the tree of one line, where the line is JSON; else, and now and then, of its bytes."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    try:
        tree = json.loads(lines[at]) if random.random() < 0.8 else None
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, (dict, list)):
        return mutated(data, random, words, max_bytes)
    for _ in range(random.choice((1, 1, 2, 3))):
        tree = _changed(tree, random, words)
    try:
        line = json.dumps(tree).encode()
    except RecursionError:  # an input that was made deep, and then deeper
        return mutated(data, random, words, max_bytes)
    depth = random.choice((50, 500, 950, 3000)) if random.random() < 0.02 else 0
    lines[at] = b'{"a":' * depth + line + b"}" * depth
    if random.random() < 0.1:
        lines.insert(at, random.choice(lines))
    changed = b"\n".join(lines)
    return changed if len(changed) <= max_bytes else data


def mutated_zip(data: bytes, random: Random, words: tuple[bytes, ...], max_bytes: int) -> bytes:
    """A change within one member of an archive, the checksums right again; now and then of the file as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [
                (entry.filename, archive.read(entry)) for entry in archive.infolist() if entry.file_size <= max_bytes
            ]
    except Exception:  # whatever a broken archive makes of it
        members = []
    if not members or random.random() < 0.2:
        return mutated(data, random, words, max_bytes)
    at = random.randrange(len(members))
    members[at] = members[at][0], mutated(members[at][1], random, words, max_bytes)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    changed = buffer.getvalue()
    return changed if len(changed) <= max_bytes else data


def mutated_ogg(data: bytes, random: Random, words: tuple[bytes, ...], max_bytes: int) -> bytes:
    """A change after which the checksums of the pages are right again: without that a decoder skips the page."""
    return with_ogg_checksums(mutated(data, random, words, max_bytes))


def with_ogg_checksums(data: bytes) -> bytes:
    """Each Ogg page with its checksum (RFC 3533, section 6); what is no page stays as it is."""
    fixed = bytearray(data)
    at = fixed.find(b"OggS")
    while at >= 0 and at + 27 <= len(fixed):
        n_segments = fixed[at + 26]
        end = at + 27 + n_segments + sum(fixed[at + 27 : at + 27 + n_segments])
        fixed[at + 22 : at + 26] = bytes(4)
        fixed[at + 22 : at + 26] = _ogg_checksum(bytes(fixed[at:end])).to_bytes(4, "little")
        at = fixed.find(b"OggS", at + 27)
    return bytes(fixed)


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value


def _ogg_table() -> tuple[int, ...]:
    """Of the polynomial 0x04c11db7, not reflected."""
    table: list[int] = []
    for byte in range(256):
        remainder = byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(remainder)
    return tuple(table)


_OGG_TABLE = _ogg_table()

# ------------------------------------------------------------------------------------------------------------- bytes

_Change = Callable[[bytes, Random, "tuple[bytes, ...]"], bytes]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + int(random.expovariate(1 / 12)) + 1)


def _flip(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    if not data:
        return b"\x00"
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def _set(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes((random.choice(_INTERESTING_BYTES),)) + data[at + 1 :]


def _set_number(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    """A field of a binary header."""
    size = random.choice((2, 4, 8))
    value = random.choice(
        (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), random.randrange(2 ** (8 * size)), len(data))
    )
    at = random.randrange(len(data) + 1)
    return data[:at] + value.to_bytes(size, random.choice(("little", "big"))) + data[at + size :]


def _delete(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _cut(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _repeat(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    """A short stretch many times: what costs the square of its length shows itself so."""
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 10, 100, _LARGEST_REPEAT)) + data[end:]


def _move(data: bytes, random: Random, _words: tuple[bytes, ...]) -> bytes:
    start, end = _span(data, random)
    at = random.randrange(len(data) + 1)
    return data[:at] + data[start:end] + data[at:]


def _insert_word(data: bytes, random: Random, words: tuple[bytes, ...]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + (random.choice(words) if words else b" ") + data[at:]


def _replace_by_word(data: bytes, random: Random, words: tuple[bytes, ...]) -> bytes:
    start, end = _span(data, random)
    return data[:start] + (random.choice(words) if words else b"") + data[end:]


_CHANGES: tuple[_Change, ...] = (
    *(_flip, _set, _set_number, _delete, _cut, _repeat, _move, _insert_word, _insert_word, _replace_by_word),
)

# -------------------------------------------------------------------------------------------------------------- JSON


def _changed(tree: Any, random: Random, words: tuple[bytes, ...]) -> Any:
    """A change somewhere in the tree, or of all of it."""
    if isinstance(tree, dict) and tree and random.random() < 0.85:
        key = random.choice(list(tree))
        match random.randrange(8):
            case 0:
                return {name: value for name, value in tree.items() if name != key}
            case 1:
                return tree | {random.choice((_word(random, words), key + "x", "")): tree[key]}
            case _:
                return tree | {key: _changed(tree[key], random, words)}
    if isinstance(tree, list) and tree and random.random() < 0.85:
        at = random.randrange(len(tree))
        match random.randrange(8):
            case 0:
                return tree[:at] + tree[at + 1 :]
            case 1:
                return tree[:at] + tree[at : at + 1] * random.choice((2, 20)) + tree[at + 1 :]
            case _:
                return [*tree[:at], _changed(tree[at], random, words), *tree[at + 1 :]]
    match random.randrange(6):
        case 0 if isinstance(tree, str) and tree:
            return mutated(tree.encode("utf-8", "replace"), random, words, 4 * len(tree) + 64).decode(
                "utf-8", "replace"
            )
        case 1 if isinstance(tree, (int, float)) and not isinstance(tree, bool):
            return random.choice((tree + 1, -tree, tree * 1000, float(tree) if abs(tree) < 2**53 else 0, str(tree)))
        case 2:
            return _word(random, words)
        case 3:
            return {_word(random, words): tree}
        case 4:
            return [tree, tree]
        case _:
            return random.choice(_INTERESTING_VALUES)


def _word(random: Random, words: tuple[bytes, ...]) -> str:
    return random.choice(words).decode("utf-8", "replace") if words else ""
