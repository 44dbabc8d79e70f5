"""When a listener runs out of audio: by that, whoever waits for a shared engine is served. Pure."""

from __future__ import annotations

PATIENCE_S = 0.3
"""a listener who has heard nothing yet is as urgent as one whose audio ends this long after the request came"""


def runs_out_s(submitted_s: float, first_audio_s: float | None, made_s: float) -> float:
    """When a listener has heard `made_s` seconds of audio, the first of them at `first_audio_s`, if there is any."""
    return submitted_s + PATIENCE_S if first_audio_s is None else first_audio_s + made_s
