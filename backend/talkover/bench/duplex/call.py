"""One call: a client on a real socket that goes through takes one after the other, and notes what it heard."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from talkover.audio import OUTPUT_RATE_HZ
from talkover.bench.caller import SCORED_EXTENSION, open_scored
from talkover.bench.duplex.observation import Clock, Mark, Observation
from talkover.bench.duplex.room import EchoRoom
from talkover.bench.duplex.takes import Echo, Take
from talkover.client.connection import JsonObject, Received
from talkover.client.loudspeaker import Loudspeaker, Stretch, render
from talkover.client.microphone import Room, Said, VirtualMicrophone
from talkover.client.recordings import Recording, Span
from talkover.client.turns import Answer, Turns, UserTurn
from talkover.messages import Samples

TIMEOUT_S = 10.0
SPEAK_TRIES = 3
SETTLE_S = 0.5
"""quiet before a take: detectors need to hear the room, and the last take's sounds must have died away"""
QUIET_WITHIN_S = 6.0
"""the longest patience of the server with somebody it believes to speak still"""
LEAD_S = 0.06
"""ahead of now a track is put into the room, so that its first sample is not late"""
ENOUGH_ANSWER_S = 0.8
"""of an answer is heard before it is cut off and the next take begins"""
PASSAGE_WORDS_S = 2.6
"""words a second at which a passage is spoken, to know how much is left of it; more would be too hopeful"""
BEFORE_MS = 400.0
"""of what was heard before the track is kept for listening"""
QUESTION = "Would you like me to book the table for seven in the evening?"

PASSAGES = (
    "The old harbour at the end of the bay was built three hundred years ago by fishermen who came from the islands. "
    "They brought their own stones with them, because they did not trust the ones they found on the beach. The wall "
    "they built has stood in every storm since then, although the houses behind it have fallen down and been built "
    "again more than once. In winter the boats are pulled up on the grass, and the children play between them until "
    "it is dark. In summer the ferry comes twice a day and brings visitors, who buy bread and cheese and sit on the "
    "wall with their feet above the water.",
    "Growing tomatoes on a balcony is easier than most people think. You need a pot that is at least as deep as your "
    "forearm, some good earth, and a place that has sun for six hours a day. Plant them when the nights are no longer "
    "cold, and tie every plant to a stick before it gets heavy. Water them in the morning, always at the root and "
    "never over the leaves. When the first flowers open, give them a little more food every second week. After about "
    "sixty days you can pick the first ones, and they will taste of more than anything you can buy.",
    "A lighthouse does not only tell a ship where the rocks are. It also tells it which lighthouse it is looking at, "
    "because every one of them has a rhythm of its own. Some flash once in ten seconds, some twice and then pause, "
    "and some turn from white to red where the water gets shallow. Before there were electric lamps, the keeper wound "
    "a clockwork every few hours, day and night, so that the heavy lens could float on a bath of mercury and turn "
    "with the push of a finger. People who grew up near one say that they still cannot sleep in a dark room.",
)
"""what the agent is made to say, so that which words it should have said is known"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A take with what came of it, and its sound."""

    observation: Observation
    said: Samples
    """(n,) float32 at 24 kHz: the microphone, from `BEFORE_MS` before the track on"""
    heard: Samples
    """(n,) float32 at 24 kHz: the loudspeaker meanwhile"""


