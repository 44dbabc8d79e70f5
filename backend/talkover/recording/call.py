"""One call as it is recorded: what its session is told and decides goes in, sound and transcript come out. Pure."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from talkover.audio import samples_to_ms
from talkover.messages import AudioFormat, SourcesFound, Transcript
from talkover.realtime.actions import Action, Heard, Record, Send, Voiced
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import AudioAppend, AudioClear, PlaybackUpdated, parse_client_event
from talkover.realtime.fields import Field, JsonObject
from talkover.realtime.parameters import read_format
from talkover.realtime.phrases import METADATA_KEY
from talkover.realtime.session import Happened
from talkover.recording import transcript
from talkover.recording.agent_track import AgentTrack
from talkover.recording.conversation_notes import ConversationNotes
from talkover.recording.user_track import UserTrack
from talkover.recording.wire_audio import RATE_HZ, RecordingDecoder

SETTLES_AFTER_S = 10.0
"""reports of the client's playback move audio as long as this; then it is written, and stays"""
BLOCK_S = 10.0
MAX_PENDING_S = 1200.0
"""audio of both sides that may wait to be heard: a client that sends a long file at once"""


class TooFarAhead(Exception):
    """More audio waits to be heard than is kept."""


@dataclass(slots=True)
class _Voice:
    """The audio of one response."""

    decoder: RecordingDecoder
    is_heard: bool


