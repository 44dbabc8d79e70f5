"""Speech from an OpenAI-compatible server: a scripted one that behaves well and badly, and our own."""

from __future__ import annotations

import io
import itertools
import logging
import socket
import struct
import threading
import time
import wave
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import ToneTts, fake_engines, never
from scripted_http import ScriptedRequest, ScriptedServer
from talkover.audio import samples_to_pcm16
from talkover.config import load_settings
from talkover.engines import EngineFailed, EngineUnavailable
from talkover.messages import VoiceSettings
from talkover.registry import create_engine
from talkover.rest.audio_files import wav_header
from talkover.sections.engines import TtsSettings
from talkover.tts.openai_api import OpenAiSpeech, create, endpoint_from
from talkover.tts.speech_stream import NotSpeech, SpeechDecoder
from talkover.tts.voice_lists import voices_of

KEY = "sk-secret-key-123"
TEXT = "My secret plan is good."
TONE = (0.3 * np.sin(np.arange(24_000) * 0.05)).astype(np.float32)
PCM = samples_to_pcm16(TONE)
SPOKEN = np.frombuffer(PCM, "<i2").astype(np.float32) / 32768


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda request: request.answer(200, PCM, "audio/pcm")) as made:
        yield made


@pytest.fixture
def engine(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiSpeech]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = create(load_settings(None, [f"tts.base_url={server.url}", "tts.timeout_s=2"], {}))
    yield made
    made.close()


def spoken(engine: Any, text: str = TEXT, voice: str = "alloy", speed: float = 1.0):
    chunks = list(engine.synthesize(text, VoiceSettings(voice, speed), never))
    return np.concatenate([chunk.samples for chunk in chunks]), [word for chunk in chunks for word in chunk.words]


def wav_of(samples: np.ndarray, rate_hz: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples_to_pcm16(np.repeat(samples, channels)))
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------- requests


