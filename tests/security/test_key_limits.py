"""What one key may use at most: sessions, requests, audio. Others never notice."""

from __future__ import annotations

import base64
import io
import json
import threading

import httpx
import pytest
import soundfile

from attacker import ask, knock
from fakes import fake_engines
from live import eventually
from recordings import silence
from talkover.access.keys import Key, digest_of
from talkover.access.policy import Access, Grant, Refusal, Request
from talkover.access.usage import DAY_S, KeyUsage
from talkover.audio import samples_to_pcm16
from talkover.realtime.actions import Send
from talkover.realtime.audio_meter import AudioMeter
from talkover.realtime.events import AudioAppend, parse_client_event
from talkover.sections.operation import AccessSettings, ServerSettings
from wire import WireClient

DESK = "the-key-of-the-desk"
BEARER = {"Authorization": f"Bearer {DESK}"}
MASTER = {"Authorization": "Bearer sesame"}
SPEAK = json.dumps({"input": "Hello there, this takes a moment to say.", "response_format": "pcm"}).encode()
JSON = {"Content-Type": "application/json"}


def desk(limits: str) -> str:
    digest = digest_of(DESK).hex()
    return f'access.keys=[{{name = "desk", key_sha256 = "{digest}", scopes = ["realtime", "audio"], {limits}}}]'


