"""Who said what when: the turns of a conversation, put together from the events a client received. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from talkover.client.connection import JsonObject, Received
from talkover.client.loudspeaker import Stretch, first_audible_s, last_audible_s

STAGES = ("endpointing", "ASR", "LLM", "TTS")
"""what the latency of a spoken turn is made of, in order"""


@dataclass(slots=True)
class UserTurn:
    """An utterance of the user, as the server took it."""

    item_id: str
    started_ms: int | None = None
    """where it begins in the input audio, padding included; None for a typed one"""
    ended_ms: int | None = None
    """how far the input audio had come when its end was decided"""
    at_s: float = 0.0
    """when the client learned of it"""
    text: str | None = None
    """what was understood"""
    failure: str | None = None


@dataclass(slots=True)
class Answer:
    """A response of the agent, as the client got it."""

    response_id: str
    created_s: float
    item_ids: list[str] = field(default_factory=list[str])
    text: str = ""
    status: str = "in_progress"
    reason: str | None = None
    audio_ms: float = 0.0
    """sound that arrived"""
    words: list[JsonObject] = field(default_factory=list[JsonObject])
    """`s2s.response.words`: offsets into the text, times from the first sample"""
    metrics: JsonObject | None = None
    """`s2s.turn.metrics`"""
    heard_chars: list[int] = field(default_factory=list[int])
    """`s2s.item.heard`, each time the server told it: at the interruption, and after the client's report"""

    def stages_ms(self) -> dict[str, float]:
        """What each stage added to the latency of a spoken turn, from the server's marks; they add up to what the
        server saw of it. What was finished before the end of the turn was certain added nothing. Empty when the server
        told no marks or the turn was a typed one."""
        marks: dict[str, float] = (self.metrics or {}).get("marks_ms") or {}
        names = ("turn_end", "transcript_final", "llm_first_token", "tts_first_audio")
        if "speech_end" not in marks or any(name not in marks for name in names):
            return {}
        stages: dict[str, float] = {}
        reached_ms = marks["speech_end"]
        for stage, name in zip(STAGES, names, strict=True):
            stages[stage] = max(0.0, marks[name] - reached_ms)
            reached_ms = max(reached_ms, marks[name])
        return stages

    def first_audible_s(self, stretches: Collection[Stretch]) -> float | None:
        times = [first_audible_s(stretches, 0.0, item_id) for item_id in self.item_ids]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def last_audible_s(self, stretches: Collection[Stretch]) -> float | None:
        times = [last_audible_s(stretches, item_id) for item_id in self.item_ids]
        return max((time_s for time_s in times if time_s is not None), default=None)


class Turns:
    """Follows a conversation event by event."""

    def __init__(self, events: Iterable[Received] = ()) -> None:
        self.user: dict[str, UserTurn] = {}
        self.answers: dict[str, Answer] = {}
        for received in events:
            self.take(received)

    def take(self, received: Received) -> None:
        event = received.event
        match received.type:
            case "input_audio_buffer.speech_started":
                self._user(event["item_id"], received.at_s).started_ms = event["audio_start_ms"]
            case "input_audio_buffer.speech_stopped":
                self._user(event["item_id"], received.at_s).ended_ms = event["audio_end_ms"]
            case "conversation.item.input_audio_transcription.completed":
                self._user(event["item_id"], received.at_s).text = event["transcript"]
            case "conversation.item.input_audio_transcription.failed":
                self._user(event["item_id"], received.at_s).failure = event["error"]["message"]
            case "conversation.item.added":
                self._item(event["item"], received.at_s)
            case "response.created":
                response_id = event["response"]["id"]
                self.answers[response_id] = Answer(response_id, received.at_s)
            case "s2s.item.heard":
                for answer in self.answers.values():
                    if event["item_id"] in answer.item_ids:
                        answer.heard_chars.append(event["heard_chars"])
            case _:
                self._answer_event(event)

    def _answer_event(self, event: JsonObject) -> None:
        response: dict[str, Any] = event.get("response") or {}
        answer = self.answers.get(event.get("response_id") or response.get("id") or "")
        if answer is None:
            return
        match event["type"]:
            case "response.output_item.added":
                answer.item_ids.append(event["item"]["id"])
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                answer.text += event["delta"]
            case "response.output_audio.delta":
                answer.audio_ms += event["bytes"] / 48
            case "response.done":
                answer.status = response["status"]
                details: dict[str, Any] = response.get("status_details") or {}
                answer.reason = details.get("reason") or (details.get("error") or {}).get("message")
            case "s2s.response.words":
                answer.words.extend(event["words"])
            case "s2s.turn.metrics":
                answer.metrics = event
            case _:
                pass

    def _user(self, item_id: str, at_s: float) -> UserTurn:
        if item_id not in self.user:
            self.user[item_id] = UserTurn(item_id, at_s=at_s)
        return self.user[item_id]

    def _item(self, item: JsonObject, at_s: float) -> None:
        if item.get("role") == "user":
            typed = [part["text"] for part in item["content"] if part["type"] == "input_text"]
            turn = self._user(item["id"], at_s)
            if typed:
                turn.text = " ".join(typed)
