"""Event logs of sessions that a test drove: written again from their inputs, which is all a session depends on."""

from __future__ import annotations

from collections.abc import Sequence

from talkover.pipeline.cancel import Generations
from talkover.realtime.event_log import came_out, ended, entered, header
from talkover.realtime.session import Happened, RealtimeSession
from talkover.realtime.session_options import SessionOptions
from talkover.vad.frame_sound import FrameSounds

Inputs = Sequence[tuple[Happened, float]]


def event_log(options: SessionOptions, sounds: FrameSounds, inputs: Inputs) -> list[bytes]:
    """Run the session again and write down what goes in and comes out, up to a step that raises."""
    lines: list[bytes] = []
    within: list[bytes] = []
    session = RealtimeSession(options, sounds, Generations(), Generations(), record=within.append)
    lines += [header(session.id, options, with_audio=False), *within]
    for what, now_s in inputs:
        lines.append(entered(what, now_s))
        within.clear()
        try:
            actions = session.handle(what, now_s)
        except Exception as error:
            return [*lines, *within, ended(type(error).__name__)]
        lines += within
        lines += [came_out(actions)] if actions else []
    return [*lines, ended("closed")]
