"""What an observation says about the agent. Pure.

The definitions follow the field where it has some, and score what was *played* instead of what the server says:

- L_R, R_R (tau-voice): from the user's last sound to the first audible sample of a response, and whether there was one
  before the user would speak again.
- R_Y, L_Y (tau-voice): whether the agent's playback ended within 2 s of the user's onset, and when its last audible
  sample came. With "unlimited" the whole take counts.
- S_BC, S_VT, S_ND (tau-voice): whether backchannels, vocal sounds and speech to others left the agent as it was.
  tau-voice looks at 1 s of yielding and 2 s of responding; here it is 2 s for both, and the whole take.
  A hole of at most 500 ms in the playback counts as going on when no word is lost or repeated.
- take-over in a pause (Full-Duplex-Bench v1): the agent became audible before the user went on; false cut-off
  (eot-bench): the turn was declared over in the pause, audible or not.
- I_A (tau-voice): the agent began to speak while the user had the floor, pauses included.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from talkover.bench.barge_in import words_within
from talkover.bench.duplex.observation import Observation, Played, Reply
from talkover.bench.duplex.takes import Take

WINDOW_MS = 2000.0
MAX_HOLE_MS = 500.0
ANSWER_WITHIN_MS = 6000.0
STALE_AFTER_MS = 30.0
"""one packet of the client's own loudspeaker may still sound after it was told to stop"""


@dataclass(frozen=True, slots=True)
class PauseVerdict:
    """One pause inside an utterance."""

    pause_ms: float
    ended: bool
    """the turn was declared over in it"""
    taken_over: bool
    """the agent became audible in it, or as the user went on"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a take; None where it does not apply."""

    take: Take
    passed: bool = True
    why: str = ""
    """what went wrong"""
    response_ms: float | None = None
    answered: bool | None = None
    spoke_over_user: bool | None = None
    pauses: tuple[PauseVerdict, ...] = ()
    yielded: bool | None = None
    """within 2 s"""
    yielded_ever: bool | None = None
    yield_ms: float | None = None
    right_answer: bool | None = None
    stale_ms: float | None = None
    """of what was stopped, audible after playback was stopped"""
    ledger_words_off: int | None = None
    undisturbed: bool | None = None
    """within 2 s"""
    undisturbed_ever: bool | None = None
    hole_ms: float = 0.0
    """longest silence torn into the agent's speech"""
    lost_words: int = 0
    repeated_words: int = 0
    turns_created: int = 0
    self_interruptions: int = 0
    agent_speech_s: float = 0.0


def judge(seen: Observation) -> Verdict:
    """The verdict on one take."""
    take = seen.take
    match take.family:
        case "answering" | "yes_no" | "pause" | "monologue" | "two_utterances":
            return _answered(seen)
        case "goes_on":
            return _went_on(seen)
        case "interruption":
            return _interrupted(seen, take.onset_ms, take.end_ms)
        case "backchannel" | "noise" | "side_talk":
            return _undisturbed(seen) if take.state == "speaking" else _ignored(seen)
        case "echo":
            return _echo(seen)
        case "silence":
            return _ignored(seen)


# ---------------------------------------------------------------------------------------------------- the user's turn


def _answered(seen: Observation) -> Verdict:
    take = seen.take
    # of two utterances in a row the first may be answered in between: it is over
    from_ms = take.sounds[-1].start_ms if take.family == "two_utterances" else take.onset_ms
    pauses = () if take.family == "two_utterances" else tuple(_pause(seen, index) for index in range(len(take.pauses)))
    over = any(
        from_ms < span.start_ms < take.end_ms
        for reply in _replies_after(seen, 0.0)
        for played in seen.played_of(reply.item_ids)
        for span in played.audible[:1]
    )
    response_ms = _response_ms(seen, take.end_ms)
    answered = response_ms is not None
    cut = any(pause.ended or pause.taken_over for pause in pauses)
    problems = [
        "no answer" if not answered else "",
        "the turn was ended in a pause" if cut else "",
        "spoke over the user" if over and not cut else "",
    ]
    return Verdict(
        take,
        passed=answered and not over and not cut,
        why="; ".join(problem for problem in problems if problem),
        response_ms=response_ms,
        answered=answered,
        spoke_over_user=over,
        pauses=pauses,
        stale_ms=_stale_ms(seen) if take.family == "two_utterances" else None,
        turns_created=_turns(seen),
    )


