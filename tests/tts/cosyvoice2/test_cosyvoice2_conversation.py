"""The server of `configs/mandarin.toml` with small models in place of the official ones: it listens, speaks, yields."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes import never
from live import ROOT
from recordings import silence
from small_paraformer import MODELS, needs_funasr
from talkover.client.server_process import ServerProcess, own_environment
from talkover.config import Settings
from talkover.messages import Samples, VoiceSettings
from talkover.tts.espeak import create
from wire import WireClient

pytestmark = pytest.mark.slow

RATE_HZ = 24_000


def arguments(model_folder: Path, *more: str) -> tuple[str, ...]:
    """The configuration with small models, and without what needs a key."""
    overrides = (
        f"asr.model={MODELS / 'paraformer'}",
        f"asr.streaming_model={MODELS / 'paraformer-streaming'}",
        f"asr.punctuation_model={MODELS / 'punctuation'}",
        "llm.engine=embedded",
        f"tts.model={model_folder}",
        *more,
    )
    config = ("--config", str(ROOT / "configs" / "mandarin.toml"))
    return (*config, *(argument for override in overrides for argument in ("--set", override)))


def environment(home: Path) -> dict[str, str]:
    return own_environment(
        {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(home / "cache"), "XDG_DATA_HOME": str(home / "data")}
    )


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    needs_funasr()
    with ServerProcess(arguments(model_folder), environ=environment(tmp_path_factory.mktemp("home"))) as started:
        started.wait_ready(240)
        yield started


@pytest.fixture(scope="module")
def question() -> Samples:
    """请打开客厅的灯。 as somebody says it."""
    engine = create(Settings())
    chunks = list(engine.synthesize("请打开客厅的灯。", VoiceSettings("zh-cn-f1"), never))
    engine.close()
    return np.concatenate([chunk.samples for chunk in chunks])


def test_a_spoken_turn_is_answered_by_the_cloned_voice_on_time(server: ServerProcess, question: Samples) -> None:
    with WireClient(server.url) as client:
        created = client.until("session.created")
        assert created["session"]["audio"]["output"]["voice"] == "xiaoyun"
        client.say_live(np.concatenate([silence(0.3), question, silence(1.5)]))
        if not client.of("response.done"):
            client.until("response.done", 60)
    (answer,) = client.of("response.done")
    assert answer["response"]["status"] == "completed"
    transcript = client.transcript(answer["response"]["id"])
    assert re.search("[\u4e00-\u9fff]", transcript)
    audio = np.frombuffer(client.audio(), "<i2")
    assert audio.size > 0.3 * RATE_HZ
    assert np.abs(audio).max() > 300  # noise is sound
    assert longest_wait_s(client) < 0.5


def longest_wait_s(client: WireClient) -> float:
    """How long the listener waited for audio at most, after the first had come."""
    ends_s, longest = 0.0, 0.0
    for at_s, event in zip(client.arrived_s, client.events, strict=True):
        if event["type"] != "response.output_audio.delta":
            continue
        if ends_s:
            longest = max(longest, at_s - ends_s)
        ends_s = max(ends_s, at_s) + len(base64.b64decode(event["delta"])) / 2 / RATE_HZ
    return longest


def test_speaking_over_the_answer_ends_it_and_only_what_was_heard_is_kept(
    server: ServerProcess, question: Samples
) -> None:
    with WireClient(server.url) as client:
        client.until("session.created")
        client.ask("Tell me a story about a lighthouse.")
        client.until("response.output_audio.delta", 60)
        client.say_live(silence(0.5))
        client.say_live(np.concatenate([question, silence(1.0)]))
        done = client.nth("response.done", 1, 30)["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
        client.nth("response.done", 2, 60)  # the interruption is answered
        client.send("conversation.item.retrieve", item_id=done["output"][0]["id"])
        kept = client.until("conversation.item.retrieved")["item"]["content"][0]["transcript"]
    said = client.transcript(done["id"])
    assert said.startswith(kept.rstrip())
    assert len(kept) < len(said)


def test_the_start_says_exactly_what_is_missing(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "CosyVoice2-0.5B"
    folder.mkdir()
    for path in model_folder.iterdir():
        if path.name not in ("llm.pt", "speech_tokenizer_v2.onnx"):
            (folder / path.name).symlink_to(path)
    result = subprocess.run(
        [sys.executable, "-m", "talkover", "serve", "--port", "0", *arguments(folder, "asr.engine=pocketsphinx")],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
        timeout=180,
    )
    assert result.returncode != 0
    assert f"{folder} is not a CosyVoice2 folder, it lacks speech_tokenizer_v2.onnx, llm.pt" in result.stderr.replace(
        "\n", ""
    )
