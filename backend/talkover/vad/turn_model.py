"""Turn models: files that tell, from the voice or from the words, how likely it is that a turn is over.

Two kinds are known by the inputs of their ONNX file:

- `input_features` (1, 80, 800): audio, Smart Turn v3 (BSD-2-Clause). The last 8 s at 16 kHz, padded with silence in
  front, normalised to zero mean and unit variance, as Whisper's log-mel; the output is the probability.
- `input_ids` (1, n): text, LiveKit's turn detector (its licence allows it in LiveKit Agents only; a model of one's own
  with this signature is as good). The conversation in the chat template of the tokenizer beside the file, in lower case
  and without punctuation, up to the last user's words; the last output is the probability that they are all.

What such a model says is one more ground of `turn_end.py`, never the decision.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from talkover.audio import INPUT_RATE_HZ
from talkover.engines import EngineUnavailable, TurnModel
from talkover.extras import install_command
from talkover.messages import PromptMessage, Samples
from talkover.spectra import log_mel
from talkover.vad.onnx_session import OnnxSession, open_session

HEARD_SAMPLES = 8 * INPUT_RATE_HZ
MEL_BINS = 80
_VARIANCE_FLOOR = 1e-7
"""of Whisper's feature extractor"""
MAX_MESSAGES = 6
MAX_TOKENS = 128
"""the newest; both limits are those LiveKit runs its model with"""
END_OF_MESSAGE = "<|im_end|>"


def load_turn_model(path: Path) -> TurnModel:
    """The model in an ONNX file. Raises EngineUnavailable."""
    session = open_session(path, "vad.turn_model")
    names = [entry.name for entry in session.get_inputs()]
    if names == ["input_features"]:
        return AudioTurnModel(session)
    if names == ["input_ids"]:
        return TextTurnModel(session, path.parent)
    wanted = "input_features (Smart Turn v3) or input_ids (LiveKit's turn detector)"
    raise EngineUnavailable(f"vad.turn_model: {path} must have the input {wanted}, has {', '.join(names)}")


class AudioTurnModel:
    """Smart Turn v3. May be called from many threads."""

    hears = True

    def __init__(self, session: OnnxSession) -> None:
        self._session = session

    def end_probability(self, samples: Samples, messages: Sequence[PromptMessage]) -> float:
        """In [0, 1], from (n,) float32 at 16 kHz: the turn so far, the silence after it included."""
        (found,) = self._session.run(None, {"input_features": smart_turn_features(samples)})[:1]
        return _probability(found)


def smart_turn_features(samples: Samples) -> Samples:
    """(1, 80, 800) float32 of (n,) float32 at 16 kHz, any n."""
    heard = np.zeros(HEARD_SAMPLES, np.float64)
    newest = samples[-HEARD_SAMPLES:]
    if newest.size:
        heard[-newest.size :] = newest
    heard = (heard - heard.mean()) / np.sqrt(heard.var() + _VARIANCE_FLOOR)
    return log_mel(heard.astype(np.float32), MEL_BINS)


class TextTurnModel:
    """A language model that reads the conversation. May be called from many threads."""

    hears = False

    def __init__(self, session: OnnxSession, folder: Path) -> None:
        """`folder` holds tokenizer.json and tokenizer_config.json. Raises EngineUnavailable."""
        try:
            from jinja2.sandbox import ImmutableSandboxedEnvironment  # the template is part of a model file
            from tokenizers import Tokenizer
        except ImportError as error:
            message = f"vad.turn_model: a model that reads text needs {error.name}: {install_command('turn')}"
            raise EngineUnavailable(message) from error
        self._session = session
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
            settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            self._template = environment.from_string(settings["chat_template"])
        except Exception as error:  # tokenizers raises bare exceptions; a template may be anything
            needs = "tokenizer.json and tokenizer_config.json with a chat_template"
            raise EngineUnavailable(f"vad.turn_model: {folder} must hold {needs} ({error})") from error

    def end_probability(self, samples: Samples, messages: Sequence[PromptMessage]) -> float:
        """In [0, 1], from the conversation; the last message is what the user has said of the turn so far."""
        ids: list[int] = self._tokenizer.encode(self._written(messages), add_special_tokens=False).ids[-MAX_TOKENS:]
        if not ids:
            return 0.5
        (found,) = self._session.run(None, {"input_ids": np.array([ids], np.int64)})[:1]
        return _probability(found)

    def _written(self, messages: Sequence[PromptMessage]) -> str:
        text: str = self._template.render(messages=chat(messages), add_generation_prompt=False)
        end = text.rfind(END_OF_MESSAGE)
        return text if end < 0 else text[:end]


def chat(messages: Sequence[PromptMessage]) -> list[dict[str, str]]:
    """The newest messages as the model was trained on them: what one side says in a row is one."""
    joined: list[dict[str, str]] = []
    for message in [one for one in messages if one.role != "system" and one.text][-MAX_MESSAGES:]:
        text = plain(message.text)
        if joined and joined[-1]["role"] == message.role:
            joined[-1]["content"] += f" {text}"
        else:
            joined.append({"role": message.role, "content": text})
    return joined


def plain(text: str) -> str:
    """Lower case, without punctuation except apostrophes and hyphens: a recogniser's punctuation would be a guess."""
    normal = unicodedata.normalize("NFKC", text.lower())
    kept = "".join(c for c in normal if c in "'-" or not unicodedata.category(c).startswith("P"))
    return re.sub(r"\s+", " ", kept).strip()


def _probability(output: object) -> float:
    """The last number of an output, which may have any shape."""
    flat = np.asarray(cast("Any", output), np.float64).reshape(-1)
    return float(min(max(flat[-1], 0.0), 1.0)) if flat.size and np.isfinite(flat[-1]) else 0.5
