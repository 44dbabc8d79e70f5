"""Whether a call may be recorded: the sentence that tells of it comes first, a refusal ends it. No I/O.

The sentence is said when the client has set the session up, as soon as nobody speaks, and before anything else the
agent has to say. Only a sentence that was heard to its end counts: one that was cut short, by the client or by a
failure, is said again, and where that does not help either, nothing is recorded. The user may talk over it, which does
not stop it.
"""

from __future__ import annotations

from talkover.realtime.actions import Outbox, Record
from talkover.realtime.conversation import Conversation
from talkover.realtime.extension import Extension
from talkover.realtime.phrases import remark
from talkover.realtime.recording_refusal import refuses
from talkover.realtime.response import Response

WAIT_S = 1.0
"""for a client's first `session.update`, which may switch recording off"""
SETTLES_WITHIN_S = 0.2
"""stock clients send two of them in a row"""
AGAIN_AFTER_S = 1.0
MAX_TRIES = 3


class RecordingNotice:
    """Of one session. Tells observers by `Record`, clients of the extension by `s2s.recording.updated`."""

    def __init__(self, sentence: str | None, conversation: Conversation, extension: Extension, outbox: Outbox) -> None:
        """`sentence`: what the user is told; empty: they need not be; None: calls are not recorded."""
        self._sentence = sentence
        self._conversation = conversation
        self._extension = extension
        self._outbox = outbox
        self._may = sentence is not None
        """nobody has refused, and the user could be told"""
        self._client_agrees = True
        self._is_told = False
        self._due_at_s: float | None = None
        self._tries = 0
        self._telling: Response | None = None
        self._heard_at_s: float | None = None
        """when the sentence, of which all was sent, will have been heard"""
        self._awaits_reply = False
        self._owes_remark = False
        self._is_on = False
        self._shown_on = False

    def opened(self, now_s: float) -> None:
        if self._may:
            self._due_at_s = now_s + WAIT_S

    def configured(self, recording: bool | None, now_s: float) -> None:
        """The client has sent a `session.update`; `recording` is false where it wants none for now."""
        self._client_agrees = recording is not False
        if self._due_at_s is not None and not self._tries:
            self._due_at_s = min(self._due_at_s, now_s + SETTLES_WITHIN_S)
        self._decide("client")

    @property
    def is_pending(self) -> bool:
        """The sentence has to be said, or is being: what else there is to say waits."""
        return self._telling is not None or (self._due_at_s is not None and self._client_agrees)

    @property
    def insists(self) -> bool:
        """The sentence is being said: talking over it does not stop it."""
        return self._telling is not None

    def deadline_s(self, line_is_free: bool) -> float | None:
        """When `step` is due at the latest, though nothing happens."""
        if self._telling is not None:
            return self._heard_at_s
        return self._due_at_s if line_is_free and self.is_pending else None

    def step(self, line_is_free: bool, sounds_until_s: float, language: str, now_s: float) -> str | None:
        """What is to be said now. `line_is_free`: nobody speaks, and nothing is being answered or awaited.

        `sounds_until_s`: when the user will have heard all that was sent.
        """
        if self._telling is not None and self._telling.status != "in_progress":
            self._judge(self._telling, sounds_until_s, now_s)
        if not line_is_free:
            return None
        if self._owes_remark:
            self._owes_remark = False
            return remark("not_recorded", language)
        if not self.is_pending or self._telling is not None or self._due_at_s is None or now_s < self._due_at_s:
            return None
        if not self._sentence:
            self._told()
            return None
        self._tries += 1
        self._awaits_reply = True
        return self._sentence

    def begun(self, response: Response) -> None:
        """What `step` returned is being said."""
        if self._may:
            self._telling = response

    def user_said(self, text: str) -> bool:
        """The user's words. True when they refuse to be recorded, which `step` has acknowledged next."""
        self._owes_remark = self._owes_remark or self.user_wrote(text)
        return self._owes_remark

    def user_wrote(self, text: str) -> bool:
        """What the client put into the user's mouth; a refusal in it is not acknowledged aloud."""
        if not self._may or not text:
            return False
        if not refuses(text, self._awaits_reply):
            self._awaits_reply = self._awaits_reply and not self._is_told
            return False
        self._give_up("refused")
        return True

    # ---------------------------------------------------------------------------------------------------- inside

    def _judge(self, told: Response, sounds_until_s: float, now_s: float) -> None:
        """Whether the sentence, of which all was sent, has been heard."""
        entries = [self._conversation.get(item.id) for item in told.output]
        heard = told.status == "completed" and all(entry is not None and not entry.cut_off for entry in entries)
        if self._heard_at_s is None:
            self._heard_at_s = sounds_until_s
        if heard and now_s < self._heard_at_s:
            return
        self._telling = self._heard_at_s = None
        if heard:
            self._told()
        elif self._tries < MAX_TRIES:
            self._due_at_s = now_s + AGAIN_AFTER_S
        else:
            self._give_up("not_told")

    def _told(self) -> None:
        self._is_told, self._due_at_s = True, None
        self._decide("told")

    def _give_up(self, reason: str) -> None:
        self._may, self._due_at_s, self._telling = False, None, None
        self._decide(reason, erase=True)

    def _decide(self, reason: str, erase: bool = False) -> None:
        on = self._may and self._is_told and self._client_agrees
        if on != self._is_on or erase:
            self._is_on = on
            self._outbox.act(Record(on, erase))
        if on != self._shown_on and self._extension.wants("recording"):
            self._shown_on = on
            self._extension.recording(on, reason)
