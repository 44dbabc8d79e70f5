"""`talkover bench soak`: hours of conversations in minutes, and whether anything of the server grows meanwhile.

Callers ask every 15 to 20 seconds, as people do, hear some answers out, talk over others, hang up and call again; the
REST endpoints are used beside them. Figures count from the moment every caller has been answered once: until then the
engines make their decoders and the allocator its arenas, which is shown apart and not left out.
"""

from __future__ import annotations

import http.client
import io
import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import soundfile
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from talkover.audio import OUTPUT_RATE_HZ
from talkover.bench import machine, report
from talkover.bench.caller import Caller, Exchange
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.footprint import Footprint, footprint, growth
from talkover.bench.part import Setting
from talkover.bench.speech import find_speech
from talkover.client.connection import ConversationEnded, ServerUnreachable
from talkover.client.recordings import Recording
from talkover.client.server_process import ServerFailed, ServerProcess, own_environment

DEFAULT_MINUTES = 5.0
DEFAULT_SESSIONS = 8
PACE_S = (15.0, 20.0)
"""from one question of a caller to the next"""
LISTEN_S = (1.0, 3.0, 6.0)
"""how much of an answer is heard before it is cut off; the answers last about 3 to 8 s"""
INTERRUPTS = 0.25
"""share of the questions that are spoken into an answer"""
CALL_QUESTIONS = (4, 10)
"""before a caller hangs up and calls again"""
REST_EVERY_S = 7.0
SAMPLE_EVERY_S = 3.0
MAX_QUESTION_MS = 4000.0
MAX_GROWTH_PERCENT = 3.0
MIN_ANSWERED_PERCENT = 95.0
SPOKEN_TEXT = "The machine is still talking, and nothing of it has grown."
TYPED_QUESTION = "What is Talkover, and what can it do for me?"
RETRY_S = 1.0
ANSWER_WAIT_S = 10.0

screen = report.screen()


@dataclass(slots=True)
class Run:
    """What came of a soak; filled by many threads, each list append by append."""

    sessions: int
    minutes: float
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    failures: list[str] = field(default_factory=list[str])
    footprints: list[Footprint] = field(default_factory=list[Footprint])
    calls: int = 0
    rest_calls: int = 0
    settled_s: float | None = None
    """when every caller had been answered once, since the beginning"""
    talking: int = 0


