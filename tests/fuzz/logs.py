"""The log of decisions, which operators hand in for replay."""

from __future__ import annotations

import contextlib

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.bench.duplex.replay import REPLAYABLE
from talkover.vad.decision_log import replay


def fuzz_decision_log(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert replay(data.splitlines(), REPLAYABLE).calls >= 0


FUZZERS = (Fuzzer("decision_log", fuzz_decision_log, mutate=mutated_json),)