def _pause(seen: Observation, index: int) -> PauseVerdict:
    pause = seen.take.pauses[index]
    ended = any(turn.ended_ms is not None and pause.start_ms < turn.ended_ms <= pause.end_ms for turn in seen.turns)
    taken_over = any(
        pause.start_ms < span.start_ms <= pause.end_ms
        for reply in _replies_after(seen, 0.0)
        for played in seen.played_of(reply.item_ids)
        for span in played.audible[:1]
    )
    return PauseVerdict(round(pause.end_ms - pause.start_ms, 1), ended, taken_over)


def _response_ms(seen: Observation, end_ms: float) -> float | None:
    """From the user's last sound to the first audible sample of what still sounds or begins after it."""
    starts = [
        at_ms - end_ms
        for reply in _replies_after(seen, 0.0)
        if (at_ms := seen.first_audible_ms(reply, end_ms)) is not None
    ]
    found = min(starts, default=None)
    return None if found is None or found > ANSWER_WITHIN_MS else found


def _replies_after(seen: Observation, at_ms: float) -> list[Reply]:
    """Replies made after the take began: none that was already there."""
    return [reply for reply in seen.replies if reply.created_ms >= at_ms]


def _turns(seen: Observation) -> int:
    """Turns that entered the conversation: they were transcribed, be it to nothing. One that was taken back was not."""
    return sum(turn.started_ms is not None and turn.text is not None for turn in seen.turns)


# ------------------------------------------------------------------------------------------------ over the agent


def _interrupted(seen: Observation, onset_ms: float, end_ms: float) -> Verdict:
    """The agent must be silent within 2 s, drop what it was saying, and answer what was said."""
    take = seen.take
    old = _spoken_at(seen, onset_ms)
    if old is None:
        return Verdict(take, passed=False, why="the agent was not speaking")
    stopped_ms = _stopped_ms(seen, old, onset_ms)
    yielded = stopped_ms is not None and stopped_ms <= onset_ms + WINDOW_MS
    last_ms = seen.last_audible_ms(old.item_ids)
    new = [reply for reply in seen.replies if reply.created_ms > onset_ms and reply is not old]
    answer = " ".join(reply.text for reply in new)
    right = bool(re.search(take.expects, answer)) if take.expects else None
    stale_ms = _stale_ms(seen)
    off = _ledger_words_off(seen, old) if yielded else None
    problems = [
        "" if yielded else "did not yield within 2 s",
        f"{stale_ms:.0f} ms of old audio" if stale_ms > 0 else "",
        f"the new answer is {answer[:60]!r}" if right is False else "",
        f"the ledger is {off} words off" if off is not None and off > 1 else "",
    ]
    return Verdict(
        take,
        passed=not any(problems),
        why="; ".join(problem for problem in problems if problem),
        yielded=yielded,
        yielded_ever=stopped_ms is not None,
        yield_ms=max(0.0, last_ms - onset_ms) if yielded and last_ms is not None else None,
        right_answer=right,
        stale_ms=stale_ms,
        ledger_words_off=off,
        response_ms=_response_of(seen, new, end_ms),
        turns_created=_turns(seen),
    )


def _went_on(seen: Observation) -> Verdict:
    """The user went on after the answer had begun: an interruption of that answer."""
    take = seen.take
    if seen.then_start_ms is None or not take.then_sounds:
        return Verdict(take, passed=False, why="there was no answer to go on after", answered=False)
    onset_ms = seen.then_start_ms + take.then_sounds[0].start_ms
    end_ms = seen.then_start_ms + take.then_sounds[-1].end_ms
    verdict = _interrupted(seen, onset_ms, end_ms)
    if verdict.response_ms is None:
        problem = "no answer to the rest"
        why = f"{verdict.why}; {problem}" if verdict.why else problem
        return replace(verdict, passed=False, why=why, answered=False)
    return replace(verdict, answered=True)


