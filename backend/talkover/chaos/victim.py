"""The caller in whose session a fault happens: what they hear and see of it, and when they are listened to again."""

from __future__ import annotations

import contextlib
import time

from talkover.bench.caller import ANSWER_TIMEOUT_S, SETTLE_S, Caller
from talkover.chaos.plan import VICTIM, VICTIM_SPEED
from talkover.chaos.verdict import Heard
from talkover.client.connection import ConversationEnded, Received
from talkover.client.loudspeaker import first_audible_s
from talkover.client.recordings import Recording
from talkover.client.turns import Answer

LISTEN_S = 5.0
"""how long an answer is listened to at most: it may have no end"""
MARGIN_S = 6.0
"""waited beyond the limit, so that a reply that is too late is told from none"""
NOTICED_WITHIN_S = 4.0
"""of speech that a session which listens takes notice of"""


class Victim:
    """One session after the other, as many as are needed."""

    def __init__(self, url: str, key: str | None, question: Recording) -> None:
        """Raises ServerUnreachable."""
        self._url = url
        self._key = key
        self._question = question
        self.reconnected = False
        self._caller = self._call()

    def close(self) -> None:
        self._caller.close()

    def ask(self, limit_s: float) -> tuple[Heard, float]:
        """What is heard or seen for a question, and when (monotonic) that was; or when the wait was given up."""
        caller = self._caller
        since = caller.client.cursor
        said = caller.microphone.say(self._question, SETTLE_S)
        asked_s = said.end_s(caller.microphone.opened_s)
        told = ""
        try:
            self._wait_for_reply(since, asked_s, limit_s)
        except ConversationEnded as error:
            told = str(error)
        heard, noticed_s = self._heard(since, asked_s, told)
        with contextlib.suppress(ConversationEnded, TimeoutError):
            caller.stop(since)
        return heard, noticed_s

    def listened_to_again_s(self, patience_s: float) -> float | None:
        """Speak again at once: when (monotonic) that was noticed. It must be answered, too. None: not in time.

        A session that does not listen, or is over, is left for a new one.
        """
        end_s = time.monotonic() + patience_s
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError, TimeoutError):
                return self._speak_again()
            with contextlib.suppress(OSError):
                self._caller.close()
                self._caller = self._call()
                self.reconnected = True
            time.sleep(0.2)
        return None

    def _speak_again(self) -> float:
        """Raises ConversationEnded, TimeoutError."""
        caller = self._caller
        since = caller.client.cursor
        asked_s = caller.microphone.say(self._question).end_s(caller.microphone.opened_s)
        noticed = caller.client.wait("input_audio_buffer.speech_started", NOTICED_WITHIN_S, since)

        def is_answered() -> bool:
            return first_audible_s(caller.speaker.stretches, max(asked_s, noticed.at_s)) is not None

        caller.client.wait_until(is_answered, ANSWER_TIMEOUT_S, "an answer")
        with contextlib.suppress(TimeoutError):
            caller.stop(since)
        return noticed.at_s

    def _call(self) -> Caller:
        caller = Caller(self._url, key=self._key, seed=7)
        audio = {
            "input": {"transcription": {"model": "default", "prompt": VICTIM}},
            "output": {"speed": VICTIM_SPEED},
        }
        caller.client.send({"type": "session.update", "session": {"instructions": VICTIM, "audio": audio}})
        return caller

    def _wait_for_reply(self, since: int, asked_s: float, limit_s: float) -> None:
        """Until an answer is over or was listened to for long, or something was shown. Raises ConversationEnded."""
        caller = self._caller

        def is_over() -> bool:
            if any(_is_trouble(received) for received in caller.client.events(since)):
                return not any(answer.status == "in_progress" for answer in self._answers(since))
            first_s = first_audible_s(caller.speaker.stretches, asked_s)
            if first_s is not None and time.monotonic() > first_s + LISTEN_S:
                return True
            answers = [answer for answer in self._answers(since) if answer.created_s > asked_s - SETTLE_S]
            return bool(answers) and all(answer.status not in ("in_progress", "cancelled") for answer in answers)

        with contextlib.suppress(TimeoutError):
            caller.client.wait_until(is_over, asked_s - time.monotonic() + limit_s + MARGIN_S, "a reply")

    def _heard(self, since: int, asked_s: float, ended: str) -> tuple[Heard, float]:
        now_s = time.monotonic()
        answers = self._answers(since)
        shown = [received for received in self._caller.client.events(since) if _shows(received)]
        told = [_told(received) for received in shown if _is_trouble(received)]
        told += [ended] if ended else []
        sound_s = first_audible_s(self._caller.speaker.stretches, asked_s)
        shown_s = shown[0].at_s if shown else now_s if ended else None
        times = [at_s for at_s in (sound_s, shown_s) if at_s is not None]
        first_s = sound_s if sound_s is not None else min(times, default=None)
        said = " ".join(answer.text.strip() for answer in answers if answer.text.strip())
        heard = Heard(
            said=said if sound_s is not None else "",
            told="; ".join(dict.fromkeys(told)) or ("" if sound_s is not None else said),
            silence_s=None if first_s is None else max(0.0, first_s - asked_s),
            is_spoken=sound_s is not None,
        )
        return heard, now_s if first_s is None else max(first_s, min(now_s, shown[-1].at_s if shown else now_s))

    def _answers(self, since: int) -> list[Answer]:
        return list(self._caller.turns(since).answers.values())


def _is_trouble(received: Received) -> bool:
    """Whether an event tells the user that something is wrong."""
    match received.type:
        case "error" | "conversation.item.input_audio_transcription.failed":
            return True
        case "response.done":
            return received.event["response"]["status"] in ("failed", "incomplete")
        case _:
            return False


def _shows(received: Received) -> bool:
    """Whether the user sees anything by an event: trouble, or words."""
    return _is_trouble(received) or received.type in (
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
    )


def _told(received: Received) -> str:
    match received.type:
        case "response.done":
            response = received.event["response"]
            details = response.get("status_details") or {}
            error = details.get("error") or {}
            return f"response {response['status']} ({error.get('code') or details.get('reason')})"
        case "error":
            return f"error: {received.event['error']['message']}"
        case _:
            return "transcription failed"
