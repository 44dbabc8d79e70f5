"""Event logs of sessions that a test drove: written again from their inputs, which is all a session depends on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from session_world import WorldSounds
from talkover.pipeline.cancel import Generations
from talkover.realtime.event_log import came_out, ended, entered, header
from talkover.realtime.session import Broke, Happened, RealtimeSession
from talkover.realtime.session_options import SessionOptions

Inputs = Sequence[tuple[Happened, float]]


def event_log(options: SessionOptions, inputs: Inputs) -> list[bytes]:
    """Run a world's session again and write down what goes in and comes out, up to a step that raises unexpectedly."""
    sounds = WorldSounds()
    lines: list[bytes] = []
    within: list[bytes] = []
    session = RealtimeSession(options, sounds, Generations(), Generations(), record=within.append)
    lines += [header(session.id, options, with_audio=False), *within]
    for (what, now_s), (then, _) in pairwise([*inputs, (None, 0.0)]):
        sounds.fails = isinstance(then, Broke)
        lines.append(entered(what, now_s))
        within.clear()
        try:
            actions = session.handle(what, now_s)
        except Exception as error:
            if isinstance(then, Broke):
                lines += within
                continue
            return [*lines, *within, ended(type(error).__name__)]
        lines += within
        lines += [came_out(actions)] if actions else []
    return [*lines, ended("closed")]
