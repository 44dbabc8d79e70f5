"""Whatever happens in whatever order: nothing stale is sent, every response ends exactly once, the session listens."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from talkover.engines import EngineFailed, LlmCall, LlmFinished, LlmText
from talkover.messages import Prompt, PromptMessage

ANSWERS = [
    "A short answer.",
    "A much longer answer, with several clauses, and more words than one would like. It goes on. And on it goes.",
    EngineFailed("refused"),
    [LlmText("Half an answer. "), EngineFailed("broke off")],
    [LlmText("Let me see. "), LlmCall(0, "tool", "{}"), LlmFinished("tool_calls")],
    [LlmFinished("stop")],
]
HEARD: list[str | Exception] = ["Tell me more", "", "stop", EngineFailed("deaf"), "And then"]

MOVES = st.lists(
    st.sampled_from(
        [
            "speak",
            "noise",
            "pause",
            "silence",
            "work",
            "work",
            "work",
            "other work",
            "wait",
            "text",
            "create",
            "cancel",
            "aside",
            "truncate",
            "commit",
            "clear",
            "manual",
            "vad",
            "polite",
            "report",
            "delete",
            "garbage",
        ]
    ),
    min_size=5,
    max_size=40,
)


def do(session: Driver, move: str, rng: random.Random) -> None:
    match move:
        case "speak":
            session.speak(rng.choice([200, 400, 800]))
        case "noise":
            session.speak(60)
            session.silence(100)
        case "pause":
            session.silence(250)
        case "silence":
            session.silence(700)
        case "work":
            session.run(rng.randint(1, 12))
        case "other work":
            session.step(rng.randint(0, 5))
        case "wait":
            session.wait(rng.choice([0.05, 0.5, 3.0]))
        case "text":
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Typed."}]}
            session.send("conversation.item.create", item=item)
            session.send("response.create")
        case "create":
            session.send("response.create")
        case "cancel":
            session.send("response.cancel")
        case "aside":
            session.send("response.create", response={"conversation": "none"})
        case "truncate" | "report" | "delete":
            items = [event["item"]["id"] for event in session.of("conversation.item.added")]
            item_id = rng.choice(items or ["none"])
            if move == "truncate":
                session.send(
                    "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=rng.randint(0, 900)
                )
            elif move == "report":
                session.send("s2s.playback.updated", item_id=item_id, audio_played_ms=rng.randint(0, 900), ended=False)
            else:
                session.send("conversation.item.delete", item_id=item_id)
        case "commit":
            session.send("input_audio_buffer.commit")
        case "clear":
            session.send("input_audio_buffer.clear")
        case "manual":
            session.turn_detection(None)
        case "vad":
            session.turn_detection({"type": "server_vad"})
        case "polite":
            session.turn_detection({"type": "semantic_vad", "interrupt_response": False})
        case "garbage":
            session.send_raw(rng.choice(["{", '{"type": 3}', '{"type": "conversation.item.create"}']))
        case _:
            raise AssertionError(move)


def check_order(events: list[dict[str, Any]]) -> None:
    """The rules of the protocol's section on order, over a whole session."""
    created: list[str] = []
    done: list[str] = []
    open_items: dict[tuple[str, str], str] = {}
    announced: set[str] = set()
    active: str | None = None
    streams: dict[tuple[str, str], str] = {}
    for event in events:
        kind = event["type"]
        response_id = event.get("response_id") or event.get("response", {}).get("id")
        if kind == "response.created":
            created.append(response_id)
            if event["response"]["conversation_id"]:
                assert active is None, "two active responses"
                active = response_id
        elif response_id is not None:
            assert response_id in created, kind
            assert response_id not in done, f"{kind} after response.done"
        if kind == "response.done":
            done.append(response_id)
            active = None if active == response_id else active
            assert not [key for key in open_items if key[0] == response_id], "open items at response.done"
            assert event["response"]["usage"] is not None
            assert event["response"]["status"] != "in_progress"
        if kind == "response.output_item.added":
            open_items[response_id, event["item"]["id"]] = "open"
        if kind == "response.output_item.done":
            del open_items[response_id, event["item"]["id"]]
        if kind == "conversation.item.added":
            previous = event["previous_item_id"]
            assert previous is None or previous in announced
            announced.add(event["item"]["id"])
        if kind.endswith("_transcript.delta") or kind == "response.output_text.delta":
            key = (event["item_id"], kind.removesuffix(".delta"))
            streams[key] = streams.get(key, "") + event["delta"]
        if kind.endswith("_transcript.done") or kind == "response.output_text.done":
            whole = event["transcript"] if "transcript" in event else event["text"]
            assert streams.get((event["item_id"], kind.removesuffix(".done")), "") == whole
    assert sorted(created) == sorted(done), "a response without its end"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=MOVES, seed=st.integers(0, 2**32))
def test_any_interleaving_keeps_the_protocols_order_and_ends_listening(moves: list[str], seed: int):
    rng = random.Random(seed)
    asr = ScriptedAsr(*(rng.choice(HEARD) for _ in range(40)))
    llm = ScriptedLlm(*(rng.choice(ANSWERS) for _ in range(40)))
    session = Driver(fake_engines(asr, llm, ToneTts(ms_per_char=10, with_words=rng.random() < 0.5)))
    for move in moves:
        do(session, move, rng)
    session.run()
    session.send("input_audio_buffer.clear")
    session.wait(30)  # watchdogs
    session.run()
    check_order(session.events)
    asr.texts.clear()
    asr.texts.append("Are you there")
    llm.answers.clear()
    llm.answers.append("I am.")
    session.turn_detection({"type": "server_vad"})
    session.silence(1500)
    session.say()
    assert session.last("response.done")["response"]["status"] == "completed"
    assert session.last("response.output_audio_transcript.done")["transcript"] == "I am."


@settings(max_examples=40, deadline=None)
@given(steps=st.integers(0, 60), seed=st.integers(0, 2**32))
def test_after_a_barge_in_only_the_new_answer_is_sent(steps: int, seed: int):
    def reply(prompt: Prompt) -> str:
        asked = [message.text for message in prompt.messages if isinstance(message, PromptMessage)]
        return "The new answer." if asked[-1] == "Something else" else "Once upon a time there was an old answer. " * 8

    asr = ScriptedAsr("Tell me a story", "Something else")
    session = Driver(fake_engines(asr, ScriptedLlm(reply=reply), ToneTts(ms_per_char=10)))
    session.speak(500)
    session.silence(700)
    while not session.of("response.created"):
        session.step()
    session.run(steps)
    rng = random.Random(seed)
    before = len(session.events)
    session.speak(700)
    cut = next(
        index
        for index, event in enumerate(session.events[before:])
        if event["type"] == "input_audio_buffer.speech_started"
    )
    session.silence(240)
    while session.core.awaits_words and session.step(-1):  # the newest work is recognition
        pass
    session.silence(460)
    while session.step(rng.randint(0, 3)):  # what the old stages still yield comes in between
        pass
    old = session.of("response.created")[0]["response"]["id"]
    late = [event["type"] for event in session.events[before + cut + 1 :] if event.get("response_id") == old]
    assert not [kind for kind in late if kind.endswith(".delta")]
    assert session.last("response.output_audio_transcript.done")["transcript"] == "The new answer."
