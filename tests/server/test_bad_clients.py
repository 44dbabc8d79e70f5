"""Clients that stop reading, vanish or flood: they lose their session, nobody else does, and nothing of them stays."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from fakes import ScriptedAsr, ScriptedAsrStream, ScriptedLlm, ToneTts, fake_engines
from live import InProcessServer, eventually
from recordings import silence, tone
from talkover.pipeline.lane import Lane
from talkover.pipeline.stage import StageThread
from talkover.realtime.response import Response
from talkover.realtime.session import RealtimeSession
from talkover.realtime.session_thread import SessionThread
from talkover.realtime.transport import LingeringProtocol
from wire import WireClient

LONG = " ".join(["This goes on and on."] * 400)


def stage_threads() -> set[str]:
    """Threads of sessions."""
    stages = ("receiver", "recognizer", "responder", "synthesizer", "sender")
    return {thread.name for thread in threading.enumerate() if thread.name.split("-", maxsplit=1)[0] in stages}


def small_socket(server: InProcessServer) -> socket.socket:
    """One that holds little that is not read."""
    host, port = server.host.split(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    small.connect((host, int(port)))
    return small


def stuck_client(server: InProcessServer) -> WireClient:
    """Asked for ten minutes of audio at once, and reads none of it."""
    client = WireClient(server.ws_url, raw_socket=small_socket(server), max_queue=1)
    client.ask("Tell me everything.")
    return client


def serve_fast_talker(serve, *overrides: str) -> InProcessServer:
    engines = fake_engines(llm=ScriptedLlm(reply=lambda _: LONG), tts=ToneTts(ms_per_char=50))
    return serve(engines, "session.output_lead_ms=none", "server.max_backlog_mib=0.5", *overrides)


def abort(client: WireClient) -> None:
    """What the network sees when a client's process is killed: a reset in the middle of everything."""
    raw: socket.socket = client.connection.socket
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_RD)  # wakes the thread that reads, which closes the socket
    client.closed()


def test_client_that_stops_reading_is_closed_with_1008(serve):
    server = serve_fast_talker(serve)
    client = stuck_client(server)
    assert eventually(lambda: server.realtime.active_sessions == 0)
    assert client.closed()[0] == 1008


def test_client_that_never_reads_again_is_forgotten_and_disturbs_nobody(serve):
    server = serve_fast_talker(serve, "server.max_sessions=2")
    with WireClient(server.ws_url) as other:
        other.next()
        client = stuck_client(server)
        assert eventually(lambda: server.realtime.active_sessions == 1)
        assert eventually(lambda: server.open_connections == 1, 15), "the server still keeps the connection"
        other.add_text("Still there?")
        other.send("response.create", response={"output_modalities": ["text"]})
        assert other.until("response.done")["response"]["status"] == "completed"
        abort(client)
    assert eventually(lambda: not stage_threads())


@pytest.mark.parametrize("moment", ["before a word", "in the middle of a word", "while it is answered"])
def test_client_that_vanishes_leaves_nothing_behind(serve, moment: str):
    asr = ScriptedAsr("What is Talkover?")
    llm = ScriptedLlm(reply=lambda _: LONG)
    server = serve(fake_engines(asr, llm), "server.max_sessions=1")
    client = WireClient(server.ws_url)
    client.next()
    if moment != "before a word":
        client.say(tone(0.6))
        client.until("input_audio_buffer.speech_started")
    if moment == "while it is answered":
        client.say(silence(0.8))
        client.until("response.output_audio.delta")
    abort(client)
    assert eventually(lambda: server.realtime.active_sessions == 0)
    assert eventually(lambda: not stage_threads()), stage_threads()
    assert asr.open_streams == 0
    with WireClient(server.ws_url) as following:
        assert following.next()["type"] == "session.created"


def test_flood_of_small_events_does_not_starve_other_sessions(serve):
    server = serve(fake_engines())
    stop = threading.Event()

    def flood() -> None:
        event = json.dumps({"type": "input_audio_buffer.clear"})
        while not stop.is_set():
            flooding.send_raw(event)

    with WireClient(server.ws_url) as flooding, WireClient(server.ws_url) as other:
        flooder = threading.Thread(target=flood)
        flooder.start()
        try:
            other.next()
            delays_s: list[float] = []
            for _ in range(5):
                began_s = time.monotonic()
                other.round_trip()
                delays_s.append(time.monotonic() - began_s)
        finally:
            stop.set()
            flooder.join()
        assert min(delays_s) < 0.25
        assert max(delays_s) < 1.0


def test_client_that_says_goodbye_is_answered_with_1000(serve):
    client = WireClient(serve(fake_engines()).ws_url)
    client.ask("Bye?")
    client.until("response.created")
    client.connection.close()
    assert client.connection.protocol.close_rcvd is not None
    assert client.connection.protocol.close_rcvd.code == 1000
    assert eventually(lambda: not stage_threads())


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def converse(server: InProcessServer, n_sessions: int) -> None:
    for index in range(n_sessions):
        client = WireClient(server.ws_url)
        client.say(tone(0.4))
        client.say(silence(0.7))
        client.until("response.output_audio.delta")
        if index % 2:
            abort(client)
        else:
            client.connection.close()
    assert eventually(lambda: server.realtime.active_sessions == 0)


def alive() -> list[object]:
    """What of sessions is still in memory."""
    kinds = (RealtimeSession, SessionThread, Lane, StageThread, Response, ScriptedAsrStream, LingeringProtocol)
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) in kinds]


def test_fifty_sessions_leave_no_thread_no_object_and_no_memory(serve):
    asr = ScriptedAsr()
    asr.texts.extend(["Hello?"] * 100)
    of_other_tests = alive()  # Hypothesis keeps its last examples

    def left() -> set[str]:
        known = {id(thing) for thing in of_other_tests}
        return {type(thing).__name__ for thing in alive() if id(thing) not in known}

    server = serve(fake_engines(asr))
    converse(server, 10)
    before_kib = resident_kib()
    converse(server, 50)
    assert eventually(lambda: not stage_threads()), stage_threads()
    assert eventually(lambda: not left()), left()
    assert resident_kib() - before_kib < 20 * 1024
