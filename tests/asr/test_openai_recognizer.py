"""Recognition by an OpenAI-compatible server: a scripted one that behaves well and badly, and our own."""

from __future__ import annotations

import io
import logging
import socket
import time
import wave
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import LevelVad, ScriptedAsr, fake_engines, never
from scripted_http import ScriptedRequest, ScriptedServer
from talkover.asr.openai_api import OpenAiRecognizer, create, endpoint_from
from talkover.asr.transcription_answer import hypothesis_of, language_code
from talkover.config import load_settings
from talkover.engines import EngineFailed, Engines, EngineUnavailable, Hypothesis
from talkover.sections.engines import AsrSettings

KEY = "sk-secret-key-123"
SECOND = (0.3 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(
        lambda request: request.answer(200, {"text": "hello"}), documents={"/v1/models": {"data": []}}
    ) as made:
        yield made


@pytest.fixture
def engine(server: ScriptedServer) -> Iterator[OpenAiRecognizer]:
    made = engine_for(server.url)
    yield made
    made.close()


def engine_for(url: str, **changes: Any) -> OpenAiRecognizer:
    settings = AsrSettings.model_validate({"base_url": url, "model": "m", "timeout_s": 3.0} | changes)
    return OpenAiRecognizer(settings, endpoint_from(settings, {"OPENAI_API_KEY": KEY}))


def heard_by(engine: OpenAiRecognizer, language: str | None = None, hint: str = "") -> Hypothesis:
    stream = engine.stream(language, hint)
    try:
        for start in range(0, SECOND.size, 3000):
            assert stream.feed(SECOND[start : start + 3000]) is None
        assert stream.partial() is None
        return stream.finish(never)
    finally:
        stream.close()


def test_an_utterance_is_sent_as_wav_with_everything_that_helps(
    server: ScriptedServer, engine: OpenAiRecognizer
) -> None:
    engine.warmup()
    assert heard_by(engine, "zh-CN", "Talkover, Paraformer").text == "hello"
    sent = server.requests[0]
    assert sent.path == "/v1/audio/transcriptions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.fields == {
        "model": "m",
        "language": "zh",
        "prompt": "Talkover, Paraformer",
        "response_format": "verbose_json",
    }
    with wave.open(io.BytesIO(sent.upload)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth(), wav.getnframes()) == (16_000, 1, 2, 16_000)


def test_confidence_and_language_come_from_the_segments(server: ScriptedServer, engine: OpenAiRecognizer) -> None:
    segments = [{"avg_logprob": -0.1, "tokens": [1]}, {"avg_logprob": -0.4, "tokens": [1, 2]}]
    server.scripts = [
        lambda request: request.answer(200, {"text": " Good\nday. ", "language": "english", "segments": segments})
    ]
    heard = heard_by(engine)
    assert heard == Hypothesis("Good day.", 9, pytest.approx(np.exp(-0.3)), "en")


def test_a_server_that_knows_json_only_is_asked_for_json_from_then_on(
    server: ScriptedServer, engine: OpenAiRecognizer
) -> None:
    def script(request: ScriptedRequest) -> None:
        if request.fields["response_format"] == "verbose_json":
            request.answer(400, {"error": {"message": "response_format 'verbose_json' is not compatible", "code": "x"}})
        else:
            request.answer(200, {"text": "plain"})

    server.scripts = [script]
    assert [heard_by(engine).text for _ in range(2)] == ["plain", "plain"]
    assert [sent.fields["response_format"] for sent in server.requests] == ["verbose_json", "json", "json"]


def test_models_that_tell_probabilities_are_asked_for_them(server: ScriptedServer) -> None:
    logprobs = [{"token": "a", "logprob": -0.2}, {"token": "b", "logprob": -0.4}]
    server.scripts = [lambda request: request.answer(200, {"text": "ab", "logprobs": logprobs})]
    engine = engine_for(server.url, model="gpt-4o-mini-transcribe")
    heard = heard_by(engine)
    engine.close()
    assert heard.confidence == pytest.approx(np.exp(-0.3))
    assert server.requests[0].fields["response_format"] == "json"
    assert server.requests[0].fields["include[]"] == "logprobs"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(server: ScriptedServer, engine: OpenAiRecognizer, status: int) -> None:
    server.scripts = [lambda request: request.answer(status, {"error": {}}), lambda r: r.answer(200, {"text": "now"})]
    assert heard_by(engine).text == "now"


