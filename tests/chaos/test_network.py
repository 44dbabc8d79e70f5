"""The proxies: what they do to a conversation, and that they do nothing while the switch is off."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from fakes import ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from recordings import silence, tone
from talkover.chaos.network import NetworkFault, NetworkProxy
from wire import WireClient

LONG = "This answer is quite long, and it goes on for a while. " * 4


def answer(client: WireClient) -> str:
    client.ask("Hello?")
    return client.until("response.done")["response"]["status"]


def test_a_late_network_delays_and_keeps_the_order(serve):
    server = serve(fake_engines())
    late = NetworkFault(delay_ms=50, jitter_ms=100, loss=0.1)
    with NetworkProxy(server.ws_url, late) as proxy, WireClient(proxy.url) as client:
        assert answer(client) == "completed"
        proxy.turn(True)
        started_s = time.monotonic()
        assert answer(client) == "completed"
        assert time.monotonic() - started_s >= 0.1


def test_a_reset_in_the_middle_of_an_answer_ends_that_call_and_the_next_is_answered(serve):
    server = serve(fake_engines(llm=ScriptedLlm(reply=lambda _: LONG), tts=ToneTts(ms_per_char=5)))
    with NetworkProxy(server.ws_url, NetworkFault(reset_after_bytes=20_000)) as proxy:
        proxy.turn(True)
        with WireClient(proxy.url) as client, pytest.raises(ConnectionClosed):
            answer(client)
        proxy.turn(False)
        with WireClient(proxy.url) as client:
            assert answer(client) == "completed"


def test_nothing_goes_through_a_frozen_connection_and_nobody_is_told(serve):
    server = serve(fake_engines(llm=ScriptedLlm(reply=lambda _: LONG), tts=ToneTts(ms_per_char=5)))
    frozen = NetworkFault(freeze_after_bytes=20_000)
    with ExitStack() as stack, NetworkProxy(server.ws_url, frozen) as proxy:
        proxy.turn(True)
        client = WireClient(proxy.url)
        stack.callback(client.connection.close)
        client.ask("Hello?")
        with pytest.raises(AssertionError, match=r"no response\.done"):
            client.until("response.done", 1.5)
        assert server.realtime.active_sessions == 1


def test_lost_messages_of_the_microphone_are_counted_and_the_turn_is_answered(serve):
    server = serve(fake_engines(ScriptedAsr("What is Talkover?")))
    with NetworkProxy(server.ws_url, NetworkFault(message_loss=0.1, seed=3)) as proxy:
        proxy.turn(True)
        with WireClient(proxy.url) as client:
            client.say(tone(0.8))
            client.say(silence(1.5))
            assert client.until("response.done")["response"]["status"] == "completed"
    assert proxy.dropped_messages