class Soak:
    """Callers, a user of the REST endpoints, and who looks at the server meanwhile."""

    def __init__(self, server: ServerProcess, key: str | None, questions: Sequence[Recording], run: Run) -> None:
        self._server = server
        self._key = key
        self._questions = questions
        self._run = run
        self._lock = threading.Lock()
        self._answered: set[int] = set()
        self._began_s = time.monotonic()
        self._end_s = self._began_s + run.minutes * 60
        self._over = threading.Event()

    def hold(self, setting: Setting) -> None:
        """Until the time is over; looks at the server meanwhile."""
        tasks = [*((self._caller, index) for index in range(self._run.sessions)), (self._rest, 0)]
        threads = [threading.Thread(target=task, args=(index,), name=f"soak-{index}") for task, index in tasks]
        for thread in threads:
            thread.start()
        try:
            while not self._over.wait(SAMPLE_EVERY_S) and time.monotonic() < self._end_s:
                elapsed_s = time.monotonic() - self._began_s
                sample = footprint(self._server.pid, elapsed_s, self._run.talking)
                if sample is not None:
                    self._run.footprints.append(sample)
                memory = "" if sample is None else f", {sample.memory_mib:.0f} MiB"
                setting.advance(
                    f"{self._run.talking} callers, {elapsed_s:.0f} s{memory}", elapsed_s / 60 / self._run.minutes
                )
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    # ------------------------------------------------------------------------------------------------- callers

    def _caller(self, index: int) -> None:
        rng = random.Random(index)
        self._over.wait(PACE_S[0] * index / self._run.sessions)
        while not self._over.is_set():
            try:
                with Caller(self._server.url, key=self._key, seed=index) as caller:
                    self._count(calls=1, talking=1)
                    try:
                        self._call(caller, index, rng)
                    finally:
                        self._count(talking=-1)
            except (ServerUnreachable, ConversationEnded, TimeoutError) as error:
                if not self._over.is_set():
                    self._run.failures.append(f"caller {index}: {error}")
                    self._over.wait(RETRY_S)

    def _call(self, caller: Caller, index: int, rng: random.Random) -> None:
        for _ in range(rng.randint(*CALL_QUESTIONS)):
            if self._over.is_set():
                return
            next_s = time.monotonic() + rng.uniform(*PACE_S)
            if rng.random() < INTERRUPTS:
                since = caller.client.cursor
                caller.client.say_text(TYPED_QUESTION)
                caller.client.wait("response.output_audio.delta", ANSWER_WAIT_S, since)
            exchange = caller.ask(rng.choice(self._questions), listen_s=rng.choice(LISTEN_S))
            caller.speaker.forget(time.monotonic())
            self._run.exchanges.append(exchange)
            if exchange.voice_to_voice_ms is not None:
                self._settled(index)
            self._over.wait(max(0.0, next_s - time.monotonic()))

    def _settled(self, index: int) -> None:
        with self._lock:
            self._answered.add(index)
            if len(self._answered) == self._run.sessions and self._run.settled_s is None:
                self._run.settled_s = time.monotonic() - self._began_s

    def _count(self, calls: int = 0, talking: int = 0) -> None:
        with self._lock:
            self._run.calls += calls
            self._run.talking += talking

    # ---------------------------------------------------------------------------------------------------- REST

    def _rest(self, _: int) -> None:
        wav = _wav(self._questions[0])
        speech = json.dumps({"input": SPOKEN_TEXT, "model": "tts-1", "voice": "default", "response_format": "wav"})
        requests: list[tuple[str, str, bytes, str]] = [
            ("GET", "/v1/voices", b"", ""),
            ("POST", "/v1/audio/speech", speech.encode(), "application/json"),
            ("POST", "/v1/audio/transcriptions", *_form(wav)),
            ("GET", "/metrics", b"", ""),
        ]
        turn = 0
        while not self._over.wait(REST_EVERY_S):
            method, path, body, kind = requests[turn % len(requests)]
            turn += 1
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
            headers = {"Content-Type": kind} if kind else {}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            try:
                connection.request(method, path, body or None, headers)
                answer = connection.getresponse()
                answer.read()
                self._run.rest_calls += 1
                if answer.status != 200:
                    self._run.failures.append(f"{method} {path}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self._run.failures.append(f"{method} {path}: {error}")
            finally:
                connection.close()


def _wav(recording: Recording) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, recording.samples, OUTPUT_RATE_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _form(wav: bytes) -> tuple[bytes, str]:
    """A multipart form (RFC 7578) with one file and the model."""
    border = "talkover-soak"
    head = f'--{border}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--{border}\r\n'
    head += 'Content-Disposition: form-data; name="file"; filename="q.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    return head.encode() + wav + f"\r\n--{border}--\r\n".encode(), f"multipart/form-data; boundary={border}"


# ------------------------------------------------------------------------------------------------------ the figures


def measure(setting: Setting) -> PartResult:
    """As a part of `talkover bench`."""
    return soak(setting, DEFAULT_MINUTES, DEFAULT_SESSIONS)


def soak(setting: Setting, minutes: float, sessions: int) -> PartResult:
    """Raises ServerFailed, ValueError."""
    run = Run(sessions, minutes)
    questions = setting.speech.utterances(16, MAX_QUESTION_MS)
    # twice as many places: a caller who calls again does not wait until the old session has left its engines
    with setting.start_server("--set", f"server.max_sessions={2 * sessions}") as server:
        server.wait_ready()
        Soak(server, setting.key, questions, run).hold(setting)
    return PartResult(
        "soak",
        f"{minutes:g} minutes with {sessions} callers",
        tuple(score(run)),
        tuple(remarks(run)),
        [asdict(sample) for sample in run.footprints],
    )


def settled(run: Run) -> list[Footprint]:
    """The samples that count: since every caller had been answered."""
    return [sample for sample in run.footprints if run.settled_s is not None and sample.at_s >= run.settled_s]


def score(run: Run) -> list[Figure]:
    """The lines of the table."""
    answered = [e.voice_to_voice_ms for e in run.exchanges if e.voice_to_voice_ms is not None]
    samples = settled(run)
    grown = growth(samples)
    share = 100 * len(answered) / max(1, len(run.exchanges))
    figures = [
        Figure(
            "memory, last third against the first",
            "%",
            value=None if grown is None else grown.memory_percent,
            targets=(Target("value", MAX_GROWTH_PERCENT),),
            note="" if grown is None else f"{grown.first_mib:.0f} to {grown.last_mib:.0f} MiB, server and workers",
        ),
        Figure("threads, likewise", "", value=grown and grown.threads, targets=(Target("value", 0),)),
        Figure("file descriptors, likewise", "", value=grown and grown.descriptors, targets=(Target("value", 0),)),
    ]
    if samples:
        figures.append(
            Figure(
                "memory before that",
                "MiB",
                value=samples[0].memory_mib - run.footprints[0].memory_mib,
                note=f"grown until every caller had been answered once, after {run.settled_s or 0:.0f} s",
            )
        )
    return [
        *figures,
        Figure(
            "answered",
            "%",
            value=share,
            targets=(Target("value", MIN_ANSWERED_PERCENT, "at least"),),
            note=f"{len(answered)} of {len(run.exchanges)} questions in {run.calls} calls",
        ),
        Figure("voice to voice", "ms", summarize(answered)),
        Figure("requests to the REST endpoints", "", value=float(run.rest_calls)),
        Figure("what broke off", "", value=float(len(run.failures)), targets=(Target("value", 0),)),
    ]


def remarks(run: Run) -> list[str]:
    if run.settled_s is None:
        return ["not every caller was answered once: nothing can be said about growth", *run.failures[:10]]
    return run.failures[:10]


# ------------------------------------------------------------------------------------------------------ the command


def command(
    minutes: Annotated[float, typer.Option("--minutes", min=0.2, max=1440, help="How long.")] = DEFAULT_MINUTES,
    sessions: Annotated[int, typer.Option("--sessions", min=1, max=64, help="Callers.")] = DEFAULT_SESSIONS,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="A setting of the server. Repeatable.")
    ] = None,
    speech: Annotated[
        Path | None,
        typer.Option("--speech", metavar="FOLDER", help="Folder of wavs or flacs to speak."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the JSON goes.")] = Path(
        "bench-results"
    ),
) -> None:
    """Conversations without end: memory, threads and file descriptors stay as they were."""
    notes = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), transient=True)
    try:
        found = find_speech(speech)
        with notes, suppress(KeyboardInterrupt):
            task = notes.add_task("", total=1.0)
            arguments = tuple(part for override in overrides or () for part in ("--set", override))
            setting = Setting(
                found,
                quick=False,
                server_arguments=arguments,
                environ=own_environment(),
                key=None,
                advance=lambda what, share: notes.update(task, description=escape(what), completed=min(1.0, share)),
            )
            result = soak(setting, minutes, sessions)
            report.show([result], screen)
            path = output / f"soak-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
            report.write(path, machine.facts(), [result], {})
            sys.stderr.write(f"Written to {path}\n")
            raise typer.Exit(1 if report.missed([result]) else 0)
    except (ServerFailed, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from error
