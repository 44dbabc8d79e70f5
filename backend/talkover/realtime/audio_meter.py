"""Counts what a session hears and says, for keys whose audio is limited. Installed for no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from talkover.access.policy import Grant
from talkover.realtime.actions import Action, Send
from talkover.realtime.fields import JsonObject
from talkover.realtime.observer import MakeObserver
from talkover.realtime.session import Happened

G711_BYTES_PER_S = 8000


class _Frame(msgspec.Struct):
    """Where audio may be: in `input_audio_buffer.append`, or in an item. Of any type: an event has keys that mean
    nothing to its session, and what stands there must not keep the audio from being counted."""

    audio: Any = None
    item: Any = None


_read_frame = msgspec.json.Decoder(_Frame).decode


class AudioMeter:
    """A `SessionObserver` that spends what it counts."""

    def __init__(self, spend: Callable[[float], bool], on_used_up: Callable[[], None]) -> None:
        """`spend` takes seconds of audio and says whether there is some left; `on_used_up` is called once."""
        self._spend = spend
        self._on_used_up = on_used_up
        self._is_used_up = False
        self._input_bytes_per_s = self._output_bytes_per_s = 48_000
        self._of_responses: dict[str, int] = {}
        """bytes per second of the responses under way"""

    def happened(self, what: Happened, now_s: float) -> None:
        if not isinstance(what, str) or ('"audio"' not in what and "\\u" not in what):  # an escape may hide the name
            return
        try:
            frame = _read_frame(what)
        except (ValueError, RecursionError):
            return  # the session refuses it
        self._count(_audio_characters(frame), self._input_bytes_per_s)

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._sent(action.event)

    def closed(self) -> None:
        """Everything has been counted."""

    def _sent(self, event: JsonObject) -> None:
        match event["type"]:
            case "response.output_audio.delta":
                rate = self._of_responses.get(event["response_id"], self._output_bytes_per_s)
                self._count(len(event["delta"]), rate)
            case "response.created":
                response = event["response"]
                self._of_responses[response["id"]] = _bytes_per_s(response["audio"]["output"]["format"])
            case "response.done":
                self._of_responses.pop(event["response"]["id"], None)
            case "session.created" | "session.updated":
                audio = event["session"]["audio"]
                self._input_bytes_per_s = _bytes_per_s(audio["input"]["format"])
                self._output_bytes_per_s = _bytes_per_s(audio["output"]["format"])
            case _:
                pass

    def _count(self, n_characters: int, bytes_per_s: int) -> None:
        """`n_characters` of base64, which stand for three quarters as many bytes."""
        if n_characters and not self._spend(n_characters * 0.75 / bytes_per_s) and not self._is_used_up:
            self._is_used_up = True
            self._on_used_up()


def _audio_characters(frame: _Frame) -> int:
    """Of the base64 in a frame."""
    match frame.item:
        case {"content": list(parts)}:
            holders = cast("list[Any]", parts)
        case _:
            holders = []
    found = [frame.audio, *(part.get("audio") for part in holders if isinstance(part, dict))]
    return sum(len(audio) for audio in found if isinstance(audio, str))


def metering(grant: Grant, on_used_up: Callable[[], None]) -> tuple[MakeObserver, ...]:
    """What counts the audio of a session of `grant`; nothing where that has no limit."""
    return (lambda _id, _options: AudioMeter(grant.spend_audio, on_used_up),) if grant.limits_audio else ()


def _bytes_per_s(wire: JsonObject) -> int:
    return 2 * wire["rate"] if wire["type"] == "audio/pcm" else G711_BYTES_PER_S
