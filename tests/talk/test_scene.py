"""The timeline of a conversation, from events and from what the client heard."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from talkover.audio import OUTPUT_RATE_HZ
from talkover.client.loudspeaker import Gap, Loudspeaker
from talkover.client.turns import Answer, Turns, UserTurn
from talkover.talk.scene import Utterance, scene
from talkover.talk.view import live, summary, timeline

OPENED_S = 100.0
SAID = Utterance("question", 101.0, 102.0)


def turns(*answers: Answer, user: tuple[UserTurn, ...] = ()) -> Turns:
    found = Turns()
    found.answers = {answer.response_id: answer for answer in answers}
    found.user = {turn.item_id: turn for turn in user or (UserTurn("u", 700, 2512, 102.5, "hello"),)}
    return found


def speaker(start_s: float = 102.6, duration_s: float = 1.0, item_id: str = "i") -> Loudspeaker:
    loud = Loudspeaker()
    loud.play(item_id, np.full(round(duration_s * OUTPUT_RATE_HZ), 0.3, np.float32), start_s)
    return loud


def test_latency_runs_from_the_users_real_end_to_the_first_audible_sample():
    answer = Answer("r", 102.52, ["i"], "Hi there.", "completed")
    you, agent = scene(turns(answer), speaker().stretches, [SAID], OPENED_S).lines
    assert (you.who, you.start_s, you.end_s, you.text, you.notes) == ("you", 101.0, 102.0, "hello", ("question",))
    assert (agent.start_s, agent.end_s) == (pytest.approx(102.6), pytest.approx(103.6))
    assert agent.voice_to_voice_ms == pytest.approx(600)


def test_without_a_recording_the_servers_word_is_taken_for_it():
    answer = Answer("r", 102.52, ["i"], "Hi there.", "completed")
    you, agent = scene(turns(answer), speaker().stretches, [], OPENED_S).lines
    assert (you.start_s, you.end_s) == (100.7, 102.512)
    assert agent.voice_to_voice_ms == pytest.approx(88)


def test_what_was_not_heard_is_kept_apart():
    answer = Answer("r", 102.52, ["i"], "One two three.", "cancelled", "turn_detected", heard_chars=[13, 7])
    over = UserTurn("u2", 3300, 4500, 104.0, "stop")
    first = UserTurn("u", 700, 2512, 102.5, "hello")
    loud = speaker()
    loud.flush(103.5)
    found = scene(turns(answer, user=(first, over)), loud.stretches, [], OPENED_S)
    agent = found.lines[1]
    assert (agent.text, agent.unheard) == ("One two", " three.")
    assert agent.notes == ("talked over: silent after 200 ms",)
    assert [line.who for line in found.lines] == ["you", "agent", "you"]


def test_an_answer_cut_off_before_a_sound():
    answer = Answer("r", 102.52, ["i"], "", "cancelled", "turn_detected")
    agent = scene(turns(answer), (), [SAID], OPENED_S).lines[-1]
    assert (agent.voice_to_voice_ms, agent.notes) == (None, ("talked over before it was heard",))


def test_a_failure_is_told():
    answer = Answer("r", 102.52, ["i"], "", "failed", "no model")
    assert scene(turns(answer), (), [SAID], OPENED_S).lines[-1].notes == ("failed: no model",)


def test_a_recording_the_server_did_not_notice_is_shown():
    lines = scene(Turns(), (), [SAID], OPENED_S).lines
    assert [(line.text, line.notes) for line in lines] == [("question", ("not noticed",))]


def test_a_typed_turn_is_shown_once():
    typed = UserTurn("u", None, None, 101.0, "hello")
    lines = scene(turns(user=(typed,)), (), [Utterance("hello", 100.99, 100.99, typed=True)], OPENED_S).lines
    assert [(line.text, line.notes) for line in lines] == [("hello", ("typed",))]


def test_a_recording_cut_into_two_turns_keeps_its_end():
    first, second = UserTurn("u", 700, 1500, 101.5, "hello"), UserTurn("v", 1600, 2512, 102.5, "there")
    you, again = scene(turns(user=(first, second)), (), [SAID], OPENED_S).lines
    assert (you.start_s, you.end_s) == (101.0, 101.5)
    assert (again.start_s, again.end_s) == (101.6, 102.0)


def test_gaps_in_an_answer_are_told():
    answer = Answer("r", 102.52, ["i"], "Hi.", "completed")
    gaps = [Gap("i", 103.0, 0.05), Gap("i", 103.4, 0.03), Gap("other", 103.0, 1.0)]
    agent = scene(turns(answer), speaker().stretches, [SAID], OPENED_S, gaps).lines[-1]
    assert "2 gaps, 80 ms in all" in agent.notes


def test_the_screen_shows_times_words_and_the_median():
    answers = Answer("r", 102.52, ["i"], "Hi [there].", "completed")
    found = scene(turns(answers), speaker().stretches, [SAID], OPENED_S)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(timeline(found, OPENED_S))
    text = console.export_text()
    assert "1.00 s" in text
    assert "Hi [there]." in text
    assert "600 ms" in text
    assert live(found.lines[1]).endswith("[dim]600 ms[/]")
    assert summary([500, 600, 900]) == "voice to voice: 600 ms (median), 900 ms at most, 3 answers"
    assert summary([]) == ""
