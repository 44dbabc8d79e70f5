"""Barge-in: how soon the agent falls silent when it is talked over, what of it still comes through, and whether the
server knows what was heard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from talkover.bench.caller import SCORED_EXTENSION, Caller
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.client.connection import ConversationEnded, JsonObject
from talkover.client.loudspeaker import Stretch, audible_ms, last_audible_s
from talkover.client.recordings import Recording
from talkover.client.turns import Answer

LONG_ANSWER = "Please tell me a story."
"""typed, so that what is measured does not depend on recognition"""
CLIENTS: dict[str, tuple[str, ...]] = {
    "stock client": SCORED_EXTENSION,
    "our page": (*SCORED_EXTENSION, "playback"),
}
"""both are scored through the extension; only the second lets the server duck it and reports its position"""
EARLIEST_S, LATEST_S = 1.2, 4.0
"""how far into the answer the user speaks"""
MAX_INTERRUPTION_MS = 4000.0
LISTEN_AFTER_S = 1.0
"""old sound would still show up within this time after the cut"""


@dataclass(frozen=True, slots=True)
class Interruption:
    """One time the agent was talked over."""

    client: str
    recording: str
    yielded: bool
    """the answer was cut off"""
    silent_after_ms: float
    """from the user's first sound to the last audible sample of the answer; 0 when it fell into a pause"""
    old_audio_ms: float
    """audible sound of the answer after playback was stopped"""
    words_audible: int
    words_believed: int
    """by the server, once the client has reported"""
    words_estimated: int | None
    """by the server at the interruption, before the client reported anything final"""
    gaps: int
    """times the answer's audio came too late before it was cut"""

    @property
    def ledger_error(self) -> int:
        return abs(self.words_believed - self.words_audible)

    @property
    def estimate_error(self) -> int | None:
        return None if self.words_estimated is None else abs(self.words_estimated - self.words_audible)


def measure(setting: Setting) -> PartResult:
    n_each = setting.count(12, 3)
    recordings = setting.speech.utterances(n_each, MAX_INTERRUPTION_MS)
    rng = np.random.default_rng(0)
    results: list[Interruption] = []
    remarks = [f"interrupted by {len(recordings)} utterances of: {setting.speech.description}"]
    with setting.start_server() as server:
        server.wait_ready()
        for client_index, (client, extension) in enumerate(CLIENTS.items()):
            for index in range(n_each):
                recording = recordings[index % len(recordings)]
                done = (client_index + index / n_each) / len(CLIENTS)
                setting.advance(f"{client}: {recording.name}", done)
                delay_s = float(rng.uniform(EARLIEST_S, LATEST_S))
                try:
                    results.append(interrupt(server.url, setting.key, client, extension, recording, delay_s))
                except (ConversationEnded, TimeoutError) as error:
                    remarks.append(f"{client}, {recording.name}: {error}")
    return PartResult(
        "barge-in",
        "Talking over the agent",
        tuple(figure for client in CLIENTS for figure in score(client, [r for r in results if r.client == client])),
        tuple(remarks),
        [asdict(result) for result in results],
    )