def _undisturbed(seen: Observation) -> Verdict:
    """The agent must go on: no hole over 500 ms, no word lost or repeated."""
    take = seen.take
    old = seen.speaking_at_start
    if old is None:
        return Verdict(take, passed=False, why="the agent was not speaking")
    stopped_ms = _stopped_ms(seen, old, take.onset_ms)
    hole_ms = _longest_hole_ms(seen, old, take.onset_ms)
    lost = repeated = 0
    resumed = _resumed_by(seen, old, stopped_ms)
    if resumed is not None and stopped_ms is not None:
        reply, at_ms = resumed
        lost, repeated = words_lost_and_repeated(_whole(seen, old), reply.text, _heard_chars(seen, old))
        hole_ms = max(hole_ms, at_ms - stopped_ms)
        if lost == repeated == 0 and at_ms - stopped_ms <= MAX_HOLE_MS:
            stopped_ms = None
    torn_ms = _hole_starts_ms(seen, old, take.onset_ms)
    broken_ms = min((t for t in (stopped_ms, torn_ms) if t is not None), default=None)
    within = broken_ms is None or broken_ms > take.onset_ms + WINDOW_MS
    stopped = "" if broken_ms is None else f"stopped after {broken_ms - take.onset_ms:.0f} ms"
    problems = [
        f"{stopped}, went on {hole_ms:.0f} ms later" if stopped and resumed is not None else stopped,
        f"{lost} words lost, {repeated} repeated" if lost or repeated else "",
    ]
    return Verdict(
        take,
        passed=within,
        why="; ".join(problem for problem in problems if problem),
        undisturbed=within,
        undisturbed_ever=broken_ms is None,
        hole_ms=hole_ms,
        lost_words=lost,
        repeated_words=repeated,
        turns_created=_turns(seen),
    )


def _ignored(seen: Observation) -> Verdict:
    """The agent was silent and must stay so: until 2 s after the sound, and as long as we listen."""
    take = seen.take
    starts = [at_ms for reply in _replies_after(seen, 0.0) if (at_ms := seen.first_audible_ms(reply)) is not None]
    first_ms = min(starts, default=None)
    within = first_ms is None or first_ms > take.end_ms + WINDOW_MS
    return Verdict(
        take,
        passed=first_ms is None,
        why="" if first_ms is None else f"answered after {first_ms - take.onset_ms:.0f} ms",
        undisturbed=within,
        undisturbed_ever=first_ms is None,
        turns_created=_turns(seen),
    )


def _echo(seen: Observation) -> Verdict:
    """Nobody spoke: every stop is a self-interruption."""
    spoken_s = sum(played.end_ms - max(0.0, played.start_ms) for played in seen.played if played.end_ms > 0) / 1000
    stops = sum(at_ms > 0 for at_ms in seen.flushes_ms)
    turns = sum(turn.started_ms is not None for turn in seen.turns)
    return Verdict(
        seen.take,
        passed=stops == 0 and turns == 0,
        why=f"interrupted itself {stops} times, {turns} turns" if stops or turns else "",
        self_interruptions=max(stops, turns),
        agent_speech_s=spoken_s,
        turns_created=turns,
    )


# ------------------------------------------------------------------------------------------------------- playback


def _spoken_at(seen: Observation, at_ms: float) -> Reply | None:
    """The reply being played at a time, or the last one before it that had not ended."""
    for reply in seen.replies:
        if any(played.start_ms <= at_ms < played.end_ms for played in seen.played_of(reply.item_ids)):
            return reply
    return None


def _stopped_ms(seen: Observation, reply: Reply, after_ms: float) -> float | None:
    """When playback of a reply ended after a time before its natural end; None when it did not."""
    played = seen.played_of(reply.item_ids)
    last_ms = max((part.end_ms for part in played), default=None)
    if last_ms is None or last_ms <= after_ms:
        return None
    if reply.status == "completed" and not any(after_ms <= flush_ms <= last_ms + 1 for flush_ms in seen.flushes_ms):
        return None
    if reply.status == "in_progress" and last_ms >= seen.ended_ms - MAX_HOLE_MS:
        return None
    return last_ms


