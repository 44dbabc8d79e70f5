"""Twice as many callers as the server says it carries: those it takes are served as well as ever, the others told so.

The server has one core, as for `capacity`, and calibrates itself there. Half as many callers as it carries come first,
then twice as many. Stock clients that are refused come back when they are told to; clients that can wait, wait.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from talkover.bench.capacity import MAX_QUESTION_MS, Level, converse, on_one_core
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.client.connection import ConversationEnded, RealtimeClient, ServerFull, ServerUnreachable
from talkover.client.loudspeaker import Loudspeaker
from talkover.client.recordings import Recording
from talkover.client.server_process import ServerProcess

DURATION_S = 60.0
QUICK_DURATION_S = 12.0
SETTLE_S = 3.0
"""until the callers are all there, and the others come"""
MAX_RATIO = 1.2
"""p95 at twice the capacity to that at half of it"""
PLACE_WAIT_S = 5.0


@dataclass(slots=True)
class TurnedAway:
    """What became of callers beyond the capacity; filled by their threads."""

    attempts: int = 0
    told_when: int = 0
    """HTTP 503 with `Retry-After`"""
    told_place: int = 0
    """a place in the queue"""
    otherwise: list[str] = field(default_factory=list[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def json(self) -> dict[str, Any]:
        return {
            "attempts": self.attempts,
            "told_when": self.told_when,
            "told_place": self.told_place,
            "otherwise": self.otherwise,
        }


def measure(setting: Setting) -> PartResult:
    """Raises ServerFailed."""
    questions = setting.speech.utterances(16, MAX_QUESTION_MS)
    duration_s = QUICK_DURATION_S if setting.quick else DURATION_S
    with on_one_core(setting) as (server, remark):
        carried = carries(server)
        half = max(1, carried // 2)
        setting.advance(f"{half} callers, it carries {carried}", 0.0)
        below = converse(server, setting.key, half, duration_s, questions)
        setting.advance(f"{2 * carried} callers, it carries {carried}", 0.5)
        above, away = overloaded(server, setting.key, carried, duration_s, questions)
    return PartResult(
        "overload",
        f"Twice as many callers as one core carries, {carried}",
        tuple(score(below, above, away)),
        (remark,),
        [below.json(), above.json(), away.json()],
    )


def carries(server: ServerProcess) -> int:
    """How many sessions the server admits."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return json.load(connection.getresponse())["max_sessions"]
    finally:
        connection.close()


def overloaded(
    server: ServerProcess, key: str | None, carried: int, duration_s: float, questions: Sequence[Recording]
) -> tuple[Level, TurnedAway]:
    """As many callers as are carried, and as many others who try to get in as long as they talk."""
    away = TurnedAway()
    over = threading.Event()
    threads = [
        threading.Thread(target=_wait_in_line if index % 2 else _come_back, args=(server, key, away, over))
        for index in range(carried)
    ]
    starter = threading.Timer(SETTLE_S, lambda: [thread.start() for thread in threads])
    starter.start()
    try:
        level = converse(server, key, carried, duration_s, questions)
    finally:
        over.set()
        starter.join()
        for thread in threads:
            thread.join()
    return level, away


def _come_back(server: ServerProcess, key: str | None, away: TurnedAway, over: threading.Event) -> None:
    """A stock client: refused before the handshake, it comes back when it was told to."""
    retry_s = 0.0
    while not over.wait(retry_s):
        try:
            RealtimeClient(server.url, Loudspeaker(), key=key).close()
            told, otherwise, retry_s = False, "let in", 1.0
        except ServerFull as full:
            told, otherwise = full.retry_after_s is not None, "503 without Retry-After"
            retry_s = float(full.retry_after_s or 1)
        except ServerUnreachable as error:
            told, otherwise, retry_s = False, str(error), 1.0
        with away.lock:
            away.attempts += 1
            away.told_when += told
            if not told:
                away.otherwise.append(otherwise)


def _wait_in_line(server: ServerProcess, key: str | None, away: TurnedAway, over: threading.Event) -> None:
    """A client that can wait: told its place, it stays in the queue until the others are through."""
    try:
        client = RealtimeClient(f"{server.url}?s2s.queue=1", Loudspeaker(), key=key)
    except ServerUnreachable as error:
        with away.lock:
            away.attempts += 1
            away.otherwise.append(str(error))
        return
    try:
        client.wait("s2s.queue.updated", PLACE_WAIT_S)
        told, otherwise = True, ""
    except (TimeoutError, ConversationEnded) as error:
        told, otherwise = False, str(error)
    with away.lock:
        away.attempts += 1
        away.told_place += told
        if not told:
            away.otherwise.append(otherwise)
    over.wait()
    client.close()


def score(below: Level, above: Level, away: TurnedAway) -> list[Figure]:
    """The lines of the table."""
    reference, summary = summarize(below.times_ms), summarize(above.times_ms)
    ratio = None if reference is None or summary is None else summary.p95 / reference.p95
    told = away.told_when + away.told_place
    broken = [*above.failures, *below.failures]
    return [
        Figure(f"voice to voice, {below.sessions} callers", "ms", reference, note=_answered(below)),
        Figure(
            f"voice to voice, {above.sessions - above.refused} of {2 * above.sessions} callers",
            "ms",
            summary,
            note=_answered(above),
        ),
        Figure("p95 of the second to the first", "", value=ratio, targets=(Target("value", MAX_RATIO),)),
        Figure(
            "turned away properly",
            "%",
            value=100 * told / away.attempts if away.attempts else None,
            targets=(Target("value", 100, "at least"),),
            note=f"{away.told_when} times 503 with Retry-After, {away.told_place} told a place"
            + (f"; else: {away.otherwise[0]}" if away.otherwise else ""),
        ),
        Figure(
            "calls that broke off",
            "",
            value=float(len(broken)),
            targets=(Target("value", 0),),
            note="; ".join(broken[:1]),
        ),
    ]


def _answered(level: Level) -> str:
    others = "" if level.other_cores is None else f", others used {level.other_cores:.1f} cores"
    return f"{len(level.times_ms)} of {len(level.exchanges)} answered{others}"