def interrupt(
    url: str, key: str | None, client: str, extension: Sequence[str], recording: Recording, delay_s: float
) -> Interruption:
    """Ask for something long and talk over it. Raises TimeoutError, ConversationEnded."""
    with Caller(url, key=key, extension=extension) as caller:
        caller.client.say_text(LONG_ANSWER)
        caller.client.wait("response.output_audio.delta", 15)
        answer = next(iter(caller.turns().answers.values()))
        begun_s = answer.first_audible_s(caller.speaker.stretches) or time.monotonic()
        said = caller.microphone.say(recording, max(0.0, begun_s + delay_s - time.monotonic()))
        onset_s, end_s = said.onset_s(caller.microphone.opened_s), said.end_s(caller.microphone.opened_s)

        def has_ended() -> bool:
            return caller.turns().answers[answer.response_id].status != "in_progress"

        try:
            caller.client.wait_until(has_ended, end_s - time.monotonic() + 2, "the end of the answer")
        except TimeoutError:
            caller.client.send({"type": "response.cancel"})
        time.sleep(LISTEN_AFTER_S)
        since = caller.client.cursor
        item_id = answer.item_ids[0]
        caller.client.send({"type": "conversation.item.retrieve", "item_id": item_id})
        item = caller.client.wait("conversation.item.retrieved", 5, since).event["item"]
        return judge(
            client,
            recording.name,
            caller.turns().answers[answer.response_id],
            caller.speaker.stretches,
            [flush_s for flush_s in caller.speaker.flushes_s if flush_s > onset_s],
            onset_s,
            str(item["content"][0].get("transcript") or ""),
            sum(gap.at_s < onset_s for gap in caller.speaker.gaps),
        )


def judge(
    client: str,
    recording: str,
    answer: Answer,
    stretches: Sequence[Stretch],
    flushes_s: Sequence[float],
    onset_s: float,
    believed: str,
    gaps: int,
) -> Interruption:
    """Score an interruption from the client's record. `flushes_s`: when playback was stopped after the onset;
    `believed`: what the server says was heard."""
    item_id = answer.item_ids[0]
    last_s = last_audible_s([stretch for stretch in stretches if stretch.item_id == item_id]) or onset_s
    stopped_s = flushes_s[0] if flushes_s else None
    return Interruption(
        client=client,
        recording=recording,
        yielded=answer.status == "cancelled" and answer.reason == "turn_detected",
        silent_after_ms=max(0.0, (last_s - onset_s) * 1000),
        old_audio_ms=0.0 if stopped_s is None else audible_ms(stretches, stopped_s, answer.item_ids),
        words_audible=words_audible(answer.words, stretches, item_id),
        words_believed=words_within(answer.words, len(believed.rstrip())),
        words_estimated=words_within(answer.words, answer.heard_chars[0]) if answer.heard_chars else None,
        gaps=gaps,
    )


def words_audible(words: Sequence[JsonObject], stretches: Sequence[Stretch], item_id: str) -> int:
    """Words of an item of which at least half has sounded, by the client's own record of samples."""
    heard_ms = max((s.first_sample + s.samples.size for s in stretches if s.item_id == item_id), default=0) / 24
    return sum((word["start_ms"] + word["end_ms"]) / 2 <= heard_ms for word in words)


def words_within(words: Sequence[JsonObject], n_chars: int) -> int:
    """Words that lie within the first characters of the text."""
    return sum(word["end"] <= n_chars for word in words)


def score(client: str, results: Sequence[Interruption]) -> list[Figure]:
    """The lines of the table for one kind of client."""
    yielded = [result for result in results if result.yielded]
    errors = [float(result.ledger_error) for result in yielded]
    estimates = [float(result.estimate_error) for result in yielded if result.estimate_error is not None]
    return [
        Figure(
            f"silent after, {client}",
            "ms",
            summarize([result.silent_after_ms for result in yielded]),
            targets=(Target("p95", 350),),
        ),
        Figure(
            "  yielded",
            "%",
            value=100 * len(yielded) / len(results) if results else None,
            note=f"{len(yielded)} of {len(results)}",
        ),
        Figure(
            "  old audio after the cut",
            "ms",
            value=max((result.old_audio_ms for result in yielded), default=None),
            targets=(Target("value", 0),),
            note="the worst",
        ),
        Figure(
            "  heard ledger, words off",
            "words",
            value=max(errors, default=None),
            targets=(Target("value", 1),),
            note=f"the worst; {sum(error <= 1 for error in errors)} of {len(errors)} within one word",
        ),
        Figure(
            "  the same, estimated by the server alone",
            "words",
            value=max(estimates, default=None),
            note=f"the worst; {sum(error <= 1 for error in estimates)} of {len(estimates)} within one word",
        ),
    ]