def _holes(seen: Observation, reply: Reply, after_ms: float) -> list[tuple[float, float]]:
    """(begin, length) of silences between parts of a reply, one included that lasts when we stop listening."""
    played: list[Played] = sorted(seen.played_of(reply.item_ids), key=lambda part: part.start_ms)
    holes = [
        (before.end_ms, after.start_ms - before.end_ms)
        for before, after in itertools.pairwise(played)
        if before.end_ms >= after_ms and after.start_ms > before.end_ms
    ]
    if reply.status == "in_progress" and played and played[-1].end_ms >= after_ms:
        holes.append((played[-1].end_ms, max(0.0, seen.ended_ms - played[-1].end_ms)))
    return holes


def _longest_hole_ms(seen: Observation, reply: Reply, after_ms: float) -> float:
    return max((length_ms for _, length_ms in _holes(seen, reply, after_ms)), default=0.0)


def _hole_starts_ms(seen: Observation, reply: Reply, after_ms: float) -> float | None:
    return min((at for at, length_ms in _holes(seen, reply, after_ms) if length_ms > MAX_HOLE_MS), default=None)


def _resumed_by(seen: Observation, old: Reply, stopped_ms: float | None) -> tuple[Reply, float] | None:
    """A later reply that takes the old one up again, and when it is audible."""
    if stopped_ms is None:
        return None
    for reply in seen.replies:
        at_ms = seen.first_audible_ms(reply, stopped_ms) if reply.created_ms > 0 and reply is not old else None
        if at_ms is not None and _continues(_whole(seen, old), reply.text):
            return reply, at_ms
    return None


def _response_of(seen: Observation, replies: Sequence[Reply], end_ms: float) -> float | None:
    starts = [at_ms for reply in replies if (at_ms := seen.first_audible_ms(reply)) is not None]
    first_ms = min(starts, default=None)
    return None if first_ms is None or first_ms - end_ms > ANSWER_WITHIN_MS else max(0.0, first_ms - end_ms)


def _stale_ms(seen: Observation) -> float:
    """Audible sound of replies that were cut off, after the client stopped playback for it."""
    stale_ms = 0.0
    for flush_ms in seen.flushes_ms:
        if flush_ms < 0:
            continue
        cut = {
            item
            for reply in seen.replies
            if reply.status in ("cancelled", "completed") and reply.created_ms < flush_ms
            for item in reply.item_ids
        }
        for played in seen.played:
            if played.item_id in cut and played.start_ms >= flush_ms:
                stale_ms += sum(span.end_ms - span.start_ms for span in played.audible)
    return stale_ms if stale_ms > STALE_AFTER_MS else 0.0


# ---------------------------------------------------------------------------------------------------------- words


def _heard_chars(seen: Observation, reply: Reply) -> int:
    """Length of the text of which the words sounded, at least half of each, by the client's own record."""
    total_ms = sum(played.end_ms - played.start_ms for played in seen.played_of(reply.item_ids))
    return max((word["end"] for word in reply.words if (word["start_ms"] + word["end_ms"]) / 2 <= total_ms), default=0)


def _ledger_words_off(seen: Observation, reply: Reply) -> int | None:
    """Words heard by the client's record against those the server believes in."""
    if reply.heard_chars is None or not reply.words:
        return None
    return abs(words_within(reply.words, reply.heard_chars) - words_within(reply.words, _heard_chars(seen, reply)))


def _plain(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _whole(seen: Observation, reply: Reply) -> str:
    """All of what a reply was about to say, as far as that is known."""
    return seen.passage if seen.passage.startswith(reply.text) else reply.text


def _continues(old: str, new: str) -> bool:
    """Whether a text begins with three words in a row (or all it has) of another."""
    words, start = _plain(old), _plain(new)[:3]
    return bool(start) and any(words[i : i + len(start)] == start for i in range(len(words)))


def words_lost_and_repeated(old: str, new: str, heard_chars: int) -> tuple[int, int]:
    """How many words a resumed text leaves out, or says again, after so much of the old one was heard."""
    words, start, heard = _plain(old), _plain(new)[:3], len(_plain(old[:heard_chars]))
    places = [i for i in range(len(words)) if words[i : i + len(start)] == start]
    if not places:
        return 0, 0
    place = min(places, key=lambda i: abs(i - heard))
    return max(0, place - heard), max(0, heard - place)
