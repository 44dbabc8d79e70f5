"""Paraformer with the small models of tests/data/models, and sentences it has never heard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talkover.config import Settings, load_settings

MODELS = Path(__file__).parent / "data" / "models"
HELD_OUT: list[dict[str, str]] = json.loads((MODELS / "held_out.json").read_text(encoding="utf-8"))
"""sentences of the models' vocabulary that they were not trained on, with the punctuation they should get"""
ENGLISH_VOICES, MANDARIN_VOICES = ("en-us-f1", "en-us-m1", "en-gb-f1"), ("zh-cn-f1", "zh-cn-m1")


def paraformer_settings(*overrides: str) -> Settings:
    """Those of the small models, with `overrides` of the section `asr`."""
    own = (
        "engine=paraformer",
        f"model={MODELS / 'paraformer'}",
        f"streaming_model={MODELS / 'paraformer-streaming'}",
        f"punctuation_model={MODELS / 'punctuation'}",
    )
    return load_settings(None, [f"asr.{override}" for override in (*own, *overrides)], {})


def needs_funasr() -> None:
    pytest.importorskip("funasr", reason="needs the extra 'full'")
