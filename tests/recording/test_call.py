"""A call as its recording tells it: sound on one clock, and a transcript of what was said and heard."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, session_options
from talkover.audio import samples_to_pcm16
from talkover.engines import LlmCall, LlmFinished
from talkover.messages import AudioFormat, Source, SourcesFound
from talkover.realtime.session import Opened
from talkover.recording import call as recording_call
from talkover.recording.call import CallRecording, TooFarAhead
from talkover.recording.transcript import Transcript, decoded, encoded, readable

STORY = "One two three four five six seven eight nine ten. " * 4
EXTENSION = {"version": 1, "events": ["pause", "playback"]}
WALL_S = 1_800_000_000.0


@dataclass
class Recorded(Driver):
    """A session by hand, and its recording."""

    recording: CallRecording | None = None
    blocks: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        notice = self.options.recording
        assert notice is not None
        self.recording = CallRecording("sess_test", notice, self.now_s, AudioFormat())
        super().__post_init__()

    def handle(self, happened: Any) -> None:
        assert self.recording is not None
        self.recording.happened(happened, self.now_s)
        actions = self.core.handle(happened, self.now_s)
        self.recording.decided(actions, self.now_s, WALL_S + self.now_s)
        self._do(actions)
        self.blocks += self.recording.blocks(self.now_s)

    def hang_up(self) -> tuple[np.ndarray, Transcript]:
        """(n, 2) int16, and the transcript."""
        assert self.recording is not None
        self.blocks += self.recording.blocks(self.now_s, is_over=True)
        sound = np.concatenate(self.blocks) if self.blocks else np.zeros((0, 2), np.int16)
        return sound, decoded(encoded(self.recording.transcript(True, None)))


def call(*heard: str, answers: tuple = (), notice: str = "", **options: object) -> Recorded:
    engines = fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers), ToneTts(ms_per_char=20))
    session = Recorded(engines, session_options(recording=notice, **options))
    session.update(s2s=EXTENSION)
    session.wait(0.3)
    return session


def voiced_ms(channel: np.ndarray) -> int:
    """How much of it is not silence."""
    return round(np.count_nonzero(np.abs(channel) > 100) / 24)


def text_of(transcript: Transcript) -> list[tuple[str, str]]:
    return [(item.who, item.text) for item in transcript.items]


def test_both_sides_are_on_one_clock_and_the_transcript_names_their_times():
    session = call("Hello there", answers=("Good morning to you.",))
    session.silence(400)
    session.say(600)
    session.wait(3)
    sound, transcript = session.hang_up()
    user, agent = transcript.items
    assert text_of(transcript) == [("user", "Hello there"), ("agent", "Good morning to you.")]
    assert sound.shape[0] == pytest.approx(transcript.duration_ms * 24, abs=24)
    left, right = (np.flatnonzero(np.abs(sound[:, side]) > 100) / 24 for side in (0, 1))
    assert left[0] == pytest.approx(400, abs=25)
    assert user.start_ms <= left[0] < left[-1] <= user.end_ms
    assert user.end_ms <= agent.start_ms
    assert agent.start_ms == pytest.approx(right[0], abs=2)
    assert agent.end_ms - agent.start_ms == pytest.approx(20 * 20, abs=2)
    first = agent.words[0]
    assert (agent.text[first.start : first.end], first.start_ms) == ("Good", agent.start_ms)
    assert agent.unheard == ""
    assert transcript.started_at.startswith("2027-01-15T08:")


def test_an_interruption_cuts_sound_and_words_at_the_same_place():
    session = call("Tell me a story", "Stop", answers=(STORY, "Fine."))
    session.say()
    session.silence(600)
    session.speak(700)
    session.end_turn()
    session.wait(3)
    sound, transcript = session.hang_up()
    story = next(item for item in transcript.items if item.text.startswith("One"))
    assert story.interrupted
    assert f"{story.text} {story.unheard}" == STORY.strip()
    heard_ms = story.end_ms - story.start_ms
    assert 500 <= heard_ms <= 3000
    assert len(story.text) * 20 == pytest.approx(heard_ms, abs=250)
    span = sound[story.start_ms * 24 : story.end_ms * 24, 1]
    assert voiced_ms(span) > 0.9 * heard_ms
    assert [item.text for item in transcript.items][-1] == "Fine."
    assert "[interrupted:" in readable(transcript)


def test_a_pause_is_silence_between_two_halves_of_one_answer():
    session = call("Tell me a story", "uh-huh", answers=(STORY,))
    session.turn_detection({"type": "semantic_vad"})
    session.say()
    session.silence(500)
    while not session.of("s2s.playback.pause"):
        session.speak(20)
    paused_s = session.now_s
    session.speak(100)
    session.silence(240)
    while session.core.awaits_words and session.step(-1):
        pass
    session.silence(300)
    session.run()
    assert session.of("s2s.playback.resume")
    session.wait(8)
    sound, transcript = session.hang_up()
    story = transcript.items[-1]
    assert story.text == STORY.strip()
    assert not story.interrupted
    assert voiced_ms(sound[:, 1]) == pytest.approx(len(STORY.strip()) * 20, rel=0.05)
    begin = round((paused_s - 100.3) * 1000) + 30
    assert voiced_ms(sound[begin * 24 : (begin + 200) * 24, 1]) == 0


def test_the_sound_of_the_user_is_exact_to_the_sample():
    session = call()
    noise = np.random.default_rng(1).integers(-9000, 9000, 24_000).astype("<i2")
    for begin in range(0, noise.size, 480):
        session.now_s += 0.02
        audio = base64.b64encode(noise[begin : begin + 480].tobytes()).decode()
        session.send("input_audio_buffer.append", audio=audio)
    session.wait(1)
    sound, _ = session.hang_up()
    first = int(np.flatnonzero(sound[:, 0])[0])
    assert np.array_equal(sound[first : first + noise.size, 0], noise)


def test_nothing_before_the_sentence_was_heard_is_kept():
    session = call("My name is Ada", "Hello", notice="This call is recorded.")
    session.speak(300)
    session.run()
    session.silence(1200)
    session.run()
    session.wait(1)
    session.silence(400)
    session.say()
    session.wait(2)
    sound, transcript = session.hang_up()
    assert transcript.notice == "This call is recorded."
    assert "Ada" not in readable(transcript)
    assert "Hello" in readable(transcript)
    assert voiced_ms(sound[: 300 * 24, 0]) == 0


def test_what_the_client_wants_not_to_be_recorded_is_silent_and_not_written_down():
    session = call("Good morning", "My card is 1234", "Thank you")
    session.say()
    session.wait(2)
    session.update(s2s={"recording": False})
    session.say()
    session.wait(2)
    session.update(s2s={"recording": True})
    session.silence(500)  # what the recogniser hears begins some 300 ms before the voice
    session.say()
    session.wait(2)
    sound, transcript = session.hang_up()
    (start_ms, end_ms) = transcript.unrecorded_ms[0]
    assert not sound[start_ms * 24 + 24 : end_ms * 24 - 24].any()
    assert text_of(transcript) == [
        ("user", "Good morning"),
        ("agent", "Fine."),
        ("user", "Thank you"),
        ("agent", "Fine."),
    ]


def test_typed_words_tools_and_sources():
    tool = {"type": "function", "name": "look_up", "parameters": {}}
    session = call(answers=([LlmCall(0, "look_up", '{"secret": 1}'), LlmFinished("tool_calls")],))
    session.update(tools=[tool])
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look it up."}]}
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    session.run()
    session.send("response.create")
    response_id = session.last("response.created")["response"]["id"]
    found = Source("1", "Hours", "hours.md", "", 1.0)
    session.handle(SourcesFound(1, response_id, "s1", "documents", "hours", (found,)))
    session.run()
    session.wait(2)
    _, transcript = session.hang_up()
    assert text_of(transcript) == [("user", "Look it up."), ("tool", "look_up"), ("agent", "Fine.")]
    assert transcript.items[0].typed
    assert [source.title for source in transcript.items[2].sources] == ["Hours"]
    assert "secret" not in readable(transcript)


def test_what_a_client_has_made_beside_the_conversation_is_not_taken_for_heard():
    session = call()
    session.send("response.create", response={"conversation": "none"})
    session.run()
    session.wait(2)
    sound, transcript = session.hang_up()
    assert not sound[:, 1].any()
    assert not transcript.items


def test_an_answer_that_still_sounds_when_the_call_ends_is_cut_there():
    session = call("Tell me a story", answers=(STORY,))
    session.say()
    session.wait(1)
    sound, transcript = session.hang_up()
    story = transcript.items[-1]
    assert story.end_ms == pytest.approx(transcript.duration_ms, abs=1)
    assert 0 < len(story.text) < len(STORY)
    assert len(story.text) * 20 == pytest.approx(voiced_ms(sound[:, 1]), abs=250)
    assert "[not heard:" in readable(transcript)


def test_noise_that_was_no_turn_is_not_written_down():
    session = call("")
    session.say(200)
    session.wait(1)
    _, transcript = session.hang_up()
    assert not [item for item in transcript.items if item.text]


def test_a_client_that_sends_hours_at_once_ends_the_recording(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording_call, "MAX_PENDING_S", 1.0)
    recording = CallRecording("sess_test", "", 0.0, AudioFormat())
    recording.happened(Opened(), 0.0)
    audio = base64.b64encode(samples_to_pcm16(np.zeros(36_000, np.float32))).decode()
    with pytest.raises(TooFarAhead):
        recording.happened(f'{{"type": "input_audio_buffer.append", "audio": "{audio}"}}', 0.1)


def test_a_long_silence_is_handed_out_in_blocks():
    session = call()
    session.wait(3600)
    assert max(block.shape[0] for block in session.blocks) <= 240_000
    sound, _ = session.hang_up()
    assert sound.shape[0] == pytest.approx(3600 * 24_000, abs=24_000)
