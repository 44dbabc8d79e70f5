"""The page of the duplex benchmark stands alone, and holds what was said as data, not as markup."""

from __future__ import annotations

import binascii
import io
import json
import re

import numpy as np
import pytest
import soundfile

from talkover.bench.duplex.call import Taken
from talkover.bench.duplex.observation import Mark, Observation
from talkover.bench.duplex.page import envelope, page
from talkover.bench.duplex.takes import Take
from talkover.bench.duplex.verdict import Verdict
from talkover.bench.figures import Figure, Target, summarize
from talkover.client.recordings import Span

SECOND = 24_000
SAID = (0.5 * np.sin(np.arange(2 * SECOND) * 0.1)).astype(np.float32)
HEARD = np.zeros(2 * SECOND, np.float32)
TAKE = Take("interruption: stop, slt", "interruption", "command", SAID, (Span(100, 900),), "</script><b>Stop.")
SEEN = Observation(TAKE, (), (), (), (), (Mark(240, "speech started"),))
FIGURES = [Figure("L_Y", "ms", summarize([200.0, 250.0]), targets=(Target("p50", 350),))]
TEXT = page("on two cores", FIGURES, [(Taken(SEEN, SAID, HEARD), Verdict(TAKE, yield_ms=240))])


def data() -> dict:
    match = re.search(r'<script id="data" type="application/json">(.*?)</script>', TEXT, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_it_needs_nothing_else():
    # the address of SVG's namespace is a name that nothing is fetched from
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|https?://(?!www\.w3\.org/2000/svg")""", TEXT)


def test_what_was_said_cannot_end_the_data():
    (take,) = data()["takes"]
    assert take["text"] == TAKE.text
    assert TEXT.count("<b>Stop.") == 1
    assert "</script><b>" not in TEXT


def test_takes_and_figures_are_there():
    shown = data()
    (take,) = shown["takes"]
    assert (take["passed"], take["sounds"], take["marks"]) == (True, [[100, 900]], [[240, "speech started"]])
    assert take["figures"] == "yields after 240 ms"
    (figure,) = shown["figures"]
    assert figure["p50"] == "225 ms"
    assert figure["targets"] == [{"text": "p50≤350", "met": True}]


def test_the_user_is_left_and_the_agent_right():
    (take,) = data()["takes"]
    sound, rate_hz = soundfile.read(io.BytesIO(binascii.a2b_base64(take["audio"])))
    assert (rate_hz, sound.shape[1]) == (SECOND, 2)
    left, right = np.sqrt(np.mean(np.square(sound), axis=0))
    assert left == pytest.approx(0.35, abs=0.03)
    assert right < 0.01


def test_the_envelope_is_one_byte_per_20_ms():
    levels = np.frombuffer(binascii.a2b_base64(envelope(np.concatenate([HEARD, SAID]))), np.uint8)
    assert levels.size == 200
    assert set(levels[:100]) == {0}
    assert levels[150] == pytest.approx(255 * (1 - 6 / 60), abs=2)
