"""Engines that do wrong as planned, under a session on virtual time: one end per response, words for the user, on."""

from __future__ import annotations

import base64
import threading
from typing import Any

import numpy as np
import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, never
from talkover.audio import pcm16_to_samples
from talkover.chaos.engines import Switch, with_faults
from talkover.chaos.plan import POSSIBLE, VICTIM, VICTIM_SPEED, EngineFault, FaultPlan, SystemFault, decode_plan
from talkover.engines import EngineFailed, Engines, IsStale
from talkover.messages import Prompt, PromptMessage, ResponseEnd, ResponseRequest, TextDelta, VoiceSettings
from talkover.pipeline.recognizer import MAX_CHARACTERS
from talkover.pipeline.responder import MAX_ANSWER_CHARACTERS, Responder
from talkover.realtime.phrases import remark

STOCK_MAX_FRAME_BYTES = 1 << 20
RAISING = ("fail", "raise", "out_of_memory", "cuda_out_of_memory")
APOLOGY = remark("broke_down", "en")


def a_call(fault: EngineFault, engines: Engines | None = None) -> tuple[Driver, Switch]:
    """A session that says it is the victim, with the fault on."""
    switch = Switch()
    plain = engines or fake_engines(ScriptedAsr(*["What is it?"] * 9), tts=ToneTts(ms_per_char=1))
    session = Driver(with_faults(plain, FaultPlan((fault,)), switch))
    audio = {
        "input": {"transcription": {"model": "default", "prompt": VICTIM}},
        "output": {"speed": VICTIM_SPEED},
    }
    session.update(instructions=VICTIM, audio=audio)
    switch.turn(True)
    return session, switch


def answered(session: Driver) -> dict[str, Any]:
    """The response to a spoken turn: exactly one."""
    before = len(session.of("response.done"))
    session.say()
    session.run()
    done = session.of("response.done")[before:]
    assert len(done) == 1
    assert max(len(str(event)) for event in session.events) < STOCK_MAX_FRAME_BYTES
    return done[0]["response"]


def said(response: dict[str, Any]) -> str:
    return " ".join(part.get("transcript") or "" for item in response["output"] for part in item["content"])


def code(response: dict[str, Any]) -> str | None:
    return ((response["status_details"] or {}).get("error") or {}).get("code")


@pytest.mark.parametrize("deed", [*RAISING, *POSSIBLE["tts"]])
def test_a_synthesiser_that_fails_once_is_apologised_for_in_the_same_response(deed: Any):
    session, switch = a_call(EngineFault("tts", deed, times=1))
    response = answered(session)
    assert (response["status"], code(response)) == ("failed", "tts_error")
    assert said(response).endswith(APOLOGY)
    heard = b"".join(base64.b64decode(event["delta"]) for event in session.of("response.output_audio.delta"))
    samples = pcm16_to_samples(heard)
    assert samples.size
    if deed != "endless":
        assert np.max(np.abs(samples)) < 0.4  # the scripted voice, and none of the garbage
    switch.turn(False)
    assert answered(session)["status"] == "completed"


def test_a_synthesiser_that_fails_at_the_apology_too_is_not_asked_a_third_time():
    session, switch = a_call(EngineFault("tts", "fail"))
    response = answered(session)
    assert (response["status"], code(response)) == ("failed", "tts_error")
    assert not session.of("response.output_audio.delta")
    switch.turn(False)
    assert answered(session)["status"] == "completed"


def test_a_segment_that_broke_off_does_not_count_as_heard_when_the_apology_was():
    engines = fake_engines(ScriptedAsr("What is it?"), tts=ToneTts(ms_per_char=20))
    session, _ = a_call(EngineFault("tts", "fail", after_results=1, times=1), engines)
    response = answered(session)
    assert [item["status"] for item in response["output"]] == ["incomplete", "incomplete"]
    assert response["output"][1]["content"][0]["transcript"] == APOLOGY


@pytest.mark.parametrize("deed", [*RAISING, "silent", "huge", "control_characters", "nonsense"])
def test_a_model_that_does_wrong_ends_its_response_once_and_within_bounds(deed: Any):
    session, switch = a_call(EngineFault("llm", deed))
    response = answered(session)
    assert len(said(response)) <= 2 * MAX_ANSWER_CHARACTERS
    if deed in RAISING:
        assert code(response) == "llm_error"
        assert said(response).count("Sorry") == 1
    if deed == "huge":
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    switch.turn(False)
    assert answered(session)["status"] == "completed"


@pytest.mark.parametrize("deed", ["endless", "huge"])
def test_a_model_that_does_not_stop_is_stopped(deed: Any):
    plan = FaultPlan((EngineFault("llm", deed),))
    engine = with_faults(fake_engines(), plan, Switch(is_on=True)).llm
    request = ResponseRequest(1, "resp_1", Prompt(VICTIM, ()), "text", VoiceSettings("tone"))
    results = list(Responder(engine).process(request, never))
    text = "".join(result.text for result in results if isinstance(result, TextDelta))
    assert len(text) <= MAX_ANSWER_CHARACTERS
    assert results[-1] == ResponseEnd(1, "resp_1", "incomplete", "max_output_tokens")