class Clock:
    """Both of them, by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.unix_s = 20 * DAY_S + 3600.0


def access(*ring: Key, clock: Clock | None = None, settings: AccessSettings | None = None) -> Access:
    clock = clock or Clock()
    return Access(ServerSettings(), settings or AccessSettings(), ring, lambda: clock.now_s, lambda: clock.unix_s)


def request(path: str = "/v1/realtime", key: str = DESK, **changes: str) -> Request:
    kind = "websocket" if path == "/v1/realtime" else "http"
    fields = {"method": "GET", "peer": "127.0.0.1", "host": "localhost", "authorization": f"Bearer {key}"}
    return Request(kind=kind, path=path, **(fields | changes))


def test_one_session_too_many_of_a_key_is_told_so_and_others_get_theirs(serve):
    server = serve(fake_engines(), desk("max_sessions = 2"), environ={"TALKOVER_API_KEY": "sesame"})
    with WireClient(server.ws_url, headers=BEARER) as first, WireClient(server.ws_url, headers=BEARER):
        answer = knock(server, BEARER)
        assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
        assert int(answer.headers["retry-after"]) > 0
        assert knock(server, MASTER).status == 101
        first.connection.close()
        assert eventually(lambda: knock(server, BEARER).status == 101)


def test_handshakes_that_come_at_once_do_not_slip_through(serve):
    server = serve(fake_engines(), desk("max_sessions = 3"))
    admitted: list[WireClient] = []
    refused: list[Exception] = []

    def connect() -> None:
        try:
            admitted.append(WireClient(server.ws_url, headers=BEARER))
        except Exception as error:
            refused.append(error)

    threads = [threading.Thread(target=connect) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(admitted), len(refused)) == (3, 7)
    for client in admitted:
        client.connection.close()


def test_requests_per_minute_of_a_key(serve):
    server = serve(fake_engines(), desk("requests_per_minute = 3"), environ={"TALKOVER_API_KEY": "sesame"})
    answers = [ask(server, "/v1/models", BEARER) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert knock(server, BEARER).status == 429
    assert ask(server, "/v1/models", MASTER).status == 200


def test_requests_come_back_with_time():
    clock = Clock()
    policy = access(Key("desk", digest_of(DESK), requests_per_minute=6), clock=clock)
    assert all(isinstance(policy.decide(request("/v1/models")), Grant) for _ in range(6))
    refused = policy.decide(request("/v1/models"))
    assert isinstance(refused, Refusal)
    assert refused.retry_after_s == 10
    clock.now_s += refused.retry_after_s
    assert isinstance(policy.decide(request("/v1/models")), Grant)
    assert isinstance(policy.decide(request("/v1/models")), Refusal)


def test_a_conversation_ends_when_the_audio_of_its_key_is_used_up(serve):
    server = serve(fake_engines(), desk("audio_minutes_per_day = 0.05"), environ={"TALKOVER_API_KEY": "sesame"})
    with WireClient(server.ws_url, headers=BEARER) as client:
        client.say(silence(4.0))
        assert client.closed()[0] == 1013
        assert client.of("error")[-1]["error"]["code"] == "rate_limit_exceeded"
    answer = knock(server, BEARER)
    assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
    assert 0 < int(answer.headers["retry-after"]) <= DAY_S
    assert ask(server, "/v1/audio/speech", BEARER | JSON, method="POST", body=SPEAK).status == 429
    assert knock(server, MASTER).status == 101


def test_speech_by_rest_counts(serve):
    server = serve(fake_engines(), desk("audio_minutes_per_day = 0.01"))
    assert ask(server, "/v1/audio/speech", BEARER | JSON, method="POST", body=SPEAK).status == 200
    assert ask(server, "/v1/audio/speech", BEARER | JSON, method="POST", body=SPEAK).status == 429


def test_transcription_by_rest_counts(serve):
    server = serve(fake_engines(), desk("audio_minutes_per_day = 0.01"))
    recording = io.BytesIO()
    soundfile.write(recording, silence(1.0), 16_000, format="WAV")

    def transcribe() -> int:
        upload = {"file": ("said.wav", recording.getvalue())}
        url = f"{server.http_url}/v1/audio/transcriptions"
        return httpx.post(url, files=upload, headers=BEARER, trust_env=False).status_code

    assert [transcribe(), transcribe()] == [200, 429]


def test_the_day_begins_anew_at_midnight():
    usage = KeyUsage(Key("desk", b"", audio_minutes_per_day=1))
    assert usage.spend_audio(59, 5 * DAY_S)
    assert not usage.spend_audio(1, 5 * DAY_S + 10)
    assert not usage.has_audio(6 * DAY_S - 1)
    assert usage.has_audio(6 * DAY_S)


def test_a_grant_is_given_back_once():
    policy = access(Key("desk", digest_of(DESK), max_sessions=1))
    grant = policy.decide(request())
    assert isinstance(grant, Grant)
    assert isinstance(policy.decide(request()), Refusal)
    grant.release()
    grant.release()
    assert isinstance(policy.decide(request()), Grant)
    assert isinstance(policy.decide(request()), Refusal)


# ------------------------------------------------------------------------------------------------- what is counted


def append(n_bytes: int) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(n_bytes)).decode()})


def session_event(kind: str, input_format: dict[str, object]) -> Send:
    pcm = {"type": "audio/pcm", "rate": 24000}
    return Send({"type": kind, "session": {"audio": {"input": {"format": input_format}, "output": {"format": pcm}}}})


def test_audio_is_counted_by_its_format_both_ways():
    spent: list[float] = []
    meter = AudioMeter(lambda seconds: spent.append(seconds) is None, lambda: None)
    meter.happened(append(48_000), 0)
    meter.decided([session_event("session.updated", {"type": "audio/pcmu"})], 0)
    meter.happened(append(8_000), 0)
    meter.happened(json.dumps({"type": "response.create", "audio": None}), 0)
    meter.happened('{"audio": 3', 0)
    delta = base64.b64encode(samples_to_pcm16(silence(2.0))).decode()
    meter.decided([Send({"type": "response.output_audio.delta", "response_id": "resp_1", "delta": delta})], 0)
    assert spent == pytest.approx([1.0, 1.0, 2.0], rel=0.001)  # base64 is padded


def test_audio_in_an_item_counts_as_well():
    spent: list[float] = []
    meter = AudioMeter(lambda seconds: spent.append(seconds) is None, lambda: None)
    audio = base64.b64encode(bytes(48_000)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
    meter.happened(json.dumps({"type": "conversation.item.create", "item": item}), 0)
    assert spent == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    "dressed",
    [
        append(48_000).replace('"audio"', '"\\u0061udio"'),
        append(48_000)[:-1] + ', "item": 5}',
        append(48_000)[:-1] + ', "item": {"content": [{"audio": 5}, 5, null]}}',
        append(48_000).replace("{", '{"audio": 5, ', 1),
    ],
)
def test_no_dressing_up_of_an_event_keeps_its_audio_from_being_counted(dressed: str):
    event = parse_client_event(dressed)
    assert isinstance(event, AudioAppend), "the session hears it"
    spent: list[float] = []
    AudioMeter(lambda seconds: spent.append(seconds) is None, lambda: None).happened(dressed, 0)
    assert spent == [pytest.approx(1.0)]


def test_an_event_that_no_session_takes_does_no_harm_to_the_meter():
    meter = AudioMeter(lambda _seconds: True, lambda: None)
    meter.happened(f'{{"audio": "AAAA", "x": {"[" * 3000}{"]" * 3000}}}', 0)
    meter.happened('{"audio": "\ud800"}', 0)