def test_the_request_is_that_of_openai(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    samples, words = spoken(engine, speed=1.25)
    sent = server.requests[0]
    assert sent.path == "/v1/audio/speech"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.fields == {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm", "speed": 1.25}
    np.testing.assert_array_equal(samples[: SPOKEN.size], SPOKEN)
    assert [TEXT[word.start : word.end] for word in words] == ["My", "secret", "plan", "is", "good"]


def test_audio_is_passed_on_while_it_comes(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    go_on = threading.Event()

    def in_two(request: ScriptedRequest) -> None:
        request.begin("audio/pcm")
        request.piece(PCM[:4801])  # an odd byte of the next sample
        assert go_on.wait(10)
        request.piece(PCM[4801:])
        request.piece(b"")

    server.scripts = [in_two]
    chunks = engine.synthesize(TEXT, VoiceSettings("alloy"), never)
    first = next(chunks)
    np.testing.assert_array_equal(first.samples, SPOKEN[:2400])
    assert first.words
    go_on.set()
    rest = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(rest[: SPOKEN.size - 2400], SPOKEN[2400:])


@pytest.mark.parametrize("how", ["stale", "closed"])
def test_cancelling_closes_the_stream(engine: OpenAiSpeech, server: ScriptedServer, how: str) -> None:
    def endless(request: ScriptedRequest) -> None:
        request.begin("audio/pcm")
        request.piece(PCM)
        request.wait_for_hang_up()

    server.scripts = [endless]
    stale = threading.Event()
    chunks = engine.synthesize(TEXT, VoiceSettings("alloy"), stale.is_set)
    next(chunks)
    started_s = time.monotonic()
    if how == "stale":
        stale.set()
        assert list(chunks) == []
    else:
        chunks.close()
    assert server.hung_up.wait(2)
    assert time.monotonic() - started_s < 1


def test_cancelling_before_the_answer_closes_the_connection(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    stale = threading.Event()

    def silent(request: ScriptedRequest) -> None:
        stale.set()
        request.wait_for_hang_up()

    server.scripts = [silent]
    assert list(engine.synthesize(TEXT, VoiceSettings("alloy"), stale.is_set)) == []
    assert server.hung_up.wait(2)


def test_texts_side_by_side_do_not_mix(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    def level(request: ScriptedRequest) -> None:
        level = int(request.fields["input"]) / 100
        request.answer(200, samples_to_pcm16(np.full(2400, level, np.float32)), "audio/pcm")

    server.scripts = [level]
    found: dict[int, float] = {}

    def speak(number: int) -> None:
        found[number] = float(spoken(engine, str(number))[0][1000])

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == {number: pytest.approx(number / 100, abs=1e-4) for number in range(1, 9)}


def test_what_is_spoken_often_is_asked_for_twice_only(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    first, second, third = (spoken(engine)[0] for _ in range(3))
    assert len(server.requests) == 2
    assert first.size == second.size == third.size
    spoken(engine, speed=0.8)
    assert len(server.requests) == 3


def test_nothing_to_say_asks_nobody(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    assert list(engine.synthesize(" ... ", VoiceSettings("alloy"), never)) == []
    assert server.requests == []


# -------------------------------------------------------------------------------------------------------- formats


def test_a_server_that_answers_in_wav_is_understood(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    server.scripts = [lambda request: request.answer(200, wav_of(TONE[:16_000], 16_000, 2), "application/octet-stream")]
    samples, _ = spoken(engine)
    assert samples.size == 24_000 + 240
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.01)


def test_a_server_without_pcm_is_asked_for_wav_from_then_on(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    def wav_only(request: ScriptedRequest) -> None:
        if request.fields["response_format"] != "wav":
            request.answer(400, {"error": {"message": "response_format must be one of wav, mp3"}})
        else:
            request.answer(200, wav_header(24_000) + PCM, "audio/wav")

    server.scripts = [wav_only]
    np.testing.assert_array_equal(spoken(engine, "One.")[0][: SPOKEN.size], SPOKEN)
    spoken(engine, "Two.")
    assert [sent.fields["response_format"] for sent in server.requests] == ["pcm", "wav", "wav"]


@pytest.mark.parametrize("kind", ["audio/mpeg", "application/json", "text/html; charset=utf-8"])
def test_an_answer_that_is_no_speech_is_a_failure(engine: OpenAiSpeech, server: ScriptedServer, kind: str) -> None:
    server.scripts = [lambda request: request.answer(200, b"{}" * 5000, kind)]
    with pytest.raises(EngineFailed, match=kind.partition(";")[0]):
        spoken(engine)


def decoded(decoder: SpeechDecoder, data: bytes, cuts: list[int]) -> np.ndarray:
    borders = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [decoder.feed(data[a:b]) for a, b in itertools.pairwise(borders)]
    return np.concatenate([*pieces, decoder.finish()])


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=8), st.sampled_from(["pcm", "wav", "open wav", "junk"]))
def test_pieces_of_any_size_give_the_same_samples(cuts: list[int], kind: str) -> None:
    junk = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    wav = wav_of(TONE[:3000], 24_000)
    data = {
        "pcm": PCM[:6000],
        "wav": wav,
        "open wav": wav_header(24_000) + PCM[:6000],
        "junk": wav[:36] + junk + wav[36:] + junk,
    }[kind]
    np.testing.assert_array_equal(decoded(SpeechDecoder(""), data, cuts), SPOKEN[:3000])


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_resampling_does_not_depend_on_the_pieces(cuts: list[int]) -> None:
    kind = "audio/pcm; rate=16000; channels=1"
    whole = decoded(SpeechDecoder(kind), PCM[:8000], [])
    assert whole.size == 6000
    np.testing.assert_allclose(decoded(SpeechDecoder(kind), PCM[:8000], cuts), whole, atol=1e-6)


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_the_decoder(data: bytes, is_riff: bool) -> None:
    decoder = SpeechDecoder("audio/wav")
    try:
        samples = decoded(decoder, b"RIFF1234WAVE" + data if is_riff else data, [7])
    except NotSpeech:
        return
    assert np.isfinite(samples).all()


def test_a_header_that_never_ends_is_left() -> None:
    decoder = SpeechDecoder("audio/wav")
    decoder.feed(b"RIFF1234WAVE" + b"junk" + struct.pack("<I", 2**31))
    with pytest.raises(NotSpeech, match="do not begin"):
        decoder.feed(bytes(70_000))


# ------------------------------------------------------------------------------------------------------- failures


def test_a_busy_server_is_asked_again(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    server.scripts.insert(0, lambda request: request.answer(503, {"error": {"message": "busy"}}))
    assert spoken(engine)[0].size
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (401, {"code": "invalid_api_key"}, "refuses the key .*OPENAI_API_KEY"),
        (404, {"code": "model_not_found"}, "has no such model.*tts-1"),
        (400, {"message": f"cannot say {TEXT}"}, "refuses the request"),
        (429, {"code": "insufficient_quota"}, "insufficient_quota"),
    ],
)
def test_what_the_server_refuses_is_named_without_its_words(
    engine: OpenAiSpeech, server: ScriptedServer, status: int, error: dict[str, str], told: str
) -> None:
    server.scripts = [lambda request: request.answer(status, {"error": error})]
    with pytest.raises(EngineFailed, match=told) as failure:
        spoken(engine)
    assert len(server.requests) == 1
    assert KEY not in str(failure.value)
    assert "secret plan" not in str(failure.value)


def test_a_broken_stream_is_a_failure_and_not_said_twice(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    def breaks(request: ScriptedRequest) -> None:
        request.begin("audio/pcm")
        request.piece(PCM[:4800])
        request.break_off()

    server.scripts = [breaks]
    chunks = engine.synthesize(TEXT, VoiceSettings("alloy"), never)
    assert next(chunks).samples.size == 2400
    with pytest.raises(EngineFailed, match="broke off"):
        list(chunks)
    assert len(server.requests) == 1


def test_a_server_that_stops_in_the_middle_is_left(server: ScriptedServer) -> None:
    def stops(request: ScriptedRequest) -> None:
        request.begin("audio/pcm")
        request.piece(PCM)
        request.wait_for_hang_up()

    server.scripts = [stops]
    made = create(load_settings(None, [f"tts.base_url={server.url}", "tts.timeout_s=0.3"], {}))
    try:
        with pytest.raises(EngineFailed, match=r"the speech stopped for 0\.3 s"):
            spoken(made)
        assert server.hung_up.wait(2)
    finally:
        made.close()


def test_an_answer_without_sound_is_a_failure(engine: OpenAiSpeech, server: ScriptedServer) -> None:
    server.scripts = [lambda request: request.answer(200, b"", "audio/pcm")]
    with pytest.raises(EngineFailed, match="without speech"):
        spoken(engine)


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = create(load_settings(None, [f"tts.base_url=http://127.0.0.1:{port}/v1"], {}))
    try:
        with caplog.at_level(logging.WARNING):
            made.warmup()
        assert f"no answer from 127.0.0.1:{port}" in caplog.text
        assert made.voices()
        with pytest.raises(EngineFailed, match="cannot be reached"):
            spoken(made)
    finally:
        made.close()


# --------------------------------------------------------------------------------------------------------- voices


@pytest.mark.parametrize(
    ("path", "document", "names"),
    [
        ("/v1/voices", {"data": [{"id": "anna", "name": "Anna", "language": "de-DE"}, {"id": "bo"}]}, ["anna", "bo"]),
        ("/v1/audio/voices", {"voices": ["af_heart", "af_sky"]}, ["af_heart", "af_sky"]),
    ],
)
def test_the_voices_are_those_the_server_lists(
    engine: OpenAiSpeech, server: ScriptedServer, path: str, document: Any, names: list[str]
) -> None:
    server.documents[path] = document
    engine.warmup()
    assert [voice.id for voice in engine.voices()] == names
    assert engine.aliases()["default"] == engine.aliases()["alloy"] == names[0]
    spoken(engine, voice="default")
    assert server.requests[0].fields["voice"] == names[0]
    with pytest.raises(ValueError, match="got 'nobody'"):
        spoken(engine, voice="nobody")


def test_configured_voices_come_first(server: ScriptedServer) -> None:
    server.documents["/v1/voices"] = {"data": [{"id": "other"}]}
    made = create(load_settings(None, [f"tts.base_url={server.url}", 'tts.voice_names=["anna", "bo"]'], {}))
    try:
        made.warmup()
        assert [voice.id for voice in made.voices()] == ["anna", "bo"]
    finally:
        made.close()


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["data", "voices", "id", "name", "language"]), x),
        max_leaves=12,
    )
)
def test_a_list_of_any_shape_gives_names_or_nothing(document: Any) -> None:
    voices = voices_of(document, "openai")
    assert all(voice.id and voice.id.isprintable() and voice.language for voice in voices)
    assert len({voice.id for voice in voices}) == len(voices)


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(EngineUnavailable, match="export OPENAI_API_KEY"):
        endpoint_from(TtsSettings(), {})
    with pytest.raises(EngineUnavailable, match="export SPEECH_KEY"):
        endpoint_from(TtsSettings(api_key_env="SPEECH_KEY"), {"OPENAI_API_KEY": KEY})
    assert endpoint_from(TtsSettings(), {"OPENAI_API_KEY": KEY}).model == "gpt-4o-mini-tts"
    assert endpoint_from(TtsSettings(base_url="http://127.0.0.1:1/v1"), {}).api_key == "none"
    with pytest.raises(EngineUnavailable, match="must be an http or https address"):
        endpoint_from(TtsSettings(base_url="ftp://x"), {})


# ----------------------------------------------------------------------------------------------------- our own server


def test_our_own_server_is_such_a_server(serve: Callable[..., Any]) -> None:
    """Talkover speaks through another Talkover, with its voices, and the samples arrive unchanged."""
    behind = fake_engines(tts=ToneTts())
    address = serve(behind).http_url + "/v1"
    settings = load_settings(None, ["tts.engine=openai", f"tts.base_url={address}", "tts.pronunciation.SQL=sequel"], {})
    engine = create_engine("tts", "openai", settings)
    try:
        engine.warmup()
        assert [voice.id for voice in engine.voices()] == [voice.id for voice in behind.tts.voices()]
        samples, words = spoken(engine, "We like SQL.", "default")
        direct, _ = spoken(behind.tts, "We like sequel.", engine.voices()[0].id)
        np.testing.assert_allclose(samples[: direct.size], direct, atol=1 / 32768)
        assert ["We like SQL."[word.start : word.end] for word in words] == ["We", "like", "SQL"]
    finally:
        engine.close()
