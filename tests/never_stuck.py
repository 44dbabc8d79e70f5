"""The stateful test of the session: whatever clients and engines do, no turn is met with an unexplained silence.

Hypothesis chooses what happens (`NeverStuck`), `session_world.py` plays it on virtual time and holds every event to the
rules of the wire. In the end the world falls quiet, and the session must have answered for every turn, be listening,
and answer one more turn as if nothing had been. A failing run writes its event log for `talkover replay`.

    python tests/never_stuck.py --steps 100000 [--seed 1]        the long form; `make test` runs a short one
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from event_logs import event_log
from session_world import ASR_MODES, INTERJECTIONS, LLM_MODES, TOOL_MODES, Tally, Turn, World
from talkover.messages import FunctionTool, ResponseEnd, StageFailed, Transcript
from talkover.realtime.behaviour import Manners
from talkover.realtime.phrases import METADATA_KEY
from talkover.realtime.replay import read, replay
from talkover.realtime.session import LaneFull

STEPS_PER_EXAMPLE = 40
QUIET_S = 90.0
"""of virtual time, in which everything must have come to its end: every time-out of a session is shorter"""
ANSWERED_WITHIN_S = 30.0

ENGINE_DELAYS_S = st.sampled_from([0.0, 0.05, 0.3, 1.0, 4.0, 15.0])

UPDATES: tuple[dict[str, Any], ...] = (
    {},
    {"instructions": "Be kind."},
    {"output_modalities": ["text"]},
    {"output_modalities": ["audio"]},
    {"audio": {"input": {"turn_detection": None}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
    {"audio": {"input": {"transcription": {"model": "any", "language": "en"}}}},
    {"audio": {"output": {"voice": "alloy", "speed": 1.2}}},
    {"audio": {"output": {"voice": "nobody"}}},
    {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    {"s2s": {"version": 1, "events": ["playback", "pause", "words", "decisions", "tools", "metrics"]}},
    {"s2s": {"version": 1, "events": ["playback"], "manners": {"filler_after_ms": 500, "backchannels": True}}},
    {"s2s": {"version": 1, "events": ["pause"], "manners": {"reprompt_after_ms": 4000, "max_reprompts": 1}}},
    {"s2s": {"version": 1, "events": [], "caller": "ada", "barge_in_ms": 300}},
    {"tools": [{"type": "function", "name": "door", "parameters": {"type": "object"}}]},
    {"tool_choice": "required"},
    {"tool_choice": 7},
)
RESPONSES: tuple[dict[str, Any], ...] = (
    {},
    {"conversation": "none"},
    {"conversation": "none", "output_modalities": ["text"], "input": []},
    {"output_modalities": ["text"]},
    {"input": [{"type": "item_reference", "id": "item_nowhere"}]},
    {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]},
    {"voice": "nobody"},
    {"tool_choice": "none", "metadata": {"mine": "1"}},
)
FRAMES: tuple[str | bytes, ...] = (
    "{",
    "[]",
    "null",
    '{"type": "nothing"}',
    '{"type": "input_audio_buffer.append"}',
    '{"type": "input_audio_buffer.append", "audio": "?"}',
    '{"type": "input_audio_buffer.append", "audio": ""}',
    '{"type": "input_audio_buffer.append", "audio": "AA=="}',
    '{"type": "session.update", "session": 5}',
    '{"type": "conversation.item.create", "item": {"type": "message", "role": "nobody", "content": []}}',
    '{"type": "output_audio_buffer.clear"}',
    b"\x00\xff",
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"greeting": "Hello, this is Talkover."},
    {
        "manners": Manners(
            filler_after_ms=600, reprompt_after_ms=6000, max_reprompts=1, hangs_up=False, backchannels=True
        )
    },
    {"turn_model": "hears", "knows_voices": True},
    {"turn_model": "reads", "history_tokens": 400},
    {"memory": object(), "memory_tools": (FunctionTool("remember", "Remembers."),)},
)


class NeverStuck(RuleBasedStateMachine):
    """What may happen to a session, in any order."""

    tally = Tally()
    """of the whole run"""
    rules_run = 0
    log_folder = Path(tempfile.gettempdir())
    replay_every = 50
    """worlds after which a log is run again, to see that it decides the same"""
    worlds = replays = 0

    def __init__(self) -> None:
        super().__init__()
        self.world: World = World(self.tally)

    @initialize(options=st.sampled_from(OPTIONS))
    def opened(self, options: dict[str, Any]) -> None:
        self.world = World(self.tally, **options)

    @invariant()
    def counts(self) -> None:
        type(self).rules_run += 1

    # ------------------------------------------------------------------------------------------- the user speaks

    @rule(
        loudness=st.sampled_from(["near", "near", "near", "far", "noise"]),
        duration_ms=st.sampled_from([100, 200, 500, 900, 2500]),
        pause_ms=st.sampled_from([0, 0, 200, 500, 900]),
    )
    def sounds(self, loudness: str, duration_ms: int, pause_ms: int) -> None:
        self.world.sound(loudness, duration_ms)
        if pause_ms:
            self.world.sound("silence", pause_ms)

    @rule(mode=st.sampled_from(LLM_MODES), pause_ms=st.sampled_from([900, 1500]))
    def says_a_turn(self, mode: str, pause_ms: int) -> None:
        self.world.llm.append((mode, 0.3))
        self.world.sound("near", 800)
        self.world.sound("silence", pause_ms)

    @rule(duration_ms=st.sampled_from([100, 400, 1000, 3000]))
    def is_silent(self, duration_ms: int) -> None:
        self.world.sound("silence", duration_ms)

    @rule(loudness=st.sampled_from(["near", "silence"]), duration_ms=st.sampled_from([400, 2000]))
    def sends_a_burst(self, loudness: str, duration_ms: int) -> None:
        self.world.sound(loudness, duration_ms, in_real_time=False)

    @rule(seconds=st.sampled_from([0.02, 0.3, 1.0, 3.0, 12.0, 40.0]))
    def sends_nothing(self, seconds: float) -> None:
        self.world.advance(seconds)

    # ---------------------------------------------------------------------------------------------- the engines

    @rule(mode=st.sampled_from(ASR_MODES), delay_s=ENGINE_DELAYS_S)
    def recognizer_will(self, mode: str, delay_s: float) -> None:
        if len(self.world.asr) < 3:
            self.world.asr.append((mode, delay_s))

    @rule(mode=st.sampled_from(LLM_MODES), delay_s=ENGINE_DELAYS_S)
    def model_will(self, mode: str, delay_s: float) -> None:
        if len(self.world.llm) < 3:
            self.world.llm.append((mode, delay_s))

    @rule(mode=st.sampled_from(TOOL_MODES[:-1]), delay_s=ENGINE_DELAYS_S)
    def tool_will(self, mode: str, delay_s: float) -> None:
        if len(self.world.tool) < 3:
            self.world.tool.append((mode, delay_s))

    @rule(leaks=st.booleans())
    def stale_work_is_late(self, leaks: bool) -> None:
        self.world.leaks_stale = leaks

    @rule(kind=st.sampled_from(["end", "transcript", "failed", "full", "asr_failed"]))
    def stray_report(self, kind: str) -> None:
        done = next(reversed(self.world.wire.done), "resp_x")
        match kind:
            case "end":
                self.world.tell(ResponseEnd(1, done))
            case "transcript":
                item_id = next(reversed(self.world.turns), "item_x")
                self.world.tell(Transcript(item_id, "Late words", 4, True, 0, 0.9))
            case "failed":
                self.world.tell(StageFailed("synthesizer", "late", 1, done))
            case "full":
                self.world.tell(LaneFull(done))
            case _:
                self.world.tell(StageFailed("recognizer", "late", item_id="item_x"))

    @precondition(lambda self: self.world.broke < 2)
    @rule()
    def vad_raises(self) -> None:
        self.world.sounds.fails = True

    # ---------------------------------------------------------------------------------------------- the client

    @rule(kind=st.sampled_from(["commit", "clear"]))
    def buffer(self, kind: str) -> None:
        self.world.send(f"input_audio_buffer.{kind}")

    @rule(session=st.sampled_from(UPDATES))
    def updates(self, session: dict[str, Any]) -> None:
        self.world.send("session.update", session={"type": "realtime", **session})

    @rule(response=st.sampled_from(RESPONSES))
    def wants_a_response(self, response: dict[str, Any]) -> None:
        self.world.send("response.create", response=response)

    @rule(named=st.sampled_from(["none", "active", "done", "unknown"]))
    def cancels(self, named: str) -> None:
        unfinished, done = self.world.wire.unfinished, list(self.world.wire.done)
        ids = {"active": unfinished[-1:], "done": done[-1:], "unknown": ["resp_unknown"]}.get(named, [])
        self.world.client_cancelled = True
        self.world.send("response.cancel", **({"response_id": ids[0]} if ids else {}))

    @rule(kind=st.sampled_from(["text", "audio", "output", "wrong_output", "call", "twice"]))
    def creates_an_item(self, kind: str) -> None:
        items: dict[str, dict[str, Any]] = {
            "text": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            "audio": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA" * 4000}]},
            "output": {"type": "function_call_output", "call_id": self._call_id(), "output": "open"},
            "wrong_output": {"type": "function_call_output", "call_id": "call_unknown", "output": "1"},
            "call": {"type": "function_call", "name": "door", "arguments": "{}"},
            "twice": {"id": self._item_id(), "type": "message", "role": "system", "content": []},
        }
        self.world.send("conversation.item.create", item=items[kind])

    @rule(kind=st.sampled_from(["delete", "retrieve", "truncate", "played", "ended"]), known=st.booleans())
    def handles_an_item(self, kind: str, known: bool) -> None:
        item_id = self._item_id() if known else "item_unknown"
        match kind:
            case "truncate":
                self.world.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
            case "played" | "ended":
                self.world.send("s2s.playback.updated", item_id=item_id, audio_played_ms=400, ended=kind == "ended")
            case _:
                self.world.send(f"conversation.item.{kind}", item_id=item_id)

    @rule(frame=st.sampled_from(FRAMES))
    def sends_garbage(self, frame: str | bytes) -> None:
        self.world.tell(frame)

    def _item_id(self) -> str:
        added = [event for event in self.world.wire.events if event["type"] == "conversation.item.added"]
        return added[-1]["item"]["id"] if added else "item_unknown"

    def _call_id(self) -> str:
        events = self.world.wire.events
        calls = [event for event in events if event["type"] == "response.function_call_arguments.done"]
        return calls[-1]["call_id"] if calls else "call_unknown"

    # ----------------------------------------------------------------------------------------------- the oracle

    def teardown(self) -> None:
        type(self).worlds += 1
        error = sys.exc_info()[1]
        if error is None:
            self._told(self._settles)
        elif isinstance(error, Exception) and not isinstance(error, HypothesisException):
            print(f"`talkover replay {write_log(self.world, self.log_folder)}` runs this session again")

    def _told(self, check: Any) -> None:
        """Run a check; write the event log when it fails."""
        try:
            check()
        except Exception as error:
            path = write_log(self.world, self.log_folder)
            raise AssertionError(f"{error}\n`talkover replay {path}` runs this session again") from error

    def _settles(self) -> None:
        world = self.world
        world.asr.clear()
        world.llm.clear()
        world.tool.clear()
        world.sounds.fails = False
        world.sound("silence", 1000)
        world.advance(QUIET_S)
        world.sound("silence", 1000)
        self._falls_quiet()
        for turn in world.turns.values():
            self._is_explained(turn)
        self._listens()
        assert not world.wire.unfinished, f"without an end: {world.wire.unfinished}"
        if self.worlds % self.replay_every == 0:
            again = replay(read(event_log(world.options, world.inputs)))
            assert again.difference is None, again.difference
            type(self).replays += 1

    def _falls_quiet(self) -> None:
        """The agent has nothing left to do. Some of its manners speak to a silent user: it may be asked again."""
        world = self.world
        problems: list[str] = []
        for _ in range(10):
            problems = stuck(world)
            if not problems:
                return
            world.sound("silence", 500)
            world.advance(4.0)
        assert not problems, f"after {QUIET_S:g} s of quiet: {', '.join(problems)}"

    def _is_explained(self, turn: Turn) -> None:
        world = self.world
        explanation = world.explanation(turn)
        assert explanation is not None, f"unexplained silence after {turn.item_id}"
        if explanation == "aside":
            assert world.spoke_far, f"{turn.item_id} was loud and near, and was passed over"
        if explanation == "cancelled":
            assert world.client_cancelled, f"{turn.item_id} was cancelled by nobody"
        self.tally.explained[explanation] += 1

    def _listens(self) -> None:
        """One more turn is understood and answered."""
        world = self.world
        if world.closed is not None:
            return
        world.send("session.update", session={"type": "realtime", **PLAIN})
        before = len(world.wire.events)
        for _ in range(2):  # a question for consent or a suspicion of side talk may take the first one
            world.sound("near", 1200)
            world.sound("silence", 1500)
            world.advance(ANSWERED_WITHIN_S)
            if world.closed is not None:
                return
            done = [event["response"] for event in world.wire.events[before:] if event["type"] == "response.done"]
            if any(is_answer(response) for response in done):
                return
        kinds = [event["type"] for event in world.wire.events[before:]]
        raise AssertionError(f"it does not listen any more: {kinds}")


ANSWERS = {"type": "server_vad", "create_response": True, "interrupt_response": True, "idle_timeout_ms": None}
PLAIN: dict[str, Any] = {
    "output_modalities": ["audio"],
    "tool_choice": "auto",
    "audio": {
        "input": {"turn_detection": ANSWERS},
        "output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}},
    },
}


def is_answer(response: dict[str, Any]) -> bool:
    """It was made to its end, has words, and is more than a phrase for the wait."""
    metadata = response["metadata"] or {}
    is_phrase = metadata.get(METADATA_KEY) in INTERJECTIONS
    return response["status"] == "completed" and bool(response["output"]) and not is_phrase


def stuck(world: World) -> list[str]:
    """What of the core is not as it is in a session that listens and has nothing to do."""
    if world.closed is not None:
        return []
    core: Any = world.core
    answers, turns = core._answers, core._turns
    found = {
        "a response is active": answers.active is not None,
        "a response aside is active": answers._aside_active is not None,
        "responses aside wait": bool(answers._aside_waiting),
        "an answer is suspended": answers.yielding.suspended is not None,
        "the agent is paused": answers.yielding.is_paused,
        "the agent is ducked": answers.yielding._ducked_since_s is not None,
        "transcripts are awaited": turns.is_awaiting,
        "an utterance is open": turns.open is not None and turns.open.answered_automatically,
        "a sound is undecided": turns._undecided is not None,
        "a turn is due": core._floor._due is not None,
        "audio waits": not core.ready_for_frames,
        "the sender is held": world._held is not None,
    }
    bounds = {
        "awaited turns": (len(turns._awaited), 8),
        "audio waiting": (len(core._receiver._waiting), 0),
        "runs of tools": (len(core._tools._runs._runs), 64),
        "messages kept aside": (len(answers.interjections._pieces), 128),
        "said aside": (len(answers.spoken._said_aside._ledgers), 32),
    }
    found |= {f"{name}: {size}, at most {limit}": size > limit for name, (size, limit) in bounds.items()}
    return [name for name, is_so in found.items() if is_so]


def write_log(world: World, folder: Path) -> Path:
    path = folder / f"never-stuck-{time.time_ns()}.jsonl"
    path.write_bytes(b"\n".join(event_log(world.options, world.inputs)) + b"\n")
    return path


# ---------------------------------------------------------------------------------------------------- the long form


def run(examples: int, steps_per_example: int, random_seed: int | None = None, shrinks: bool = True) -> None:
    """Raises what the machine finds, made small if it `shrinks`. Without a seed it is the same run every time."""
    machine: Any = NeverStuck if random_seed is None else seed(random_seed)(NeverStuck)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps_per_example,
            derandomize=random_seed is None,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="inputs of the core, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()), help="folder for a failing session")
    parser.add_argument("--shrink", action="store_true", help="make a failing session small before it is told")
    arguments = parser.parse_args()
    NeverStuck.log_folder = arguments.logs
    tally, begun_s = NeverStuck.tally, time.monotonic()
    batch = 0
    while tally.events.total() == 0 or tally.steps < arguments.steps:
        run(20, STEPS_PER_EXAMPLE, arguments.seed * 1_000_003 + batch, arguments.shrink)
        batch += 1
        print(report(time.monotonic() - begun_s), flush=True)


def report(elapsed_s: float) -> str:
    tally = NeverStuck.tally
    explained = ", ".join(f"{name} {count}" for name, count in tally.explained.most_common())
    errors = tally.events["error"]
    responses = ", ".join(f"{name} {count}" for name, count in tally.responses.most_common())
    return (
        f"{elapsed_s:.0f} s: {NeverStuck.worlds} sessions, {NeverStuck.rules_run} random choices, {tally.steps} steps "
        f"of the core, {tally.events.total()} events, {errors} of them errors, {NeverStuck.replays} sessions replayed\n"
        f"    responses: {responses}\n    {tally.turns} turns: {explained}; unexplained 0"
    )


if __name__ == "__main__":
    main()
