"""Recordings over HTTP: pieces, formats, events, refusals. The recogniser is scripted."""

import io
import json
import threading
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
import soundfile

from fakes import ScriptedAsr, ScriptedAsrStream, fake_engines, wait_until
from talkover.engines import EngineFailed, Hypothesis, IsStale
from talkover.rest.offline import TranscribedPiece, subtitles
from talkover.rest.transcription import MAX_AT_ONCE

Connect = Callable[..., httpx.Client]


def recording(*stretches: tuple[float, float], rate_hz: int = 16000) -> bytes:
    """A flac file of (seconds, amplitude) stretches of tone."""
    parts = [amplitude * np.sin(np.arange(round(seconds * rate_hz)) * 0.1) for seconds, amplitude in stretches]
    buffer = io.BytesIO()
    soundfile.write(buffer, np.concatenate(parts), rate_hz, format="FLAC")
    return buffer.getvalue()


TWO_UTTERANCES = recording((0.5, 0), (1.0, 0.5), (1.2, 0), (1.5, 0.5), (0.5, 0))


def transcribe(client: httpx.Client, data: bytes = TWO_UTTERANCES, **form: str) -> httpx.Response:
    return client.post("/v1/audio/transcriptions", files={"file": ("some.flac", data)}, data={"model": "x"} | form)


@pytest.fixture
def heard(connect: Connect) -> Iterator[httpx.Client]:
    """A server whose recogniser hears two utterances."""
    return connect(fake_engines(asr=ScriptedAsr("Where is my order?", "It is late.")))


def test_utterances_are_joined_in_order(heard: httpx.Client) -> None:
    body = transcribe(heard).json()
    assert body == {"text": "Where is my order? It is late.", "usage": {"type": "duration", "seconds": 4.7}}


def test_text(heard: httpx.Client) -> None:
    response = transcribe(heard, response_format="text")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == "Where is my order? It is late.\n"


def test_verbose_json_tells_when_each_utterance_was(heard: httpx.Client) -> None:
    body = transcribe(heard, response_format="verbose_json", language="en").json()
    assert body["duration"] == 4.7
    assert body["language"] == "en"
    assert [segment["text"] for segment in body["segments"]] == ["Where is my order?", "It is late."]
    first, second = body["segments"]
    assert first["start"] == pytest.approx(0.5 - 0.256, abs=0.04)
    assert first["end"] == pytest.approx(1.5 + 0.256, abs=0.04)
    assert second["start"] == pytest.approx(2.7 - 0.256, abs=0.04)


@pytest.mark.parametrize(
    ("style", "head", "mark"), [("srt", "1\n00:00:00,", ","), ("vtt", "WEBVTT\n\n1\n00:00:00.", ".")]
)
def test_subtitles(heard: httpx.Client, style: str, head: str, mark: str) -> None:
    text = transcribe(heard, response_format=style).text
    assert text.startswith(head)
    assert f" --> 00:00:01{mark}" in text
    assert "It is late.\n" in text


def test_subtitle_times_beyond_an_hour() -> None:
    piece = TranscribedPiece(3599.9996, 3725.5, "Late.", None)
    assert subtitles([piece], ",") == "1\n01:00:00,000 --> 01:02:05,500\nLate.\n"


def test_events_come_per_utterance(heard: httpx.Client) -> None:
    response = transcribe(heard, stream="true")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    deltas = [event["delta"] for event in events if event["type"] == "transcript.text.delta"]
    assert deltas == ["Where is my order?", " It is late."]
    assert events[-1] == {
        "type": "transcript.text.done",
        "text": "Where is my order? It is late.",
        "usage": {"type": "duration", "seconds": 4.7},
    }


def test_silence_is_an_empty_text(connect: Connect) -> None:
    asr = ScriptedAsr("never asked for")
    assert transcribe(connect(fake_engines(asr=asr)), recording((2, 0))).json()["text"] == ""
    assert len(asr.texts) == 1


def test_what_was_not_understood_is_left_out(connect: Connect) -> None:
    client = connect(fake_engines(asr=ScriptedAsr("", "It is late.")))
    assert transcribe(client).json()["text"] == "It is late."


def test_every_stream_of_the_recogniser_is_closed(connect: Connect) -> None:
    asr = ScriptedAsr("One.", EngineFailed("the worker died"))
    response = transcribe(connect(fake_engines(asr=asr)))
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "asr_error"
    assert asr.open_streams == 0


def test_failure_ends_the_events_with_an_error(connect: Connect) -> None:
    asr = ScriptedAsr("One.", EngineFailed("the worker died"))
    lines = transcribe(connect(fake_engines(asr=asr)), stream="true").text.strip().splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert [event["type"] for event in events] == ["transcript.text.delta", "error"]


class WaitingAsr(ScriptedAsr):
    """Recognises nothing until its caller gives up."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Semaphore(0)
        self.gave_up = threading.Semaphore(0)

    def stream(self, language: str | None = None, hint: str = "") -> ScriptedAsrStream:
        engine = self
        engine.open_streams += 1

        class Stream(ScriptedAsrStream):
            def finish(self, is_stale: IsStale) -> Hypothesis:
                engine.waiting.release()
                wait_until(is_stale)
                engine.gave_up.release()
                return Hypothesis("")

        return Stream(engine)


def test_client_that_leaves_stops_the_recognition(connect: Connect) -> None:
    asr = WaitingAsr()
    client = connect(fake_engines(asr=asr))
    for _ in range(MAX_AT_ONCE + 1):  # a leaked place would run out
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/audio/transcriptions", files={"file": TWO_UTTERANCES}, data={"model": "x"}, timeout=0.3)
        assert asr.gave_up.acquire(timeout=5)
        assert wait_until(lambda: asr.open_streams == 0)


def test_one_recording_too_many_is_refused(connect: Connect) -> None:
    asr = WaitingAsr()
    client = connect(fake_engines(asr=asr))

    def give_up_late() -> None:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/audio/transcriptions", files={"file": TWO_UTTERANCES}, timeout=1)

    threads = [threading.Thread(target=give_up_late) for _ in range(MAX_AT_ONCE)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert asr.waiting.acquire(timeout=5)
    refused = transcribe(client)
    for thread in threads:
        thread.join()
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_audio"),
        (b"RIFF____WAVE", "invalid_audio"),
        (recording((1000, 0), rate_hz=8000), "audio_too_long"),
    ],
    ids=["empty", "no audio", "too long"],
)
def test_unusable_recordings_are_named(connect: Connect, data: bytes, code: str) -> None:
    response = transcribe(connect(), data)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("file", code)


def test_missing_file_and_unknown_format_are_named(client: httpx.Client) -> None:
    missing = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"})
    assert missing.json()["error"]["message"] == "file is required"
    unknown = client.post("/v1/audio/transcriptions", files={"file": TWO_UTTERANCES}, data={"response_format": "docx"})
    assert unknown.status_code == 400
    assert "'json', 'text', 'verbose_json', 'srt' or 'vtt', got 'docx'" in unknown.json()["error"]["message"]


def test_file_over_the_limit_is_refused(connect: Connect) -> None:
    response = transcribe(connect(), bytes(25 * 2**20 + 1))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "file_too_large"
