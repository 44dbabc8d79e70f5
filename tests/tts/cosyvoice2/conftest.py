"""The small model folder, written and loaded once for all tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from small_cosyvoice2 import write_model_folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("cosyvoice2") / "CosyVoice2-0.5B")


@pytest.fixture(scope="module")
def engine(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """As the registry makes it, with a folder of its own for everything that it writes."""
    from talkover.config import load_settings
    from talkover.registry import create_engine

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("XDG_DATA_HOME", str(home / "data"))
        made = create_engine(
            "tts", "cosyvoice2", load_settings(None, [f"tts.model={model_folder}", "tts.max_utterances=4"], {})
        )
        made.warmup()
        yield made
    made.close()
