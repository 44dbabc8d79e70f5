"""The timeline of a conversation: who spoke when, what was understood, and where the time went. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from talkover.client.loudspeaker import Gap, Stretch
from talkover.client.turns import Answer, Turns, UserTurn


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the user really did, where it is known: a recording that was played, or a typed text."""

    name: str
    onset_s: float
    end_s: float
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One side's turn. Times are seconds of the monotonic clock."""

    who: Literal["you", "agent"]
    start_s: float
    end_s: float | None
    text: str
    unheard: str = ""
    """the rest of an answer that was cut off"""
    notes: tuple[str, ...] = ()
    voice_to_voice_ms: float | None = None


@dataclass(slots=True)
class Scene:
    """All that was said, in order of time."""

    lines: list[Line] = field(default_factory=list[Line])

    @property
    def latencies_ms(self) -> list[float]:
        return [line.voice_to_voice_ms for line in self.lines if line.voice_to_voice_ms is not None]


def scene(
    turns: Turns,
    stretches: Sequence[Stretch],
    utterances: Sequence[Utterance],
    microphone_opened_s: float,
    gaps: Sequence[Gap] = (),
) -> Scene:
    """`utterances` are what the user did, as far as it is known; else the server's word is taken for it."""
    lines = [_user_line(turn, utterances, microphone_opened_s) for turn in turns.user.values()]
    unnoticed = [
        u for u in utterances if not any(_overlaps(u, turn, microphone_opened_s) for turn in turns.user.values())
    ]
    lines += [Line("you", u.onset_s, u.end_s, u.name, notes=("not noticed",)) for u in unnoticed]
    for answer in turns.answers.values():
        lines.append(_answer_line(answer, stretches, [line for line in lines if line.who == "you"], gaps))
    return Scene(sorted(lines, key=lambda line: line.start_s))


def _overlaps(utterance: Utterance, turn: UserTurn, opened_s: float) -> bool:
    if utterance.typed or turn.started_ms is None:
        return utterance.typed and turn.text == utterance.name
    start_s = opened_s + turn.started_ms / 1000
    end_s = turn.at_s if turn.ended_ms is None else opened_s + turn.ended_ms / 1000
    return start_s < utterance.end_s and end_s > utterance.onset_s


def _user_line(turn: UserTurn, utterances: Sequence[Utterance], opened_s: float) -> Line:
    if turn.started_ms is None:
        return Line("you", turn.at_s, turn.at_s, turn.text or "", notes=("typed",))
    start_s = opened_s + turn.started_ms / 1000
    end_s = None if turn.ended_ms is None else opened_s + turn.ended_ms / 1000
    notes: list[str] = []
    said = next((u for u in utterances if _overlaps(u, turn, opened_s)), None)
    if said is not None:
        # one recording may be cut into several turns: each gets its own part of it
        start_s = max(start_s, said.onset_s)
        end_s = said.end_s if end_s is None else min(end_s, said.end_s)
        notes.append(said.name)
    if turn.failure is not None:
        notes.append(f"recognition failed: {turn.failure}")
    return Line("you", start_s, end_s, turn.text or "", notes=tuple(notes))


def _answer_line(answer: Answer, stretches: Sequence[Stretch], users: Sequence[Line], gaps: Sequence[Gap]) -> Line:
    first_s, last_s = answer.first_audible_s(stretches), answer.last_audible_s(stretches)
    start_s = answer.created_s if first_s is None else first_s
    before = [line for line in users if line.end_s is not None and line.end_s <= start_s]
    asked = max(before, key=lambda line: line.end_s or 0.0, default=None)
    latency_ms = None
    if first_s is not None and asked is not None and asked.end_s is not None:
        latency_ms = (first_s - asked.end_s) * 1000
    heard = answer.heard_chars[-1] if answer.heard_chars else len(answer.text)
    notes = [*_stages(answer), *_ending(answer, last_s, users)]
    late = [gap for gap in gaps if gap.item_id in answer.item_ids]
    if late:
        notes.append(f"{len(late)} gaps, {sum(gap.missing_s for gap in late) * 1000:.0f} ms in all")
    return Line("agent", start_s, last_s, answer.text[:heard], answer.text[heard:], tuple(notes), latency_ms)


def _stages(answer: Answer) -> list[str]:
    stages = answer.stages_ms()
    return [" · ".join(f"{stage} {took_ms:.0f}" for stage, took_ms in stages.items()) + " ms"] if stages else []


def _ending(answer: Answer, last_s: float | None, users: Sequence[Line]) -> list[str]:
    match answer.status, answer.reason:
        case "cancelled", "turn_detected":
            over = [
                line for line in users if last_s is not None and line.start_s <= last_s and line.end_s != line.start_s
            ]
            if over and last_s is not None:
                spoken_s = max(line.start_s for line in over)
                return [f"talked over: silent after {(last_s - spoken_s) * 1000:.0f} ms"]
            return ["talked over before it was heard"]
        case (("completed" | "in_progress"), _):
            return []
        case status, reason:
            return [f"{status}: {reason}" if reason else status]
