"""A stop that was none: the agent goes on with the first word that was not heard, and nothing is said twice."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from talkover.messages import AudioFormat, WireAudio, Word
from talkover.pipeline.ledger import HeardLedger
from talkover.realtime.actions import BargedIn, Hold, WentOn
from talkover.realtime.resumption import SentAudio

STORY = "One two three four five six seven eight nine ten. " * 6
RESPONSE_END = "response.done"


def telling(*heard: str, with_words: bool = True, sent: int | None = None) -> Driver:
    """A session in the middle of a story; `heard` is what comes over it. `sent`: results sent so far; None: all."""
    engines = fake_engines(
        ScriptedAsr("Tell me a story", *heard), ScriptedLlm(STORY, "Fine."), ToneTts(with_words=with_words)
    )
    session = Driver(engines)
    session.turn_detection({"type": "semantic_vad"})
    session.speak(600)
    session.silence(240)
    while session.core.awaits_words and session.step(-1):
        pass
    session.silence(460)
    session.run() if sent is None else session.run(sent)
    session.silence(1600)
    return session


def go_on(session: Driver) -> None:
    """Silence in which only recognition works, then all the rest."""
    session.silence(240)
    while session.core.awaits_words and session.step(-1):
        pass
    session.silence(460)
    session.run()


def transcript_of(response: dict) -> str:
    return " ".join(part["transcript"] for item in response["output"] for part in item["content"])


def audio_ms(session: Driver, response_id: str) -> float:
    deltas = [e["delta"] for e in session.of("response.output_audio.delta") if e["response_id"] == response_id]
    return sum(len(base64.b64decode(delta)) for delta in deltas) / 48


def test_a_backchannel_that_stopped_the_agent_lets_it_go_on():
    session = telling("uh-huh", sent=62)
    before = len(session.events)
    session.speak(480)
    go_on(session)
    kinds = session.types(session.events[before:])
    assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.done")
    stopped = kinds.index("input_audio_buffer.speech_stopped")
    assert kinds[stopped : stopped + 3] == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.cleared",
        "response.created",
    ]
    assert "input_audio_buffer.committed" not in kinds
    statuses = [event["response"]["status"] for event in session.of(RESPONSE_END)]
    assert statuses == ["cancelled", "completed"]
    assert any(isinstance(action, WentOn) and action.reason == "backchannel" for action in session.actions)
    assert not any(isinstance(action, BargedIn) for action in session.actions)
    assert not session.held


@pytest.mark.parametrize("sent", [62, 100, None])
@pytest.mark.parametrize("with_words", [True, False])
def test_no_word_is_lost_or_said_twice(with_words: bool, sent: int | None):
    session = telling("uh-huh", with_words=with_words, sent=sent)
    session.speak(480)
    go_on(session)
    old, new = (event["response"] for event in session.of(RESPONSE_END))
    session.send("conversation.item.retrieve", item_id=old["output"][0]["id"])
    heard = session.last("conversation.item.retrieved")["item"]["content"][0]["transcript"]
    assert 0 < len(heard) < len(STORY)
    assert f"{heard} {transcript_of(new)}" == STORY.strip()


def test_the_client_decides_where_it_goes_on():
    session = telling("uh-huh")
    session.speak(480)
    item_id = session.last(RESPONSE_END)["response"]["output"][0]["id"]
    # "One two three four": 18 characters at 20 ms
    session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=360)
    session.end_turn()
    new = session.last(RESPONSE_END)["response"]
    assert transcript_of(new).startswith("five six seven")
    assert audio_ms(session, new["id"]) == pytest.approx(len(STORY.strip()) * 20 - 360, abs=60)


def test_what_was_said_before_is_not_cut_off_to_the_model():
    session = telling("uh-huh", "And now")
    session.speak(480)
    session.end_turn()
    session.wait(10)
    session.say()
    messages = session.engines.llm.prompts[-1].messages
    assert [message.role for message in messages] == ["user", "assistant", "assistant", "user"]
    assert not any(message.cut_off for message in messages)
    assert f"{messages[1].text} {messages[2].text}" == STORY.strip()


def test_a_command_ends_it_for_good():
    session = telling("Stop", sent=62)
    session.speak(480)
    assert session.last("response.done")["response"]["status"] == "cancelled"
    assert session.held
    go_on(session)
    assert not session.held
    assert any(isinstance(action, BargedIn) for action in session.actions)
    assert transcript_of(session.last(RESPONSE_END)["response"]) == "Fine."
    assert not any(isinstance(action, WentOn) for action in session.actions)


def test_a_client_that_clears_the_buffer_ends_it_too():
    session = telling("uh-huh")
    session.speak(480)
    session.send("input_audio_buffer.clear")
    session.end_turn()
    assert len(session.of("response.created")) == 1
    assert not session.held


def test_a_microphone_that_stops_after_a_stop_leaves_nothing_held():
    session = telling("uh-huh")
    session.speak(480)
    assert session.held
    session.wait(11)
    assert not session.held
    assert session.actions[-2:] == [Hold(False), BargedIn()]


# ------------------------------------------------------------------------------------------------- ledger and audio

WORDS = ["one", "two", "three", "four", "five", "six"]


def spoken(chunk_ms: float, word_ms: float = 100.0) -> tuple[HeardLedger, SentAudio]:
    """Two segments of three words, 100 ms each, sent in chunks; the samples count up."""
    ledger, sent = HeardLedger(), SentAudio()
    counter = 0
    for segment in (WORDS[:3], WORDS[3:]):
        text = " ".join(segment)
        starts = [text.index(word) for word in segment]
        words = tuple(
            Word(start, start + len(word), index * word_ms, (index + 1) * word_ms)
            for index, (start, word) in enumerate(zip(starts, segment, strict=True))
        )
        spaced = f" {text}" if ledger.text else text
        lead = len(spaced) - len(text)
        ledger.begin_segment(spaced)
        left_ms, first = 3 * word_ms, True
        while left_ms > 0:
            duration_ms = min(chunk_ms, left_ms)
            left_ms -= duration_ms
            n_samples = round(duration_ms * 8)
            payload = np.arange(counter, counter + n_samples, dtype="<i2").tobytes()
            counter += n_samples
            shifted = [Word(w.start + lead, w.end + lead, w.start_ms, w.end_ms) for w in words] if first else []
            ledger.add_audio(duration_ms, shifted, left_ms <= 0)
            text_now, words_now = (text, words) if first else ("", ())
            sent.add("item", WireAudio(1, "r", payload, duration_ms, text_now, words_now, left_ms <= 0), 0.0)
            first = False
    return ledger, sent


@given(played_ms=st.floats(0, 600), chunk_ms=st.sampled_from((40.0, 100.0, 300.0)))
def test_the_rest_begins_with_the_first_word_not_heard(played_ms: float, chunk_ms: float):
    ledger, sent = spoken(chunk_ms)
    rest = sent.unheard("item", ledger, played_ms, AudioFormat("pcm", 8000))
    heard = ledger.heard_text(played_ms).split()
    said = " ".join(piece.text for piece in rest.pieces).split()
    assert heard + said == WORDS
    samples = np.concatenate([np.frombuffer(piece.payload, "<i2") for piece in rest.pieces] or [np.zeros(0, "<i2")])
    assert list(np.diff(samples)) == [1] * max(0, samples.size - 1)  # without a gap
    if samples.size:
        begins_ms = samples[0] / 8
        assert begins_ms <= played_ms + 0.2
        assert begins_ms >= min(played_ms, len(heard) * 100) - 0.2
        assert rest.duration_ms == pytest.approx(600 - begins_ms, abs=0.3)


def test_words_of_the_rest_count_from_its_beginning():
    ledger, sent = spoken(100.0)
    rest = sent.unheard("item", ledger, 130.0, AudioFormat("pcm", 8000))
    assert (rest.pieces[0].text, rest.cut_chars, rest.cut_ms) == ("two three", 0, 0)
    assert rest.pieces[0].words == (Word(0, 3, 0.0, 100.0), Word(4, 9, 100.0, 200.0))


def test_words_that_were_told_but_have_no_audio_yet_are_in_the_rest():
    """The client has played all it has, in the middle of a segment: a voice that is slower than speech."""
    ledger, sent = HeardLedger(), SentAudio()
    words = (Word(0, 3, 0.0, 100.0), Word(4, 7, 100.0, 200.0))
    ledger.begin_segment("one two three")
    for piece in (
        WireAudio(1, "r", b"", 0.0, "one two three"),
        WireAudio(1, "r", bytes(1600), 100.0, words=words[:1]),
        WireAudio(1, "r", bytes(1280), 80.0, words=words[1:]),
    ):
        ledger.add_audio(piece.duration_ms, piece.words)
        sent.add("item", piece, 0.0)
    for played_ms, heard, left in (
        (180.0, "one two", "three"),
        (130.0, "one", "two three"),
        (0.0, "", "one two three"),
    ):
        rest = sent.unheard("item", ledger, played_ms, AudioFormat("pcm", 8000))
        assert ledger.heard_text(played_ms) == heard
        assert [piece.text for piece in rest.pieces if piece.text] == [left]
    rest = sent.unheard("item", ledger, 180.0, AudioFormat("pcm", 8000))
    assert (rest.duration_ms, rest.cut_chars, rest.cut_ms) == (0.0, 8, 180.0)


def test_an_item_that_is_not_kept_has_no_rest():
    ledger, sent = spoken(100.0)
    assert sent.unheard("other", ledger, 0.0, AudioFormat()).pieces == ()


def test_what_has_long_sounded_is_forgotten():
    ledger, sent = HeardLedger(), SentAudio()
    ledger.begin_segment("on and on")
    for index in range(1000):
        ledger.add_audio(100.0)
        sent.add("item", WireAudio(1, "r", bytes(1600), 100.0), played_ms=index * 100.0)
    assert len(sent.unheard("item", ledger, 0.0, AudioFormat("pcm", 8000)).pieces) <= 12
