"""The engine in CONTRIBUTING.md is run as it is printed there."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from talkover.config import Settings
from talkover.engines import TtsEngine
from talkover.messages import VoiceSettings
from talkover.registry import ENGINES, EngineEntry, create_engine

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


@pytest.fixture
def beep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TtsEngine:
    """The engine of the page, through the line of the page."""
    module_text, registry_line = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "beep_of_the_page.py").write_text(module_text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = eval(f"{{{registry_line}}}", {"EngineEntry": EngineEntry})["beep"]
    assert entry.module == "talkover.tts.beep"
    monkeypatch.setitem(ENGINES["tts"], "beep", EngineEntry("beep_of_the_page", entry.summary))
    return create_engine("tts", "beep", Settings())


def test_it_speaks_streams_and_names_its_words(beep: TtsEngine) -> None:
    beep.warmup()
    chunks = list(beep.synthesize("one two", VoiceSettings("default"), lambda: False))
    assert [chunk.samples.size for chunk in chunks] == [4800, 4800]
    assert all(chunk.samples.dtype == np.float32 for chunk in chunks)
    assert [(word.start, word.end, word.start_ms) for chunk in chunks for word in chunk.words] == [
        (0, 3, 0.0),
        (4, 7, 200.0),
    ]
    beep.close()


def test_it_stops_when_stale(beep: TtsEngine) -> None:
    answers: Iterator[bool] = iter([False, True])
    assert len(list(beep.synthesize("one two three", VoiceSettings("beep"), lambda: next(answers)))) == 1


def test_it_refuses_a_voice_it_does_not_have(beep: TtsEngine) -> None:
    with pytest.raises(ValueError, match="must be 'beep'"):
        list(beep.synthesize("one", VoiceSettings("nobody"), lambda: False))
