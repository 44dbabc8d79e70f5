"""Microphones that do not run all the time, and sounds that are no speech, while the agent talks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes import ScriptedLlm, ToneTts, fake_engines
from recordings import silence, tone
from wire import WireClient

pytestmark = pytest.mark.slow


@pytest.fixture
def client(serve) -> Iterator[WireClient]:
    """One the agent is talking to."""
    answer = " ".join(["This goes on and on."] * 40)
    engines = fake_engines(llm=ScriptedLlm(reply=lambda _: answer), tts=ToneTts(ms_per_char=50))
    with WireClient(serve(engines).ws_url) as client:
        client.ask("Talk.")
        client.until("response.output_audio.delta")
        client.say_live(silence(0.5))
        yield client


def n_audio_deltas(client: WireClient) -> int:
    return len(client.of("response.output_audio.delta"))


def test_a_short_sound_leaves_the_agent_speaking(client: WireClient):
    client.say_live(tone(0.07))
    before = n_audio_deltas(client)
    client.say_live(silence(0.75))
    assert n_audio_deltas(client) > before + 5
    assert not client.of("input_audio_buffer.speech_started")


def test_a_microphone_that_stops_in_the_middle_of_a_sound_does_not_silence_the_agent(client: WireClient):
    client.say_live(tone(0.07))
    before = n_audio_deltas(client)
    client.read_for(2.0)
    assert n_audio_deltas(client) > before + 5


def test_what_the_client_has_left_to_play_running_out_does_not_make_a_sound_an_interruption(client: WireClient):
    client.say_live(tone(0.1))
    client.read_for(1.0)
    client.say_live(silence(0.6))
    assert not client.of("input_audio_buffer.speech_started")
    assert not client.of("response.done")


def test_speech_after_an_undecided_sound_interrupts_it(client: WireClient):
    client.say_live(tone(0.07))
    client.read_for(0.8)
    client.say_live(tone(0.5))
    assert client.of("input_audio_buffer.speech_started")
    assert client.nth("response.done")["response"]["status"] == "cancelled"


def test_a_client_that_only_sends_while_it_hears_something_can_interrupt(client: WireClient):
    """Some clients gate their microphone themselves and send no silence at all."""
    client.say_live(tone(0.6))
    done = client.nth("response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