def test_a_connection_that_breaks_off_is_opened_again(server: ScriptedServer, engine: OpenAiRecognizer) -> None:
    server.scripts = [ScriptedRequest.break_off, lambda request: request.answer(200, {"text": "again"})]
    assert heard_by(engine).text == "again"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"error": {"code": "invalid_api_key", "message": KEY}}, "refuses the key .*check OPENAI_API_KEY"),
        (404, {"error": {"message": "no"}}, "no such model or address .*asr.model 'm'"),
        (413, {"error": {"message": "too large"}}, "refuses the request"),
        (429, {"error": {"code": "insufficient_quota"}}, "insufficient_quota"),
        (500, {"error": {}}, "HTTP 500"),
        (200, b"<html>", "not JSON"),
    ],
)
def test_what_the_server_refuses_is_said_without_its_words(
    server: ScriptedServer,
    engine: OpenAiRecognizer,
    status: int,
    body: Any,
    expected: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.scripts = [lambda request: request.answer(status, body)]
    with caplog.at_level(logging.INFO), pytest.raises(EngineFailed, match=expected) as failed:
        heard_by(engine)
    assert KEY not in str(failed.value) + caplog.text


@pytest.mark.parametrize("body", [{}, [], "text", {"text": None}, {"text": 7}, {"text": "  "}])
def test_an_answer_without_text_is_nothing_heard(server: ScriptedServer, engine: OpenAiRecognizer, body: Any) -> None:
    server.scripts = [lambda request: request.answer(200, body)]
    assert heard_by(engine) == Hypothesis("")


def test_a_server_that_hangs_is_left_in_time(server: ScriptedServer) -> None:
    engine = engine_for(server.url, timeout_s=0.4)
    server.scripts = [ScriptedRequest.wait_for_hang_up]
    started_s = time.monotonic()
    with pytest.raises(EngineFailed, match=r"no transcript within 0\.4 s"):
        heard_by(engine)
    assert time.monotonic() - started_s < 3
    assert server.hung_up.wait(5)
    engine.close()


def test_going_stale_closes_the_connection(server: ScriptedServer) -> None:
    engine = engine_for(server.url, timeout_s=30)
    server.scripts = [ScriptedRequest.wait_for_hang_up]
    stream = engine.stream()
    stream.feed(SECOND)
    assert stream.finish(lambda: bool(server.requests)) == Hypothesis("")
    assert server.hung_up.wait(5)
    engine.close()


def test_nothing_is_sent_for_too_little_audio_or_a_stale_utterance(
    server: ScriptedServer, engine: OpenAiRecognizer
) -> None:
    for samples, stale in ((SECOND[:0], never), (SECOND[:1], never), (SECOND[:1500], never), (SECOND, lambda: True)):
        stream = engine.stream()
        stream.feed(samples)
        assert stream.finish(stale) == Hypothesis("")
    assert not server.requests


def test_a_server_out_of_reach_does_not_stop_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    engine = engine_for(f"http://127.0.0.1:{port}/v1")
    engine.warmup()
    with pytest.raises(EngineFailed, match="cannot be reached"):
        heard_by(engine)
    engine.close()
    engine.close()


def test_the_key_and_the_address_are_checked_at_the_start() -> None:
    with pytest.raises(EngineUnavailable, match="export OPENAI_API_KEY="):
        endpoint_from(AsrSettings(), {})
    with pytest.raises(EngineUnavailable, match="export MY_KEY="):
        endpoint_from(AsrSettings(api_key_env="MY_KEY"), {"OPENAI_API_KEY": KEY})
    with pytest.raises(EngineUnavailable, match=r"asr\.base_url"):
        endpoint_from(AsrSettings(base_url="localhost:8000"), {})
    assert endpoint_from(AsrSettings(base_url="http://localhost:1/v1"), {}).model == "whisper-1"
    assert endpoint_from(AsrSettings(), {"OPENAI_API_KEY": KEY}).model == "gpt-4o-mini-transcribe"


def test_our_own_server_is_one_of_them(serve: Callable[..., Any]) -> None:
    base = fake_engines(asr=ScriptedAsr("Two sessions share one model."))
    engines = Engines(LevelVad(), base.asr, base.llm, base.tts)
    server = serve(engines)
    engine = create(load_settings(None, ["asr.engine=openai", f"asr.base_url={server.http_url}/v1"], {}))
    engine.warmup()
    assert heard_by(engine, "en").text == "Two sessions share one model."
    engine.close()


@pytest.mark.parametrize(
    ("name", "code"),
    [("English", "en"), ("zh-CN", "zh"), ("yue", "yue"), ("", None), ("klingon", None), (None, None), (3, None)],
)
def test_languages_are_codes(name: Any, code: str | None) -> None:
    assert language_code(name) == code


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["text", "language", "segments", "logprobs", "avg_logprob", "logprob", "tokens"]), inner
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_answer_can_break_the_reading(document: Any) -> None:
    heard = hypothesis_of(document, None)
    assert heard.stable_chars == len(heard.text)
    assert heard.confidence is None or 0 <= heard.confidence <= 1
