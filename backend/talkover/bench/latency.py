"""Voice-to-voice latency: from the last sound of the user to the first audible sample of the answer at the client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from talkover.bench.caller import Caller, Exchange
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.client.connection import ConversationEnded
from talkover.client.recordings import Recording

MODES: dict[str, dict[str, Any]] = {
    "server_vad": {"type": "server_vad"},
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto"},
}
TARGETS = (Target("p50", 700), Target("p95", 1200))


def measure(setting: Setting) -> PartResult:
    recordings = setting.speech.utterances(setting.count(24, 6))
    figures: list[Figure] = []
    details: list[dict[str, Any]] = []
    remarks = [f"spoken in real time: {setting.speech.description}"]
    with setting.start_server() as server:
        server.wait_ready()
        for index, (mode, turn_detection) in enumerate(MODES.items()):
            exchanges = _converse(setting, server.url, mode, turn_detection, recordings, index / len(MODES))
            figures += score(mode, exchanges)
            details += [{"mode": mode} | exchange.json() for exchange in exchanges]
            silent = [exchange.recording for exchange in exchanges if exchange.voice_to_voice_ms is None]
            if silent:
                remarks.append(f"{mode}: no answer to {', '.join(silent)}")
    return PartResult("latency", "Voice to voice", tuple(figures), tuple(remarks), details)


def _converse(
    setting: Setting,
    url: str,
    mode: str,
    turn_detection: dict[str, Any],
    recordings: Sequence[Recording],
    done: float,
) -> list[Exchange]:
    exchanges: list[Exchange] = []
    with Caller(url, key=setting.key, turn_detection=turn_detection) as caller:
        for index, recording in enumerate(recordings):
            setting.advance(f"{mode}: {recording.name}", done + index / len(recordings) / len(MODES))
            try:
                exchanges.append(caller.ask(recording))
            except (ConversationEnded, TimeoutError) as error:
                raise RuntimeError(f"{mode}, {recording.name}: {error}") from error
    return exchanges


def score(mode: str, exchanges: Sequence[Exchange]) -> list[Figure]:
    """The lines of the table for the exchanges of one kind of turn detection."""
    answered = [exchange for exchange in exchanges if exchange.voice_to_voice_ms is not None]
    times_ms = [exchange.voice_to_voice_ms for exchange in answered if exchange.voice_to_voice_ms is not None]
    early = sum(exchange.early for exchange in exchanges)
    figures = [
        Figure(f"voice to voice, {mode}", "ms", summarize(times_ms), targets=TARGETS),
        Figure(
            f"  answered, {mode}",
            "%",
            value=100 * len(answered) / max(1, len(exchanges)),
            note=f"{len(answered)} of {len(exchanges)}; {early} begun before the user had finished",
        ),
    ]
    parts: dict[str, list[float]] = {}
    for exchange in answered:
        for stage, took_ms in exchange.stages_ms.items():
            parts.setdefault(stage, []).append(took_ms)
        if exchange.stages_ms and exchange.voice_to_voice_ms is not None:
            rest_ms = exchange.voice_to_voice_ms - sum(exchange.stages_ms.values())
            parts.setdefault("wire and rest", []).append(rest_ms)
    return figures + [Figure(f"  {name}", "ms", summarize(values)) for name, values in parts.items()]
