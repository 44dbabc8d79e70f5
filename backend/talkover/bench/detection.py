"""Voice activity detection as a part of the benchmark; the measuring itself is in `vad.py`."""

from __future__ import annotations

from dataclasses import asdict

from talkover.bench import vad
from talkover.bench.figures import PartResult
from talkover.bench.part import Setting


def measure(setting: Setting) -> PartResult:
    setting.advance("over all recordings, clean and in noise", 0.0)
    results = vad.measure(setting.speech.folder)
    return PartResult(
        "vad",
        "Voice activity detection",
        figures=(),
        remarks=("computed faster than real time, without a server; noise at 10 dB",),
        details=[asdict(result) for result in results],
        table=vad.table(results),
    )