class Call:
    """A conversation in which takes are made. Raises ServerUnreachable when it is opened."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        turn_detection: JsonObject | None = None,
        extension: Collection[str] = SCORED_EXTENSION,
        echo: Echo | None = None,
        seed: int = 0,
    ) -> None:
        self._speaker = Loudspeaker()
        self._client = open_scored(url, self._speaker, key, turn_detection, extension)
        self._session_id: str = self._client.wait("session.created", TIMEOUT_S).event["session"]["id"]
        room = Room(seed) if echo is None else EchoRoom(echo, self._speaker, seed=seed)
        self._microphone = VirtualMicrophone(self._client.append, room, keep=True)
        self._passage = ""
        self._passage_ends_s = 0.0
        self._passage_since = 0
        """event from which on its response is told"""
        self._n_passages = seed

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._microphone.close()

    def take(self, take: Take) -> Taken:
        """Bring the agent into the state the take wants, make its sound, listen.

        Raises ConversationEnded, and TimeoutError when the agent does not get into that state.
        """
        since = self._client.cursor
        self._microphone.worst_lag_s = 0.0
        begin_s = self._prepare(take)
        opened_s = self._microphone.opened_s
        said = self._say(take.track, take.sounds, begin_s)
        zero_s = opened_s + said.start_sample / OUTPUT_RATE_HZ
        end_s = zero_s + take.duration_s
        then: Said | None = None
        if take.then is not None:
            answer_s = self._answer_audible(since, zero_s + take.end_ms / 1000, zero_s + take.end_ms / 1000 + TIMEOUT_S)
            if answer_s is not None:
                then = self._say(take.then, take.then_sounds, answer_s + take.into_agent_s)
                end_s = opened_s + (then.start_sample + take.then.size) / OUTPUT_RATE_HZ
        end_s = self._listen(take, since, zero_s, end_s, then is not None)
        return self._taken(take, since, zero_s, said, then, end_s)

    # ------------------------------------------------------------------------------------------------- preparing

    def _prepare(self, take: Take) -> float:
        """Returns when the track is to begin."""
        match take.state:
            case "silent":
                self._hush()
                return time.monotonic() + SETTLE_S
            case "asked":
                self._hush()
                self._speak(QUESTION)
                self._wait_spoken()
                return max(self._speaker.ends_s, time.monotonic()) + take.into_agent_s
            case "speaking":
                needed_s = take.into_agent_s + take.duration_s + take.listen_s + 1.0
                now_s = time.monotonic()
                if not self._passage_plays(now_s) or self._passage_ends_s < now_s + needed_s:
                    self._hush()
                    self._passage = PASSAGES[self._n_passages % len(PASSAGES)]
                    self._n_passages += 1
                    begun_s = self._speak(self._passage)
                    self._passage_ends_s = begun_s + len(self._passage.split()) / PASSAGE_WORDS_S
                    return begun_s + take.into_agent_s
                return now_s + take.into_agent_s

    def _passage_plays(self, now_s: float) -> bool:
        answers = self._turns(self._passage_since).answers.values()
        passage = next(iter(answers), None)
        return passage is not None and self._speaker.playing(now_s) in passage.item_ids

    def _speak(self, text: str) -> float:
        """Make the agent say something. Returns when it became audible.

        Asked for anew when an answer to an earlier sound has just begun: only one may be active.
        """
        for _ in range(SPEAK_TRIES):
            since = self._passage_since = self._client.cursor
            self._client.send({"type": "response.create", "response": {"instructions": f"Say exactly: {text}"}})
            begun_s = self._answer_audible(since, 0.0, time.monotonic() + TIMEOUT_S / SPEAK_TRIES)
            if begun_s is not None:
                return begun_s
            self._hush()
        raise TimeoutError(f"the agent did not begin to say {text[:30]!r} in {SPEAK_TRIES} tries")

    def _wait_spoken(self) -> None:
        self._client.wait_until(lambda: self._done(0), 60.0, "the end of what the agent says")
        time.sleep(max(0.0, self._speaker.ends_s - time.monotonic()))

    def _hush(self) -> None:
        """Nothing sounds and nothing is being made."""
        self._passage_ends_s = 0.0
        for _ in range(3):  # an answer may still come to what the last take said
            if not self._done(0) or self._speaker.playing(time.monotonic()) is not None:
                self._client.stop_answer()
            self._client.wait_until(lambda: self._done(0), TIMEOUT_S, "the end of an answer")
            time.sleep(0.1)
        with suppress(TimeoutError):  # then it hears somebody still; the verdict will tell
            self._client.wait_until(self._nobody_is_heard, QUIET_WITHIN_S, "the end of the user's turn")

    def _nobody_is_heard(self) -> bool:
        """The server has no turn of the user open."""
        return not any(_is_open(turn) for turn in self._turns(0).user.values())

    # ------------------------------------------------------------------------------------------------- listening

    def _say(self, track: Samples, sounds: Sequence[Span], at_s: float) -> Said:
        voiced = Span(sounds[0].start_ms, sounds[-1].end_ms) if sounds else Span(0.0, 0.0)
        delay_s = max(LEAD_S, at_s - time.monotonic())
        return self._microphone.say(Recording("track", track, voiced), delay_s)

    def _listen(self, take: Take, since: int, zero_s: float, end_s: float, went_on: bool) -> float:
        """Until enough was heard. Returns when that was."""
        time.sleep(max(0.0, end_s - time.monotonic()))
        deadline_s = end_s + take.listen_s
        if take.family in ("backchannel", "noise", "side_talk", "echo", "silence"):
            time.sleep(max(0.0, deadline_s - time.monotonic()))
            return time.monotonic()
        sounds_end_s = zero_s + take.end_ms / 1000 if not went_on else end_s
        if take.family == "interruption":  # it may say nothing on "stop", and old audio would come within this time
            sounds_end_s = zero_s + take.onset_ms / 1000 + 0.3
        answer_s = self._answer_audible(since, sounds_end_s, deadline_s, created_after_s=zero_s)
        if answer_s is not None:
            time.sleep(max(0.0, max(answer_s, end_s) + ENOUGH_ANSWER_S - time.monotonic()))
        return time.monotonic()

    def _answer_audible(
        self, since: int, after_s: float, deadline_s: float, created_after_s: float = 0.0
    ) -> float | None:
        """When an answer made after a time became, or was still, audible after another; None when the time is over."""
        found: list[float] = []

        def is_audible() -> bool:
            stretches = self._speaker.stretches
            for answer in self._turns(since).answers.values():
                if answer.created_s >= created_after_s:
                    last_s, first_s = answer.last_audible_s(stretches), answer.first_audible_s(stretches)
                    if first_s is not None and last_s is not None and last_s >= after_s:
                        found.append(max(first_s, after_s))
            return bool(found)

        try:
            self._client.wait_until(is_audible, max(0.0, deadline_s - time.monotonic()), "an answer")
        except TimeoutError:
            return None
        return min(found)

    def _turns(self, since: int) -> Turns:
        return Turns(self._client.events(since))

    def _done(self, since: int) -> bool:
        return all(answer.status != "in_progress" for answer in self._turns(since).answers.values())

    # -------------------------------------------------------------------------------------------------- recording

    def _taken(self, take: Take, since: int, zero_s: float, said: Said, then: Said | None, end_s: float) -> Taken:
        clock = Clock(zero_s, said.start_sample * 1000 / OUTPUT_RATE_HZ)
        events = self._client.events()
        stretches = self._speaker.stretches
        turns = Turns(events)
        answers = [answer for answer in turns.answers.values() if _concerns(answer, stretches, zero_s, end_s)]
        items = {item for answer in answers for item in answer.item_ids}
        recent = [turn for turn in turns.user.values() if turn.at_s >= zero_s or _is_open(turn, clock.zero_input_ms)]
        observation = Observation(
            take=take,
            replies=tuple(clock.reply(answer) for answer in answers),
            played=clock.played([stretch for stretch in stretches if stretch.item_id in items]),
            flushes_ms=tuple(clock.ms(flush_s) for flush_s in self._speaker.flushes_s),
            turns=tuple(clock.turn(turn) for turn in recent),
            marks=tuple(_marks(events, clock, since)),
            then_start_ms=None if then is None else (then.start_sample - said.start_sample) * 1000 / OUTPUT_RATE_HZ,
            ended_ms=clock.ms(end_s),
            passage=self._passage if take.state == "speaking" else "",
            session_id=self._session_id,
            zero_input_ms=clock.zero_input_ms,
            lag_ms=self._microphone.worst_lag_s * 1000,
        )
        from_s = zero_s - BEFORE_MS / 1000
        first = max(0, round((from_s - self._microphone.opened_s) * OUTPUT_RATE_HZ))
        heard = render(self._speaker, from_s, end_s)
        return Taken(observation, self._microphone.recorded()[first : first + heard.size], heard)


def _concerns(answer: Answer, stretches: Sequence[Stretch], zero_s: float, end_s: float) -> bool:
    """Whether something of it was made or played within the take."""
    played = [stretch for stretch in stretches if stretch.item_id in answer.item_ids]
    return answer.created_s >= zero_s or any(stretch.end_s > zero_s and stretch.start_s < end_s for stretch in played)


def _is_open(turn: UserTurn, at_ms: float = float("inf")) -> bool:
    """Whether the server took it that the user spoke at a position of the microphone's audio; by default now."""
    if turn.started_ms is None or turn.started_ms > at_ms:
        return False
    return turn.ended_ms is None or turn.ended_ms > at_ms


_TOLD = {
    "input_audio_buffer.speech_started": "speech started",
    "input_audio_buffer.speech_stopped": "speech stopped",
    "conversation.item.input_audio_transcription.completed": "understood",
    "response.created": "response",
    "response.done": "done",
    "s2s.playback.gain": "gain",
    "error": "error",
}


def _marks(events: Sequence[Received], clock: Clock, since: int) -> list[Mark]:
    """What the server told, in words for the timeline."""
    marks: list[Mark] = []
    for received in events:
        label = _TOLD.get(received.type)
        if label is None or received.index < since:
            continue
        event = received.event
        match received.type:
            case "conversation.item.input_audio_transcription.completed":
                label = f"understood {event['transcript']!r}"
            case "response.done":
                details = event["response"].get("status_details") or {}
                label = f"{event['response']['status']} {details.get('reason') or ''}".strip()
            case "s2s.playback.gain":
                label = f"gain {event['gain']:g}"
            case "error":
                label = event["error"]["message"]
            case _:
                pass
        marks.append(Mark(clock.ms(received.at_s), label))
    return marks
