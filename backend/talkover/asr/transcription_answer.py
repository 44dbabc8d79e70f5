"""What servers answer to `POST /v1/audio/transcriptions`, read into a hypothesis; nothing here waits or fails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from talkover.engines import Hypothesis

LANGUAGE_NAMES = {
    "english": "en",
    "chinese": "zh",
    "mandarin": "zh",
    "cantonese": "yue",
    "japanese": "ja",
    "korean": "ko",
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "russian": "ru",
    "arabic": "ar",
    "hindi": "hi",
    "turkish": "tr",
    "polish": "pl",
    "ukrainian": "uk",
    "vietnamese": "vi",
    "indonesian": "id",
    "thai": "th",
}
"""OpenAI's whisper-1 answers with names where most servers answer with ISO 639 codes"""


def hypothesis_of(document: Any, asked_language: str | None) -> Hypothesis:
    """Text, language and confidence of a `json` or `verbose_json` answer; "" for an answer of another form.

    The confidence is the geometric mean of the tokens' probabilities: from `logprobs`, or from the segments'
    `avg_logprob` weighted by their tokens (their characters where the tokens are not told).
    """
    if not isinstance(document, dict):
        return Hypothesis("")
    answer = cast(Mapping[str, Any], document)
    text = answer.get("text")
    text = " ".join(text.split()) if isinstance(text, str) else ""
    if not text:
        return Hypothesis("")
    return Hypothesis(text, len(text), _confidence(answer), language_code(answer.get("language")) or asked_language)


def language_code(name: Any) -> str | None:
    """ISO 639 code of a language given as a code or by its English name; None for anything else."""
    if not isinstance(name, str):
        return None
    plain = name.strip().lower()
    if plain in LANGUAGE_NAMES:
        return LANGUAGE_NAMES[plain]
    code = plain.partition("-")[0]
    return code if code.isascii() and code.isalpha() and len(code) in (2, 3) else None


def _confidence(answer: Mapping[str, Any]) -> float | None:
    logprobs = [(_number(token, "logprob"), 1.0) for token in _objects(answer.get("logprobs"))]
    if not logprobs:
        logprobs = [(_number(segment, "avg_logprob"), _weight(segment)) for segment in _objects(answer.get("segments"))]
    known = [(logprob, weight) for logprob, weight in logprobs if logprob is not None and logprob <= 0]
    total = sum(weight for _, weight in known)
    if total <= 0:
        return None
    return math.exp(sum(logprob * weight for logprob, weight in known) / total)


def _weight(segment: Mapping[str, Any]) -> float:
    tokens: Any = segment.get("tokens")
    if isinstance(tokens, list):
        return float(len(cast(list[Any], tokens)))
    return float(len(str(segment.get("text") or "")))


def _objects(value: Any) -> list[Mapping[str, Any]]:
    items: list[Any] = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(Mapping[str, Any], item) for item in items if isinstance(item, dict)]


def _number(item: Mapping[str, Any], key: str) -> float | None:
    value: Any = item.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