def test_a_model_that_breaks_in_the_middle_is_apologised_for_behind_what_it_said():
    llm = ScriptedLlm(reply=lambda _: "The first sentence is said. The second one never is.")
    engines = fake_engines(ScriptedAsr("What is it?"), llm, ToneTts(ms_per_char=1))
    session, _ = a_call(EngineFault("llm", "raise", after_results=7), engines)
    response = answered(session)
    assert said(response).startswith("The first sentence is said.")
    assert said(response).count("Sorry") == 1
    assert code(response) == "llm_error"


@pytest.mark.parametrize("deed", [*RAISING, "nonsense"])
def test_a_recogniser_that_does_wrong_is_apologised_for(deed: Any):
    session, switch = a_call(EngineFault("asr", deed))
    response = answered(session)
    assert said(response) == remark("not_understood", "en")
    assert session.of("conversation.item.input_audio_transcription.failed")
    switch.turn(False)
    assert said(answered(session)) == "Fine."


@pytest.mark.parametrize("deed", ["huge", "control_characters"])
def test_a_recogniser_that_hears_what_nobody_can_say_is_cut_to_what_can_be_shown(deed: Any):
    session, _ = a_call(EngineFault("asr", deed))
    assert answered(session)["status"] == "completed"
    transcript = session.last("conversation.item.input_audio_transcription.completed")["transcript"]
    assert transcript.isprintable()
    assert 0 < len(transcript) <= MAX_CHARACTERS


def test_the_watchdog_s_apology_that_hangs_as_well_is_left_out():
    session, _ = a_call(EngineFault("llm", "hang"))
    session.send("response.create")
    session.work.clear()
    session.wait(session.options.response_timeout_s + 1)
    assert not session.of("response.done")
    session.work.clear()
    session.wait(6)
    response = session.last("response.done")["response"]
    assert (response["status"], code(response)) == ("failed", "internal_error")
    assert answered_text(session) == "completed"


def answered_text(session: Driver) -> str:
    session.engines = fake_engines(llm=ScriptedLlm("Fine."))
    session.send("response.create")
    session.run()
    return session.last("response.done")["response"]["status"]


# ------------------------------------------------------------------------------------------------------- the plan


def test_a_plan_goes_through_json_whole():
    plan = FaultPlan((EngineFault("vad", "nan", session=2), EngineFault("llm", "slow")), SystemFault("disk_full"))
    assert decode_plan(plan.encode()) == plan


def test_a_deed_that_an_engine_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"deed of llm must be one of .*, got 'loud'"):
        EngineFault("llm", "loud")


def test_calls_are_counted_anew_each_time_the_switch_is_turned_on_and_only_the_victims():
    switch = Switch()
    plan = FaultPlan((EngineFault("llm", "fail", at_call=2, times=1),))
    engine = with_faults(fake_engines(), plan, switch).llm

    def fails(instructions: str) -> bool:
        try:
            list(engine.respond(Prompt(instructions, (PromptMessage("user", "Hello?"),)), never))
        except EngineFailed:
            return True
        return False

    assert not any(fails(VICTIM) for _ in range(3))
    for _ in range(2):
        switch.turn(True)
        assert not any(fails("Be brief.") for _ in range(3))
        assert [fails(VICTIM) for _ in range(3)] == [False, True, False]


def test_a_share_of_calls_is_drawn_by_the_seed():
    def struck(seed: int) -> list[bool]:
        plan = FaultPlan((EngineFault("tts", "fail", share=0.5, seed=seed),))
        engine = with_faults(fake_engines(), plan, Switch(is_on=True)).tts
        return [not spoken(engine, never) for _ in range(40)]

    def spoken(engine: Any, is_stale: IsStale) -> bool:
        try:
            return bool(list(engine.synthesize("Hi.", VoiceSettings("tone", VICTIM_SPEED), is_stale)))
        except EngineFailed:
            return False

    assert struck(1) == struck(1) != struck(2)
    assert 5 < sum(struck(1)) < 35


def test_what_hangs_gives_up_when_it_is_stale_and_what_is_stuck_only_at_the_end():
    switch = Switch(is_on=True)
    hanging = with_faults(fake_engines(), FaultPlan((EngineFault("llm", "hang"),)), switch).llm
    asked = iter((False, True))
    list(hanging.respond(Prompt(VICTIM, ()), lambda: next(asked, True)))
    stuck = with_faults(fake_engines(), FaultPlan((EngineFault("llm", "stuck"),)), switch).llm
    known_stale = iter((False,))
    thread = threading.Thread(target=lambda: list(stuck.respond(Prompt(VICTIM, ()), lambda: next(known_stale, True))))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    switch.ended.set()
    thread.join(10)
    assert not thread.is_alive()
