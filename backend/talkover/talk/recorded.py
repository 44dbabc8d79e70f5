"""A conversation held with recordings: each is spoken in real time, its answer heard out, and the timeline shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from talkover.audio import OUTPUT_RATE_HZ
from talkover.client.connection import JsonObject, RealtimeClient
from talkover.client.loudspeaker import Loudspeaker, render
from talkover.client.microphone import Room, VirtualMicrophone
from talkover.client.recordings import Recording
from talkover.client.turns import Answer, Turns
from talkover.messages import Samples
from talkover.talk.opening import open_conversation
from talkover.talk.scene import Utterance, scene
from talkover.talk.view import timeline

PAUSE_S = 0.6
"""between the end of an answer and what is said next"""
ANSWER_TIMEOUT_S = 8.0
MAX_ANSWER_S = 180.0
TAIL_S = 0.3
"""silence at the end of what is written"""


@dataclass(frozen=True, slots=True)
class Script:
    """What the user says, in order: first the recordings, then what is typed."""

    recordings: tuple[Recording, ...]
    texts: tuple[str, ...] = ()
    barge_in_s: float | None = None
    """how far into each answer the next thing is said; None: when it is over"""


def converse(
    url: str, session: JsonObject, script: Script, output: Path | None, stereo: bool, screen: Console, notes: Console
) -> None:
    """Hold the conversation, print its timeline, write what was heard.

    Raises ServerUnreachable, ConversationEnded, and ValueError when `output` cannot be written.
    """
    speaker = Loudspeaker()
    client = open_conversation(url, speaker, session)
    microphone = VirtualMicrophone(client.append, Room(), keep=True)
    try:
        with notes.status("") as status:
            utterances = _Performance(client, speaker, microphone, status).play(script)
        ended_s = max(time.monotonic(), speaker.ends_s) + TAIL_S
    finally:
        client.close()
        microphone.close()
    said = scene(Turns(client.events()), speaker.stretches, utterances, microphone.opened_s, speaker.gaps)
    screen.print(timeline(said, microphone.opened_s))
    errors = [received.event["error"]["message"] for received in client.events() if received.type == "error"]
    for message in errors:
        notes.print(f"[red]error:[/] {escape(message)}", highlight=False)
    if output is not None:
        heard = render(speaker, microphone.opened_s, ended_s)
        write(output, heard, microphone.recorded() if stereo else None)
        sides = "you left, the agent right" if stereo else "the agent alone; --stereo for both"
        notes.print(f"{escape(str(output))}: {heard.size / OUTPUT_RATE_HZ:.1f} s ({sides})", highlight=False)


class _Performance:
    """Goes through a script."""

    def __init__(
        self, client: RealtimeClient, speaker: Loudspeaker, microphone: VirtualMicrophone, status: Status
    ) -> None:
        self._client = client
        self._speaker = speaker
        self._microphone = microphone
        self._status = status
        self._utterances: list[Utterance] = []

    def play(self, script: Script) -> list[Utterance]:
        """Raises ConversationEnded."""
        speak: list[Callable[[], float]] = [
            *(lambda recording=recording: self._say(recording) for recording in script.recordings),
            *(lambda text=text: self._type(text) for text in script.texts),
        ]
        for index, act in enumerate(speak):
            since = self._client.cursor
            asked_s = act()
            is_last = index == len(speak) - 1
            self._listen(since, asked_s, None if is_last else script.barge_in_s)
        return self._utterances

    def _say(self, recording: Recording) -> float:
        self._status.update(f"saying {escape(recording.name)}")
        said = self._microphone.say(recording, PAUSE_S)
        opened_s = self._microphone.opened_s
        self._utterances.append(Utterance(recording.name, said.onset_s(opened_s), said.end_s(opened_s)))
        time.sleep(max(0.0, said.end_s(opened_s) - time.monotonic()))
        return said.end_s(opened_s)

    def _type(self, text: str) -> float:
        now_s = time.monotonic()
        self._utterances.append(Utterance(text, now_s, now_s, typed=True))
        self._client.say_text(text)
        return now_s

    def _listen(self, since: int, asked_s: float, leave_after_s: float | None) -> None:
        """Hear the answer to what was asked at `asked_s`, to its end or for so long."""
        self._status.update("waiting for the answer")
        answers: list[Answer] = []

        def has_begun() -> bool:
            answers[:] = [
                answer
                for answer in Turns(self._client.events(since)).answers.values()
                if answer.created_s >= asked_s and answer.first_audible_s(self._speaker.stretches) is not None
            ]
            return bool(answers)

        def has_ended() -> bool:
            turns = Turns(self._client.events(since))
            return all(answer.status != "in_progress" for answer in turns.answers.values())

        try:
            self._client.wait_until(has_begun, ANSWER_TIMEOUT_S, "an answer")
        except TimeoutError:
            return
        self._status.update("the agent speaks")
        begun_s = answers[0].first_audible_s(self._speaker.stretches) or asked_s
        if leave_after_s is not None:
            time.sleep(max(0.0, begun_s + leave_after_s - PAUSE_S - time.monotonic()))
            return
        self._client.wait_until(has_ended, MAX_ANSWER_S, "the end of the answer")
        time.sleep(max(0.0, self._speaker.ends_s - time.monotonic()))


def write(path: Path, heard: Samples, said: Samples | None) -> None:
    """One channel, or two with what was said on the left. Raises ValueError."""
    sound = heard
    if said is not None:
        n_samples = min(heard.size, said.size)
        sound = np.stack([said[:n_samples], heard[:n_samples]], axis=1)
    try:
        soundfile.write(path, sound, OUTPUT_RATE_HZ)
    except (OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"{path}: cannot be written: {error}") from error