class CallRecording:
    """Of one session. Times are seconds of its monotonic clock; `happened` and `decided` come in their order."""

    def __init__(
        self, call: str, notice: str, opened_s: float, input_format: AudioFormat, pre_roll_ms: int = 0
    ) -> None:
        """`notice`: what the user is told before it begins. `pre_roll_ms`: turns begin so long before the voice."""
        self.caller: str | None = None
        self.is_on = False
        self._call = call
        self._notice = notice
        self._pre_roll_ms = pre_roll_ms
        self._opened_s = opened_s
        self._user = UserTrack(input_format)
        self._agent = AgentTrack()
        self._notes = ConversationNotes()
        self._voices: dict[str, _Voice] = {}
        self._base: int | None = None
        """where on the call's clock the recording begins; None: it has not"""
        self.started_at_s = 0.0
        """seconds since the epoch, once it has begun"""
        self._taken = 0
        self._unrecorded: list[tuple[int, int | None]] = []
        """stretches after `base` that are not to be recorded; the last may be open"""

    # ---------------------------------------------------------------------------------------------------- events

    def happened(self, what: Happened, now_s: float) -> None:
        """What the session is told. Raises TooFarAhead."""
        match what:
            case str():
                self._frame(what, self._position(now_s))
            case Transcript(item_id=item_id, text=text, final=True, revision=revision):
                self._notes.understood(item_id, text, revision)
            case SourcesFound(response_id=response_id, sources=sources):
                self._notes.sources_found(response_id, sources)
            case _:
                pass
        if (self._user.pending_samples + self._agent.pending_samples) > MAX_PENDING_S * RATE_HZ:
            raise TooFarAhead

    def decided(self, actions: Sequence[Action], now_s: float, wall_s: float) -> None:
        """What it decides; `wall_s`: the same time in seconds since the epoch."""
        now = self._position(now_s)
        for action in actions:
            match action:
                case Send(event):
                    self._event(event, now)
                case Heard(item_id, heard_chars, played_ms):
                    self._agent.heard(item_id, round(played_ms * RATE_HZ / 1000))
                    self._notes.message_heard(item_id, heard_chars)
                case Voiced(item_id, words):
                    self._notes.message_words(item_id, words)
                case Record(on):
                    self._switch(on, now, wall_s)
                case _:
                    pass

    def _frame(self, frame: str, now: int) -> None:
        try:
            event = parse_client_event(frame)
        except ProtocolError:
            return
        match event:
            case AudioAppend(audio=audio):
                self._user.received(audio, now)
                self._notes.buffered(self._user.ends)
            case AudioClear():
                self._notes.cleared()
            case PlaybackUpdated(item_id=item_id, audio_played_ms=played_ms, ended=ended):
                self._agent.reported(item_id, round(played_ms * RATE_HZ / 1000), ended, now)
            case _:
                pass

    def _event(self, event: JsonObject, now: int) -> None:
        notes, item_id = self._notes, event.get("item_id", "")
        match event["type"]:
            case "session.created" | "session.updated":
                self._configured(event["session"])
            case "input_audio_buffer.speech_started":
                notes.speech_started(item_id, self._user.clock_at(event["audio_start_ms"]))
            case "input_audio_buffer.speech_stopped":
                notes.speech_stopped(item_id, self._user.clock_at(event["audio_end_ms"]))
            case "input_audio_buffer.committed":
                notes.committed(item_id, self._user.ends)
            case "conversation.item.added":
                notes.item_added(event["item"], now)
            case "response.created":
                self._response_created(event["response"])
            case "response.output_item.added" if event["item"]["type"] == "message":
                if self._is_heard(event):
                    notes.message_begun(event["item"]["id"], event["response_id"], now)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                notes.message_text(item_id, event["delta"], typed=event["type"] == "response.output_text.delta")
            case "response.output_audio.delta" if self._is_heard(event):
                decoder = self._voices[event["response_id"]].decoder
                self._agent.sent(item_id, decoder.feed(binascii.a2b_base64(event["delta"])), now)
            case "response.done":
                self._voices.pop(event["response"]["id"], None)
            case "s2s.playback.pause":
                self._agent.paused(now)
            case "s2s.playback.resume":
                self._agent.resumed(now)
            case _:
                pass

    def _configured(self, session: JsonObject) -> None:
        self._user.use_format(_audio_format(session["audio"]["input"]["format"]))
        self.caller = session.get("s2s", {}).get("caller", self.caller)

    def _response_created(self, response: JsonObject) -> None:
        """What a client has made beside the conversation is not known to be heard; what the agent says aside is."""
        is_aside = response["conversation_id"] is None and METADATA_KEY not in (response["metadata"] or {})
        decoder = RecordingDecoder(_audio_format(response["audio"]["output"]["format"]))
        self._voices[response["id"]] = _Voice(decoder, not is_aside)

    def _is_heard(self, event: JsonObject) -> bool:
        voice = self._voices.get(event["response_id"])
        return voice is not None and voice.is_heard

    def _switch(self, on: bool, now: int, wall_s: float) -> None:
        if on == self.is_on:
            return
        self.is_on = on
        if self._base is None:
            self._user.skip(now)
            self._agent.skip(now)
            self._base = self._taken = now
            self.started_at_s = wall_s
        elif on:
            self._unrecorded[-1] = (self._unrecorded[-1][0], now)
        else:
            self._unrecorded.append((now, None))

    # --------------------------------------------------------------------------------------------------- results

    def blocks(self, now_s: float, is_over: bool = False) -> Iterator[NDArray[np.int16]]:
        """(n, 2) int16 at `RATE_HZ`, user left and agent right, as far as it will not change; all when it `is_over`."""
        until = self._position(now_s if is_over else now_s - SETTLES_AFTER_S)
        if self._base is None:
            self._user.skip(max(0, until))
            self._agent.skip(max(0, until))
            return
        while self._taken < until:
            end = min(until, self._taken + round(BLOCK_S * RATE_HZ))
            block = np.stack([self._user.take(end), self._agent.take(end)], axis=1)
            for start, stop in self._unrecorded:
                low = max(0, start - self._taken)
                high = block.shape[0] if stop is None else max(0, stop - self._taken)
                block[low:high] = 0
            self._taken = end
            yield block

    def transcript(self, finished: bool, fault: str | None) -> transcript.Transcript:
        """Of what has been taken by `blocks`."""
        base = self._base or 0
        unrecorded = [(start, self._taken if stop is None else stop) for start, stop in self._unrecorded]
        unrecorded_ms = tuple((_ms(start - base), _ms(stop - base)) for start, stop in unrecorded if start < stop)
        items = self._notes.items(self._agent, base, self._taken)
        return transcript.Transcript(
            call=self._call,
            caller=self.caller,
            started_at=datetime.fromtimestamp(self.started_at_s, UTC).isoformat(timespec="milliseconds"),
            duration_ms=_ms(self._taken - base),
            notice=self._notice,
            items=tuple(
                replace(item, start_ms=max(0, item.start_ms))  # the pre-roll of its first turn is before the recording
                for item in items
                if self._is_recorded(item, unrecorded_ms)
            ),
            unrecorded_ms=unrecorded_ms,
            finished=finished,
            fault=fault,
        )

    def _is_recorded(self, item: transcript.TranscriptItem, unrecorded_ms: Sequence[tuple[int, int]]) -> bool:
        """Whether all of it was recorded: what was said in part before or beside that may hold what was not."""
        begins_ms = item.start_ms + (self._pre_roll_ms if item.who == "user" and not item.typed else 0)
        return begins_ms >= 0 and not any(
            begins_ms < end_ms and item.end_ms >= start_ms for start_ms, end_ms in unrecorded_ms
        )

    def _position(self, at_s: float) -> int:
        return round((at_s - self._opened_s) * RATE_HZ)


def _audio_format(wire: JsonObject) -> AudioFormat:
    return read_format(Field(wire, "format"))


def _ms(position: int) -> int:
    return round(samples_to_ms(position, RATE_HZ))
