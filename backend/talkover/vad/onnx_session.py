"""ONNX files that listen beside the rest: opened for one thread each, with errors that name the setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from talkover.engines import EngineUnavailable
from talkover.extras import install_command


class OnnxSession(Protocol):
    """What is used of an onnxruntime.InferenceSession."""

    def get_inputs(self) -> Sequence[Any]: ...

    def run(self, output_names: None, input_feed: dict[str, Any]) -> Sequence[Any]: ...


def open_session(path: Path, key: str) -> OnnxSession:
    """An ONNX file on one CPU thread; `key` is the setting that names it. Raises EngineUnavailable."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailable(f"{key}: needs onnxruntime ({error}): {install_command('turn')}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # it runs beside synthesis and recognition, for some 10 ms; threads would spin
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common class but this one
        why = "does not exist" if not path.exists() else f"is not a model onnxruntime can read ({type(error).__name__})"
        raise EngineUnavailable(f"{key}: {path} {why}") from error
