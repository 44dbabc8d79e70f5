"""A conversation that is stored and goes on in another process is the same conversation."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, session_options
from talkover.messages import TextAhead
from talkover.pipeline.cancel import Generations
from talkover.realtime.actions import Respond
from talkover.realtime.conversation import Entry, prompt_messages
from talkover.realtime.items import Item
from talkover.realtime.owed import Owed, unheard_text
from talkover.realtime.session import Attached, Detached, RealtimeSession
from talkover.realtime.snapshot import OUTCOME_UNKNOWN, Snapshot, SnapshotUnreadable, decode, encode
from talkover.vad.frame_sound import MeasuredSounds

STORY = "One two three four five six seven eight nine ten. " * 4


def stored(snapshot: Snapshot) -> Snapshot:
    """Through the bytes it is kept as."""
    return decode(encode(snapshot.state), [encode(item) for item in reversed(snapshot.items)])


class Restarted(Driver):
    """A driver whose core goes on with a snapshot."""

    def __init__(self, before: Driver, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        super().__init__(before.engines, before.options, before.now_s)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.events.clear()
        self.main, self.aside = Generations(), Generations()
        sounds = MeasuredSounds(self.engines.vad.stream())
        self.core = RealtimeSession(replace(self.options, kept=self._snapshot), sounds, self.main, self.aside)
        self.handle(Attached())


def restart(driver: Driver) -> Restarted:
    return Restarted(driver, stored(driver.core.snapshot(driver.now_s)))


def texts(driver: Driver) -> list[Any]:
    """What the LLM would get to see."""
    return list(prompt_messages(driver.core._conversation.entries()))


def ids_of_agent(driver: Driver) -> list[str]:
    """Ids of its messages."""
    return [entry.item.id for entry in driver.core._conversation.entries() if entry.item.role == "assistant"]


def wire(driver: Driver) -> list[dict[str, Any]]:
    return [entry.wire_item.wire() for entry in driver.core._conversation.entries()]


def talk(*heard: str, answers: tuple[str, ...] = (), **options: Any) -> Driver:
    driver = Driver(fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers), ToneTts()), session_options(**options))
    driver.update(
        s2s={"version": 1, "events": ["resume", "playback"], "caller": "ann"},
        audio={"input": {"transcription": {"model": "any", "language": "en"}}},
        tools=[{"type": "function", "name": "shop", "parameters": {"type": "object"}}],
    )
    return driver


MOVES = st.lists(
    st.sampled_from(["say", "speak", "silence", "work", "text", "wait", "truncate", "delete"]), max_size=14
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=MOVES, seed=st.integers(0, 2**32))
def test_what_is_stored_has_the_same_wire_view_prompts_and_heard_words(moves: list[str], seed: int):
    rng = random.Random(seed)
    driver = talk(*["Tell me more"] * 20, answers=(STORY, "Fine.") * 20, history_tokens=2000)
    for move in moves:
        items = [entry.item.id for entry in driver.core._conversation.entries()] or ["none"]
        match move:
            case "say":
                driver.say()
            case "speak":
                driver.speak(200)
            case "silence":
                driver.silence(rng.choice([200, 700]))
            case "work":
                driver.run(rng.randint(1, 40))
            case "text":
                content = [{"type": "input_text", "text": "Typed."}]
                driver.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
                driver.send("response.create")
            case "wait":
                driver.wait(rng.choice([0.2, 1.0, 20.0]))
            case "truncate":
                ends_ms = rng.randint(0, 900)
                driver.send(
                    "conversation.item.truncate", item_id=rng.choice(items), content_index=0, audio_end_ms=ends_ms
                )
            case _:
                driver.send("conversation.item.delete", item_id=rng.choice(items))
    driver.run(rng.randint(0, 30))
    snapshot = driver.core.snapshot(driver.now_s)
    assert stored(snapshot) == snapshot
    driver.handle(Detached())  # what is heard stops here for the one that lives on, too
    unknown = driver.core._turns.unknown_ids
    again = Restarted(driver, stored(snapshot))
    known = [item for item in wire(driver) if item["id"] not in unknown]
    assert wire(again) == known
    assert not [item for item in wire(again) if item["status"] == "in_progress"]
    entries = {entry.item.id: entry for entry in driver.core._conversation.entries()}
    for entry in again.core._conversation.entries():
        assert entry.heard_text == entries[entry.item.id].heard_text
        if entry.ledger is not None:
            before = entries[entry.item.id].ledger
            assert before is not None
            assert [entry.ledger.heard_chars(at) for at in range(0, 3000, 70)] == [
                before.heard_chars(at) for at in range(0, 3000, 70)
            ]
    spoken = [entry for entry in driver.core._conversation.entries() if entry.item.id not in unknown]
    assert texts(again) == list(prompt_messages(spoken))
    assert again.core.id == driver.core.id
    assert again.core._session_wire() == driver.core._session_wire()
    again.run()
    again.wait(2)
    again.run()
    again.wait(60)
    again.engines.asr.texts.appendleft("Are you there")
    again.silence(500)
    again.say()
    assert again.last("response.done")["response"]["status"] == "completed", "it listens and answers"


def test_an_answer_that_was_cut_goes_on_with_its_own_words():
    driver = talk("Tell me a story", answers=(STORY,))
    driver.speak(600)
    driver.silence(700)
    driver.run(60)
    response_id = driver.of("response.created")[-1]["response"]["id"]
    driver.handle(TextAhead(response_id, STORY))
    driver.handle(TextAhead(response_id, "", last=True))
    driver.wait(2.0)
    again = restart(driver)
    assert again.last("s2s.session.resumed")["spoken_item_id"] == ids_of_agent(driver)[-1]
    prompts = len(again.engines.llm.prompts)
    again.wait(1.1)
    again.run()
    again.wait(60)
    assert len(again.engines.llm.prompts) == prompts, "the model is not asked again"
    agent = [message for message in texts(again) if message.role == "assistant"]
    assert " ".join(message.text for message in agent).split() == STORY.split()
    assert not any(message.cut_off for message in agent)


def test_it_goes_on_also_when_the_second_process_ends_in_turn():
    driver = talk("Tell me a story", answers=(STORY,))
    driver.speak(600)
    driver.silence(700)
    driver.run(60)
    response_id = driver.of("response.created")[-1]["response"]["id"]
    driver.handle(TextAhead(response_id, STORY, last=True))
    for _ in range(3):
        driver.wait(1.0)
        driver = restart(driver)
        driver.wait(1.1)
        request = next(action.request for action in reversed(driver.actions) if isinstance(action, Respond))
        driver.handle(TextAhead(request.response_id, request.say, last=True))
        driver.run(25)
    driver.run()
    driver.wait(60)
    agent = [message.text for message in texts(driver) if message.role == "assistant"]
    assert len(agent) == 4
    assert " ".join(agent).split() == STORY.split()


def test_an_answer_that_the_model_had_not_finished_is_asked_for_again_with_what_was_heard():
    driver = talk("Tell me a story", answers=(STORY, "And so on."))
    driver.speak(600)
    driver.silence(700)
    driver.run(60)
    driver.handle(TextAhead(driver.of("response.created")[-1]["response"]["id"], STORY[:70]))
    driver.wait(1.0)
    again = restart(driver)
    again.wait(1.1)
    again.run()
    last = again.engines.llm.prompts[-1].messages[-1]
    assert (last.role, last.cut_off) == ("assistant", True)
    assert again.last("response.output_audio_transcript.done")["transcript"] == "And so on."


def test_a_turn_that_was_not_answered_is():
    driver = talk("Are you there", answers=("I am.", "I am."))
    driver.speak(600)
    driver.silence(700)
    while not driver.of("response.created"):
        driver.step()
    snapshot = driver.core.snapshot(driver.now_s)
    assert snapshot.state.owed == Owed("")
    again = Restarted(driver, stored(snapshot))
    again.wait(1.1)
    again.run()
    assert again.last("response.output_audio_transcript.done")["transcript"] == "I am."


def test_words_that_were_not_understood_yet_are_asked_for_again():
    """The utterance is no item then, and the client is told to send it again from its beginning."""
    driver = talk("Hello there", answers=("Hello.",))
    driver.silence(1000)
    driver.speak(600)
    driver.silence(700)
    assert driver.of("input_audio_buffer.committed")
    again = restart(driver)
    resumed = again.last("s2s.session.resumed")
    assert resumed["items"] == []
    assert 600 <= resumed["input_audio_ms"] <= 1000
    again.speak(600)
    again.silence(700)
    (started,) = again.of("input_audio_buffer.speech_started")
    assert started["audio_start_ms"] >= resumed["input_audio_ms"] - 400
    again.run()
    assert again.last("response.done")["response"]["status"] == "completed"


def test_a_tool_that_ran_is_never_run_again_by_itself():
    driver = talk()
    call = Item("item_call", "function_call", call_id="call_1", name="transfer", arguments="{}")
    driver.core._conversation.append(Entry(call, runs_here=True))
    snapshot = stored(driver.core.snapshot(driver.now_s))
    assert [kept.item.output for kept in snapshot.items] == [None, OUTCOME_UNKNOWN]


def test_long_conversations_keep_their_summary():
    driver = talk(history_tokens=500)
    history = driver.core._conversation.history
    assert history is not None
    history.restore("They spoke of boats.", ["item_1"])
    again = restart(driver)
    assert again.core._conversation.history.summary == "They spoke of boats."
    assert again.core._conversation.history.covered == {"item_1"}


def test_what_is_damaged_or_of_another_version_is_refused():
    driver = talk()
    snapshot = driver.core.snapshot(driver.now_s)
    with pytest.raises(SnapshotUnreadable):
        decode(b"{}", [])
    for damaged in (b'{"session_id": "\xff"}', b'{"x": ' + b"[" * 5000):
        with pytest.raises(SnapshotUnreadable):
            decode(damaged, [])
    with pytest.raises(SnapshotUnreadable, match="version 2"):
        decode(encode(replace(snapshot.state, version=2)), [])
    with pytest.raises(SnapshotUnreadable):
        decode(encode(replace(snapshot.state, order=("item_gone",))), [])
    with pytest.raises(SnapshotUnreadable):
        decode(encode(snapshot.state)[:-3], [])
    assert json.loads(encode(snapshot.state))["settings"]["instructions"] == "Be brief."


def test_words_outside_of_their_text_are_refused():
    driver = talk("Tell me a story", answers=(STORY,))
    driver.speak(600)
    driver.silence(700)
    driver.run(60)
    snapshot = driver.core.snapshot(driver.now_s)
    (spoken,) = (item for item in snapshot.items if item.ledger is not None)
    cut = replace(spoken, ledger=replace(spoken.ledger, text="One"))
    others = [item for item in snapshot.items if item is not spoken]
    with pytest.raises(SnapshotUnreadable, match="outside"):
        decode(encode(snapshot.state), [encode(item) for item in (*others, cut)])


@pytest.mark.parametrize(
    ("text", "heard", "rest"),
    [
        ("One **two** three.", "One", "two** three."),
        ("One **two** three.", "One two", "three."),
        ("See [1] there. Then.", "See there.", "Then."),
        ("你好，世界。", "你好", "世界。"),
        ("All of it.", "All of it.", ""),
        ("All of it.", "", "All of it."),
        ("All of it.", "Something else", ""),
    ],
)
def test_the_rest_of_an_answer_begins_at_the_first_word_not_heard(text: str, heard: str, rest: str):
    assert unheard_text(text, heard) == rest
