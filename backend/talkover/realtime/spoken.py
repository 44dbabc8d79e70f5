"""What the agent has said in a session, and how much of it was heard. No I/O."""

from __future__ import annotations

from talkover.audio import AudioFormat, WireDecoder
from talkover.messages import WireAudio
from talkover.pipeline.far_end import FarEnd
from talkover.pipeline.ledger import Playback
from talkover.realtime.actions import Heard, Outbox, Voiced
from talkover.realtime.conversation import Conversation
from talkover.realtime.errors import ProtocolError
from talkover.realtime.extension import Extension
from talkover.realtime.interjections import SaidAside
from talkover.realtime.response import Response
from talkover.realtime.resumption import Rest, SentAudio

MAX_AHEAD_MS = 1000
"""a client may say that it played so much more than was sent: its clock is not ours"""


class Spoken:
    """Sends audio, follows its playback, and keeps the heard ledger of every message."""

    def __init__(self, conversation: Conversation, extension: Extension, outbox: Outbox) -> None:
        self.playback = Playback()
        """of the conversation; what is said aside sounds beside it"""
        self.far_end: FarEnd | None = None
        """follows what is played where an echo canceller needs it"""
        self._conversation = conversation
        self._extension = extension
        self._outbox = outbox
        self._far_decoder: WireDecoder | None = None
        self._sent_audio = SentAudio()
        self._said_aside = SaidAside()
        self.newest: tuple[Response, str] | None = None
        """the newest response of the conversation that was spoken, and its message"""

    # -------------------------------------------------------------------------------------------------- speaking

    def say(self, response: Response, audio: WireAudio, is_main: bool, now_s: float) -> None:
        """Send speech of a response. `is_main`: it belongs to the conversation, and is followed."""
        words = response.audio(audio)
        message_id = response.message_id
        if message_id is not None:
            self._extension.words(response.id, message_id, words)
            if words:
                self._outbox.act(Voiced(message_id, words))
            if is_main:
                self._follow_far_end(response, audio, now_s)
                self.playback.sent(message_id, audio.duration_ms, now_s)
                self.newest = (response, message_id)
                self._sent_audio.add(message_id, audio, self.playback.certain_ms(message_id, now_s))
        response.send_audio(audio)

    def say_aside(self, response: Response, audio: WireAudio, now_s: float) -> None:
        """Send speech that stops and delays nothing of the conversation."""
        response.audio(audio)
        self._follow_far_end(response, audio, now_s)
        response.send_audio(audio)

    def said_aside(self, response: Response, now_s: float) -> None:
        """All of it has been sent."""
        entry = response.entry
        if entry is not None and entry.ledger is not None:
            self._said_aside.add(entry.item.id, entry.ledger, now_s)

    def stop(self, now_s: float) -> list[str]:
        """Fall silent. Returns the messages that the user will not hear to their end, to be `cut`."""
        if self.far_end is not None:
            self.far_end.stop(now_s)
        return self.playback.stop(now_s)

    def rest(self, item_id: str, played_ms: float, audio_format: AudioFormat) -> Rest:
        """What of the newest message has not been heard, to be said again."""
        entry = self._conversation.get(item_id)
        if entry is None or entry.ledger is None:
            return Rest()
        return self._sent_audio.unheard(item_id, entry.ledger, played_ms, audio_format)

    def _follow_far_end(self, response: Response, audio: WireAudio, now_s: float) -> None:
        if self.far_end is None or not audio.payload:
            return
        decoder = self._far_decoder
        if decoder is None or decoder.format != response.plan.output_format:
            decoder = self._far_decoder = WireDecoder(response.plan.output_format)
        self.far_end.add(decoder.feed(audio.payload), max(self.playback.ends_s(), now_s), now_s)

    # --------------------------------------------------------------------------------------------------- hearing

    def is_audible(self, now_s: float) -> bool:
        """The agent is heard."""
        return self.playback.is_audible(now_s)

    def was_heard(self, response: Response) -> bool:
        """Whether anything of it reached the user, fillers aside."""
        entries = [self._conversation.get(item.id) for item in response.output]
        return any(
            entry is not None and (entry.heard_chars is None or entry.heard_chars > entry.filler_chars)
            for entry in entries
        )

    def cut(self, item_id: str, played_ms: float) -> None:
        """The user heard no more than this of a message."""
        entry = self._conversation.get(item_id)
        if entry is None or entry.ledger is None:
            return
        entry.heard_chars = entry.ledger.heard_chars(played_ms)
        self._extension.heard(item_id, entry.heard_text, entry.heard_chars, round(played_ms))
        self._outbox.act(Heard(item_id, entry.heard_chars, played_ms))

    def truncate(self, item_id: str, audio_end_ms: int, now_s: float) -> int:
        """The client says how much of an item it played. Returns the position, clamped. Raises ProtocolError."""
        entry = self._conversation.get(item_id)
        if (aside := self._said_aside.get(item_id)) is not None:
            self._said_aside.playback.reported(item_id, audio_end_ms, True, now_s)
            return min(audio_end_ms, round(aside.audio_ms))
        if entry is None:
            raise ProtocolError("item_truncate_invalid_item_id", f"Item {item_id!r} does not exist", "item_id")
        if entry.ledger is None:
            raise ProtocolError("unsupported_content_type", f"Item {item_id!r} holds no audio of the model", "item_id")
        sent_ms = entry.ledger.audio_ms
        if audio_end_ms > sent_ms + MAX_AHEAD_MS:
            raise ProtocolError(
                "invalid_value",
                f"audio_end_ms must be at most {round(sent_ms)}, the audio sent, got {audio_end_ms}",
                "audio_end_ms",
            )
        played_ms = min(audio_end_ms, round(sent_ms))
        self.playback.reported(item_id, played_ms, True, now_s)
        self.cut(item_id, played_ms)
        return played_ms

    def played(self, item_id: str, played_ms: float, ended: bool, now_s: float) -> None:
        """The client reports its playback."""
        if self._said_aside.get(item_id) is not None:
            self._said_aside.playback.reported(item_id, played_ms, ended, now_s)
            return
        self.playback.reported(item_id, played_ms, ended, now_s)
        entry = self._conversation.get(item_id)
        if ended and entry is not None and entry.heard_chars is not None:
            self.cut(item_id, played_ms)
