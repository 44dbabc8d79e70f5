"""Voice-to-voice latency: from the last sound of the user to the first audible sample of the answer at the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talkover.bench.caller import Caller, Exchange
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.bench.speech import MAX_SPOKEN_MS, shipped_speech
from talkover.client.connection import ConversationEnded
from talkover.client.recordings import Recording

TURN_DETECTION: dict[str, dict[str, Any]] = {
    "server_vad": {"type": "server_vad"},
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto"},
}
QUICK_SPOKEN_MS = 4000.0
TARGETS = (Target("p50", 700), Target("p95", 1200))
AGREEMENT = (Target("p50", 20, "within"),)
"""The caller's ear and the server's own figure, response by response. Both count from the last sound of the user to the
first sample of the answer that can be heard. The caller's holds the way there and back and its own decoding beside
that, one or two ms on this machine, and takes the end of the recording from the whole of it, to 10 ms."""


@dataclass(frozen=True, slots=True)
class _Round:
    """One kind of turn detection over some recordings."""

    title: str
    mode: str
    recordings: list[Recording]


def measure(setting: Setting) -> PartResult:
    max_spoken_ms = QUICK_SPOKEN_MS if setting.quick else MAX_SPOKEN_MS
    rounds = [
        _Round("server_vad", "server_vad", setting.speech.utterances(setting.count(16, 4), max_spoken_ms)),
        _Round("semantic_vad", "semantic_vad", setting.speech.utterances(setting.count(12, 3), max_spoken_ms)),
    ]
    remarks = [f"spoken in real time: {setting.speech.description}"]
    shipped = shipped_speech()
    if shipped is not None and shipped.folder.resolve() != setting.speech.folder.resolve() and not setting.quick:
        rounds.append(_Round("server_vad, questions about Talkover", "server_vad", shipped.utterances(16)))
        remarks.append(f"questions about Talkover: {shipped.description}")
    figures: list[Figure] = []
    details: list[dict[str, Any]] = []
    n_all = sum(len(one.recordings) for one in rounds)
    with setting.start_server() as server:
        server.wait_ready()
        for one in rounds:
            exchanges = _hold(setting, server.url, one, len(details) / n_all, remarks)
            figures += score(one.title, exchanges)
            details += [{"round": one.title} | exchange.json() for exchange in exchanges]
            silent = [exchange.recording for exchange in exchanges if exchange.voice_to_voice_ms is None]
            if silent:
                remarks.append(f"{one.title}: no answer to {', '.join(silent)}")
    return PartResult("latency", "Voice to voice", tuple(figures), tuple(remarks), details)


def _hold(setting: Setting, url: str, one: _Round, done: float, remarks: list[str]) -> list[Exchange]:
    """One conversation over all recordings. When it breaks off, the question counts as not answered and another
    conversation goes on behind it."""
    exchanges: list[Exchange] = []
    while len(exchanges) < len(one.recordings):
        try:
            with Caller(url, key=setting.key, turn_detection=TURN_DETECTION[one.mode]) as caller:
                for recording in one.recordings[len(exchanges) :]:
                    setting.advance(f"{one.title}: {recording.name}", done)
                    exchanges.append(caller.ask(recording))
        except (ConversationEnded, TimeoutError) as error:
            broken = one.recordings[len(exchanges)]
            remarks.append(f"{one.title}, {broken.name}: {error}")
            exchanges.append(Exchange(broken.name, broken.text, None, "", None, None, False, {}, 0.0))
    return exchanges


def score(title: str, exchanges: Sequence[Exchange]) -> list[Figure]:
    """The lines of the table for the exchanges of one round."""
    answered = [exchange for exchange in exchanges if exchange.voice_to_voice_ms is not None]
    times_ms = [exchange.voice_to_voice_ms for exchange in answered if exchange.voice_to_voice_ms is not None]
    early = sum(exchange.early for exchange in exchanges)
    figures = [
        Figure(f"voice to voice, {title}", "ms", summarize(times_ms), targets=TARGETS),
        Figure(
            "  answered",
            "%",
            value=100 * len(answered) / max(1, len(exchanges)),
            note=f"{len(answered)} of {len(exchanges)}; {early} begun before the user had finished",
        ),
    ]
    unseen_ms = [exchange.unseen_ms for exchange in answered if exchange.unseen_ms is not None]
    if unseen_ms:
        figures.append(Figure("  of that, not in the server's figure", "ms", summarize(unseen_ms), targets=AGREEMENT))
    parts: dict[str, list[float]] = {}
    for exchange in answered:
        for stage, took_ms in exchange.stages_ms.items():
            parts.setdefault(stage, []).append(took_ms)
        if exchange.stages_ms and exchange.voice_to_voice_ms is not None:
            rest_ms = exchange.voice_to_voice_ms - sum(exchange.stages_ms.values())
            parts.setdefault("wire and rest", []).append(rest_ms)
    return figures + [Figure(f"  {name}", "ms", summarize(values)) for name, values in parts.items()]
