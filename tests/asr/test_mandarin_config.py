"""The server of `configs/mandarin.toml`, with the small models in place of the official ones, over its real socket."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from live import ROOT
from recordings import silence, wav
from small_paraformer import ENGLISH_VOICES, HELD_OUT, MANDARIN_VOICES, MODELS, needs_funasr
from talkover.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, resampled
from talkover.client.server_process import ServerProcess, own_environment
from talkover.messages import Samples
from wire import WireClient

pytestmark = pytest.mark.slow

Say = Callable[[str, str], Samples]

OVERRIDES = (
    "server.max_sessions=9",
    f"asr.model={MODELS / 'paraformer'}",
    f"asr.streaming_model={MODELS / 'paraformer-streaming'}",
    f"asr.punctuation_model={MODELS / 'punctuation'}",
    # nothing that this file is not about: the engines that need a key, or that do not exist yet
    "llm.engine=embedded",
    "tts.engine=espeak",
    "session.voice=zh-cn-f1",
)


ARGUMENTS = (
    "--config",
    str(ROOT / "configs" / "mandarin.toml"),
    *(argument for override in OVERRIDES for argument in ("--set", override)),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    needs_funasr()
    with ServerProcess(ARGUMENTS, environ=own_environment({"OMP_NUM_THREADS": "1"})) as started:
        started.wait_ready(180)
        yield started


@pytest.mark.parametrize(
    ("spoken", "voice", "written"),
    [
        ("请打开客厅的灯。", "zh-cn-f1", "请打开客厅的灯。"),
        ("What is the date today?", "en-us-f1", "What is the date today?"),
        ("什么是Talkover？", "zh-cn-m1", "什么是talkover?"),
    ],
)
def test_a_spoken_turn_with_captions_and_an_answer(
    server: ServerProcess, say: Say, spoken: str, voice: str, written: str
) -> None:
    speech = resampled(say(spoken, voice), INPUT_RATE_HZ, OUTPUT_RATE_HZ)
    with WireClient(server.url, check=False) as client:
        client.until("session.created")
        client.update(
            audio={"input": {"transcription": {"model": "paraformer"}}},
            s2s={"version": 1, "events": ["input_transcript"]},
        )
        client.say_live(np.concatenate([silence(0.3), speech, silence(1.5)]))
        if not client.of("response.done"):
            client.until("response.done", 30)
    (completed,) = client.of("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == written
    kinds = client.types()
    assert kinds.index("s2s.input_transcript.updated") < kinds.index("input_audio_buffer.speech_stopped")
    captions = [event["text"] for event in client.of("s2s.input_transcript.updated")]
    assert written.lower().startswith(captions[0].lower())
    (answer,) = client.of("response.done")
    assert answer["response"]["status"] == "completed"
    assert client.audio()


def test_eight_callers_who_speak_at_once_are_heard_as_if_alone(server: ServerProcess, say: Say) -> None:
    voices = {"en": ENGLISH_VOICES, "zh": MANDARIN_VOICES}
    speeches = [
        resampled(say(one["text"], voices[one["language"]][index % 2]), INPUT_RATE_HZ, OUTPUT_RATE_HZ)
        for index, one in enumerate(HELD_OUT[:: len(HELD_OUT) // 8][:8])
    ]
    alone = [caller(server, speech, live=False) for speech in speeches]
    together: list[str] = [""] * len(speeches)

    def call(index: int) -> None:
        together[index] = caller(server, speeches[index], live=True)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(speeches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone
    assert all(alone)


def caller(server: ServerProcess, speech: Samples, live: bool) -> str:
    """What the server understands of one who only dictates."""
    with WireClient(server.url, check=False) as client:
        client.until("session.created")
        turns = {"type": "server_vad", "create_response": False}
        client.update(audio={"input": {"transcription": {"model": "paraformer"}, "turn_detection": turns}})
        samples = np.concatenate([silence(0.3), speech, silence(1.5)])
        if live:
            client.say_live(samples)
        else:
            client.say(samples)
        return client.nth("conversation.item.input_audio_transcription.completed", timeout_s=30)["transcript"]


def test_an_uploaded_recording_is_written_down(server: ServerProcess, say: Say) -> None:
    recording = np.concatenate([say("打开厨房的灯。", "zh-cn-f1"), say("Tell me a story.", "en-us-m1")])
    response = httpx.post(
        f"http://127.0.0.1:{server.port}/v1/audio/transcriptions",
        files={"file": ("two.wav", wav(recording, INPUT_RATE_HZ))},
        data={"model": "paraformer"},
        timeout=60,
    )
    assert response.json()["text"] == "打开厨房的灯。 Tell me a story."


def test_the_command_line_writes_a_recording_down(say: Say, tmp_path: Path) -> None:
    needs_funasr()
    path = tmp_path / "said.wav"
    path.write_bytes(wav(say("打开厨房的灯。", "zh-cn-f1"), INPUT_RATE_HZ))
    result = subprocess.run(
        [sys.executable, "-m", "talkover", "transcribe", str(path), *ARGUMENTS],
        capture_output=True,
        text=True,
        check=False,
        env=own_environment({"OMP_NUM_THREADS": "1"}),
        timeout=180,
    )
    assert (result.returncode, result.stdout.strip()) == (0, "打开厨房的灯。"), result.stderr
