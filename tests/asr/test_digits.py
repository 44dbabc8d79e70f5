"""Spoken numbers as digits, with the real rules."""

import pytest

pytest.importorskip("wetext", reason="needs the extra 'full'")

from talkover.asr.digits import InverseNormalizer


@pytest.fixture(scope="module")
def normalizer() -> InverseNormalizer:
    return InverseNormalizer()


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("Twenty five dollars, please.", "$25, please."),
        ("Give me twenty, please.", "Give me 20, please."),
        ("It costs one hundred and twenty three.", "It costs 123."),
        ("百分之二十。", "20%。"),
        ("我要一百二十三个，谢谢。", "我要123个，谢谢。"),
        ("第十五个。", "第15个。"),
        ("二零二六年五月三号。", "2026/05/03。"),
    ],
)
def test_numbers_become_digits(normalizer: InverseNormalizer, spoken: str, written: str) -> None:
    assert normalizer.written(spoken) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is Talkover?",
        "One moment, please.",
        "Set a timer for thirty minutes.",  # wetext: 30 min
        "三十分钟。",  # wetext: 30min
        "下午三点半。",  # wetext: 3:30p.m.
        "等一下。",
        "打开kitchen的灯。",
        "讲一个故事。",
    ],
)
def test_what_would_be_abbreviated_or_is_no_number_stays_as_spoken(normalizer: InverseNormalizer, text: str) -> None:
    assert normalizer.written(text) == text
