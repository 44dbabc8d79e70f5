"""OpenAI's own Python client, unmodified, against the embedded engines."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest
import soundfile

from fakes import fake_engines
from talkover.config import Settings
from talkover.engines import Engines, TtsEngine
from talkover.registry import create_engine

KEY = "s3cret"
QUESTION = Path(__file__).parent.parent / "data" / "speech" / "what_is_talkover_slt.flac"


@pytest.fixture(scope="module")
def embedded_engines(espeak: TtsEngine) -> Iterator[Engines]:
    settings = Settings()
    vad = create_engine("vad", "silero", settings)
    asr = create_engine("asr", "pocketsphinx", settings)
    vad.warmup()
    asr.warmup()
    yield Engines(vad, asr, fake_engines().llm, espeak)
    asr.close()
    vad.close()


@pytest.fixture
def stock_client(connect: Callable[..., httpx.Client], embedded_engines: Engines) -> Iterator[openai.OpenAI]:
    address = connect(embedded_engines, key=KEY).base_url
    with openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_speech(stock_client: openai.OpenAI, tmp_path: Path) -> None:
    with stock_client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="The quick brown fox.", response_format="wav"
    ) as response:
        response.stream_to_file(tmp_path / "fox.wav")
    samples, rate_hz = soundfile.read(tmp_path / "fox.wav")
    assert 0.8 < len(samples) / rate_hz < 4
    mp3 = stock_client.audio.speech.create(model="tts-1", voice="echo", input="The quick brown fox.")
    assert len(soundfile.read(io.BytesIO(mp3.content))[0]) > 0.8 * 24000


def test_transcription(stock_client: openai.OpenAI) -> None:
    plain = stock_client.audio.transcriptions.create(model="whisper-1", file=QUESTION)
    assert "talkover" in plain.text.lower()
    verbose = stock_client.audio.transcriptions.create(
        model="whisper-1", file=QUESTION, response_format="verbose_json", language="en"
    )
    assert verbose.duration == pytest.approx(2.0, abs=0.05)
    assert verbose.text == plain.text
    assert verbose.segments is not None
    assert 0 <= verbose.segments[0].start < verbose.segments[0].end <= 2.0


def test_streamed_transcription(stock_client: openai.OpenAI) -> None:
    events = list(stock_client.audio.transcriptions.create(model="gpt-4o-transcribe", file=QUESTION, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert "talkover" in events[-1].text.lower()


def test_models(stock_client: openai.OpenAI) -> None:
    assert {"silero", "pocketsphinx", "espeak"} <= {model.id for model in stock_client.models.list()}
    assert stock_client.models.retrieve("espeak").owned_by == "talkover"


def test_errors_are_what_the_client_documents(stock_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        stock_client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", speed=4.0)
    assert refused.value.param == "speed"
    with pytest.raises(openai.NotFoundError) as missing:
        stock_client.models.retrieve("gpt-9")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        stock_client.with_options(api_key="wrong").models.list()
