"""ONNX files of a few nodes, written by hand: enough to stand for a model's inputs, outputs and shapes.

Protocol buffers (onnx.proto, IR version 8, opset 17) without the onnx package: a message is its fields, a field is a
tag and a varint, a float or bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FLOAT, INT64 = 1, 7


def varint(value: int) -> bytes:
    encoded = bytearray()
    while True:
        encoded.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(encoded)


def number(tag: int, value: int) -> bytes:
    return varint(tag << 3) + varint(value)


def data(tag: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(raw)) + raw


def tensor(name: str, values: np.ndarray) -> bytes:
    """A constant: dims, data_type, name, raw_data."""
    kind = INT64 if values.dtype == np.int64 else FLOAT
    dims = b"".join(number(1, size) for size in values.shape)
    return dims + number(2, kind) + data(8, name) + data(9, values.tobytes())


def value_info(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    """An input or output; a dimension that is a name may have any size."""
    dims = b"".join(data(1, number(1, size) if isinstance(size, int) else data(2, size)) for size in shape)
    return data(1, name) + data(2, data(1, number(1, kind) + data(2, dims)))


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int | float | list[int]) -> bytes:
    encoded = b"".join(data(1, name) for name in inputs) + b"".join(data(2, name) for name in outputs)
    return encoded + data(4, operator) + b"".join(data(5, attribute(*pair)) for pair in attributes.items())


def attribute(name: str, value: int | float | list[int]) -> bytes:
    if isinstance(value, list):
        return data(1, name) + b"".join(number(8, one) for one in value) + number(20, 7)
    if isinstance(value, float):
        return data(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    return data(1, name) + number(3, value) + number(20, 2)


def write_model(
    path: Path,
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    constants: Sequence[bytes] = (),
) -> Path:
    graph = b"".join(data(1, one) for one in nodes) + data(2, "small")
    graph += b"".join(data(5, one) for one in constants)
    graph += b"".join(data(11, one) for one in inputs) + b"".join(data(12, one) for one in outputs)
    path.write_bytes(number(1, 8) + data(7, graph) + data(8, data(1, "") + number(2, 17)))
    return path


def audio_turn_model(path: Path) -> Path:
    """With Smart Turn's signature: the sigmoid of the mean of the last 100 frames (1 s), so that silence is an end."""
    features, probability = "input_features", "logits"
    nodes = [
        node("Slice", [features, "begin", "end", "axis"], ["newest"]),
        node("ReduceMean", ["newest"], ["mean"], axes=[1, 2], keepdims=0),
        node("Mul", ["mean", "steepness"], ["steep"]),
        node("Sigmoid", ["steep"], ["flat"]),
        node("Unsqueeze", ["flat", "axis_1"], [probability]),
    ]
    constants = [
        tensor("begin", np.array([700], np.int64)),
        tensor("end", np.array([800], np.int64)),
        tensor("axis", np.array([2], np.int64)),
        tensor("axis_1", np.array([1], np.int64)),
        tensor("steepness", np.array([-8.0], np.float32)),
    ]
    return write_model(
        path,
        nodes,
        [value_info(features, FLOAT, (1, 80, 800))],
        [value_info(probability, FLOAT, (1, 1))],
        constants,
    )


def text_turn_model(path: Path, end_id: int) -> Path:
    """With the signature of LiveKit's text model: 0.9 where the last token is `end_id`, else 0.1, at each position."""
    nodes = [
        node("Equal", ["input_ids", "end_id"], ["is_end"]),
        node("Where", ["is_end", "high", "low"], ["prob"]),
    ]
    constants = [
        tensor("end_id", np.array([end_id], np.int64)),
        tensor("high", np.array([0.9], np.float32)),
        tensor("low", np.array([0.1], np.float32)),
    ]
    return write_model(
        path,
        nodes,
        [value_info("input_ids", INT64, (1, "n"))],
        [value_info("prob", FLOAT, (1, "n"))],
        constants,
    )
