from __future__ import annotations

import pytest

from talkover.tts.language import language_of, script_runs


@pytest.mark.parametrize(
    ("text", "hint", "language"),
    [
        ("Hello", None, "en"),
        ("Hello", "zh-CN", "en"),
        ("Hallo", "de_DE", "de"),
        ("你好", "en", "zh"),
        ("我用iPhone和Python。", None, "zh"),
        ("The word 你好 means hello there.", None, "en"),
        ("请用 the new iPhone please", "zh", "zh"),
        ("3.5GHz 16GB 5G网络", None, "zh"),
        ("これは本", None, "ja"),
        ("안녕", None, "ko"),
        ("Привет", None, "ru"),
        ("12:30", "cmn", "zh"),
        ("", None, "en"),
    ],
)
def test_language_is_told_by_script_and_hint(text: str, hint: str | None, language: str) -> None:
    assert language_of(text, hint) == language


def test_neutral_characters_belong_to_the_letters_before_them() -> None:
    text = "“我用 iPhone 15，好吗？OK!"
    runs = [(text[run.start : run.end], run.script) for run in script_runs(text)]
    assert runs == [("“我用 ", "Hani"), ("iPhone 15，", "Latn"), ("好吗？", "Hani"), ("OK!", "Latn")]
    assert script_runs("") == []
    assert [(run.start, run.end, run.script) for run in script_runs("12!")] == [(0, 3, None)]
