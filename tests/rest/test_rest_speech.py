"""Speech over HTTP: formats, streaming, cancelling, failure; with espeak-ng where sound matters."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
import soundfile

from fakes import ToneTts, fake_engines, wait_until
from talkover.audio import level_dbfs, pcm16_to_samples
from talkover.engines import EngineFailed, Engines, IsStale, SpeechChunk, TtsEngine
from talkover.messages import VoiceSettings
from talkover.rest import jobs
from talkover.rest.speech import MAX_AT_ONCE


class SteeredTts(ToneTts):
    """Speaks for as long as the test lets it: a chunk for each release of `permits`, then what `ending` raises."""

    def __init__(self, ending: Exception | None = None) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)
        self.ending = ending
        self.went_stale = threading.Event()
        self.finished = threading.Event()

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        try:
            while self.permits.acquire(timeout=0.05) or self.ending is None:
                if is_stale():
                    self.went_stale.set()
                    return
                yield SpeechChunk(np.full(2400, 0.25, np.float32))
            raise self.ending
        finally:
            self.finished.set()


class EndlessTts(SteeredTts):
    """One chunk at once, unless `held`, and then one for each permit without an end; "Briefly." is just the one."""

    def __init__(self, held: bool = False) -> None:
        super().__init__()
        self.held = held

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        try:
            if not self.held:
                yield SpeechChunk(np.full(2400, 0.25, np.float32))
            while text != "Briefly.":
                while not self.permits.acquire(timeout=0.02):
                    if is_stale():
                        self.went_stale.set()
                        return
                yield SpeechChunk(np.full(2400, 0.25, np.float32))
        finally:
            self.finished.set()


def speaking(tts: TtsEngine) -> Engines:
    fakes = fake_engines()
    return Engines(fakes.vad, fakes.asr, fakes.llm, tts)


def speech(client: httpx.Client, text: str, **body: object) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"model": "tts-1", "input": text, "voice": "alloy", **body})


# ------------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize(
    ("response_format", "content_type"),
    [
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg;codecs=opus"),
        ("pcm", "audio/pcm;rate=24000;encoding=signed-int;bits=16"),
    ],
)
def test_every_format_holds_the_same_speech(
    connect, espeak: TtsEngine, response_format: str, content_type: str
) -> None:
    client = connect(speaking(espeak))
    text = "Good morning. It is half past seven."
    response = speech(client, text, response_format=response_format)
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    if response_format == "pcm":
        samples = pcm16_to_samples(response.content)
    else:
        samples, rate_hz = soundfile.read(io.BytesIO(response.content), dtype="float32")
        assert rate_hz == 24000
    reference = pcm16_to_samples(speech(client, text, response_format="pcm").content)
    assert 1.5 < reference.size / 24000 < 6
    assert samples.size == pytest.approx(reference.size, abs=2400)
    assert level_dbfs(samples) == pytest.approx(level_dbfs(reference), abs=1.5)


def test_mp3_is_the_default_as_with_openai(connect: Callable[..., httpx.Client]) -> None:
    assert speech(connect(), "Hello.").headers["content-type"] == "audio/mpeg"


def test_speed_changes_the_length(connect: Callable[..., httpx.Client], espeak: TtsEngine) -> None:
    client = connect(speaking(espeak))
    slow, normal, fast = (
        len(speech(client, "One two three four five.", response_format="pcm", speed=speed).content)
        for speed in (0.5, 1.0, 1.5)
    )
    assert slow > 1.6 * normal
    assert fast < 0.8 * normal


def test_markdown_is_not_read_aloud(connect: Callable[..., httpx.Client]) -> None:
    tts = ToneTts()
    speech(connect(speaking(tts)), "**Hello** [there](https://example.com).")
    assert "*" not in "".join(tts.spoken)
    assert "http" not in "".join(tts.spoken)


def test_longest_input_is_spoken_to_its_end(connect: Callable[..., httpx.Client]) -> None:
    tts = ToneTts(ms_per_char=0.5)
    text = "This is a sentence of the longest text. " * 102
    assert 4000 < len(text) <= 4096
    assert speech(connect(speaking(tts)), text).status_code == 200
    assert sum(spoken.count("sentence") for spoken in tts.spoken) == 102


@pytest.mark.parametrize("voice", ["tone", {"id": "tone"}, "alloy"])
def test_voice_by_name_alias_or_object(connect: Callable[..., httpx.Client], voice: object) -> None:
    assert speech(connect(), "Hello.", voice=voice).status_code == 200


def test_unknown_voice_is_named_with_those_there_are(connect: Callable[..., httpx.Client], espeak: TtsEngine) -> None:
    response = speech(connect(speaking(espeak)), "Hello.", voice="nobody")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "voice"
    assert "nobody" in error["message"]


def test_nothing_to_speak_is_an_error_and_not_an_empty_file(connect: Callable[..., httpx.Client]) -> None:
    response = speech(connect(), "🎉 🎉")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input"


# --------------------------------------------------------------------------------------------------------- streaming


def test_first_audio_arrives_while_the_rest_is_not_made_yet(connect: Callable[..., httpx.Client]) -> None:
    tts = EndlessTts()
    client = connect(speaking(tts))
    with client.stream("POST", "/v1/audio/speech", json={"input": "Hello.", "response_format": "pcm"}) as response:
        arriving = response.iter_bytes(4800)
        assert len(next(arriving)) == 4800
        assert not tts.finished.is_set()
        tts.permits.release()
        assert len(next(arriving)) == 4800


def test_synthesis_stops_and_its_place_is_free_when_the_client_leaves(connect: Callable[..., httpx.Client]) -> None:
    tts = EndlessTts()
    client = connect(speaking(tts))
    for _ in range(MAX_AT_ONCE + 2):  # a leaked place would run out
        tts.went_stale.clear()
        with client.stream("POST", "/v1/audio/speech", json={"input": "Hello."}) as response:
            assert response.status_code == 200
        assert tts.went_stale.wait(5)
        assert wait_until(tts.finished.is_set)
        tts.finished.clear()


def test_one_request_too_many_is_refused_at_once(connect: Callable[..., httpx.Client]) -> None:
    tts = EndlessTts()
    client = connect(speaking(tts))
    open_streams = [
        client.stream("POST", "/v1/audio/speech", json={"input": "Hello.", "response_format": "pcm"})
        for _ in range(MAX_AT_ONCE)
    ]
    for stream in open_streams:
        assert stream.__enter__().status_code == 200
    refused = speech(client, "Hello.")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["code"] == "server_busy"
    open_streams.pop().__exit__(None, None, None)
    assert wait_until(lambda: speech(client, "Briefly.").status_code == 200)
    for stream in open_streams:
        stream.__exit__(None, None, None)


def test_client_that_leaves_before_the_first_audio_stops_the_synthesis(connect: Callable[..., httpx.Client]) -> None:
    tts = EndlessTts(held=True)
    client = connect(speaking(tts))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/audio/speech", json={"input": "Hello."}, timeout=0.3)
    assert tts.went_stale.wait(5)
    assert wait_until(tts.finished.is_set)


def test_client_that_stops_reading_loses_its_place(
    connect: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_SEND_S", 0.3)
    tts = EndlessTts()
    client = connect(speaking(tts))
    tts.permits.release(100_000)
    with client.stream("POST", "/v1/audio/speech", json={"input": "Hello.", "response_format": "pcm"}) as response:
        assert response.status_code == 200
        assert tts.finished.wait(10)


def test_events_carry_the_same_audio(connect: Callable[..., httpx.Client]) -> None:
    client = connect()
    plain = speech(client, "Hello there.", response_format="pcm").content
    response = speech(client, "Hello there.", response_format="pcm", stream_format="sse")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == plain
    assert events[-1]["type"] == "speech.audio.done"
    assert set(events[-1]["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}


# ----------------------------------------------------------------------------------------------------------- failure


def test_engine_that_fails_at_once_is_an_error(connect: Callable[..., httpx.Client]) -> None:
    response = speech(connect(speaking(ToneTts(fails=True))), "Hello.")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "tts_error"


def test_engine_that_fails_midway_does_not_look_like_a_complete_answer(connect: Callable[..., httpx.Client]) -> None:
    tts = SteeredTts(ending=EngineFailed("no voice any more"))
    tts.permits.release(3)
    client = connect(speaking(tts))
    with pytest.raises(httpx.RemoteProtocolError):
        speech(client, "Hello.", response_format="pcm")


def test_engine_that_fails_midway_ends_the_events_with_an_error(connect: Callable[..., httpx.Client]) -> None:
    tts = SteeredTts(ending=EngineFailed("no voice any more"))
    tts.permits.release(3)
    response = speech(connect(speaking(tts)), "Hello.", response_format="pcm", stream_format="sse")
    last = json.loads(response.text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["type"] == "error"
    assert last["error"]["code"] == "tts_error"
