"""Spoken questions, answered on topic by voice? And how well the recogniser understood them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass

from talkover.bench.caller import Caller
from talkover.bench.figures import Figure, PartResult, Target
from talkover.bench.part import Setting
from talkover.bench.speech import Speech, shipped_speech
from talkover.client.connection import ConversationEnded, ServerUnreachable
from talkover.client.recordings import Recording
from talkover.client.turns import Answer

SIDE_BY_SIDE = 2
ANSWER_TIMEOUT_S = 6.0
MAX_ANSWER_S = 14.0


@dataclass(frozen=True, slots=True)
class Question:
    """A recording and what an answer to it must speak of."""

    file: str
    expected: str
    """regular expression, searched in the answer's transcript without regard to case"""


QUESTIONS = (
    Question("what_is_talkover_slt.flac", r"voice agent"),
    Question("what_is_talkover_kal16.flac", r"voice agent"),
    Question("who_are_you_rms.flac", r"talkover|voice agent"),
    Question("what_can_you_do_awb.flac", r"document|time|stor(y|ies)|conversation"),
    Question("time_awb.flac", r"it is (one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight)"),
    Question("date_slt.flac", r"(mon|tues|wednes|thurs|fri|satur|sun)day|20\d\d"),
    Question("count_awb.flac", r"(one|1)\b.*(two|2)\b.*(three|3)\b"),
    Question("story_kal16.flac", r"lighthouse|clock|once"),
    Question("connect_llm_kal16.flac", r"OPENAI_API_KEY|open ?ai|base"),
    Question("api_key_slt.flac", r"OPENAI_API_KEY|variable"),
    Question("ollama_rms.flac", r"ollama"),
    Question("deepseek_awb.flac", r"deepseek"),
    Question("add_voice_kal16.flac", r"engine|voice"),
    Question("change_voice_slt.flac", r"voice"),
    Question("mandarin_rms.flac", r"mandarin|chinese"),
    Question("languages_awb.flac", r"english|mandarin"),
    Question("documents_kal16.flac", r"markdown|folder"),
    Question("interrupt_slt.flac", r"speak|interrupt|stop"),
    Question("gpu_rms.flac", r"graphics card"),
    Question("offline_awb.flac", r"without the internet|after the installation"),
    Question("websocket_kal16.flac", r"socket|client"),
    Question("license_slt.flac", r"free|open source|apache"),
    Question("latency_rms.flac", r"latency|fast|second|slow|answer"),
    Question("barge_in_kal16.flac", r"speak|interrupt|talk over|stop|voice down"),
    Question("whatstheweatherlike.wav", r"weather|internet|document|language model|cannot|do not know"),
)
"""about the shipped documents by four synthetic voices, and one by a person where recordings of people are there"""
NEEDED = 18 / 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """A question and its answer."""

    file: str
    said: str
    understood: str | None
    answer: str
    audible: bool
    on_topic: bool


def measure(setting: Setting) -> PartResult:
    asked = find_questions([setting.speech, shipped_speech()])
    if not asked:
        return PartResult("answers", "Answered on topic", (), ("the shipped questions are not here",))
    if setting.quick:
        asked = asked[::4]
    with setting.start_server() as server, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        server.wait_ready()
        futures = [pool.submit(ask, server.url, setting.key, question, recording) for question, recording in asked]
        verdicts: list[Verdict] = []
        for index, future in enumerate(futures):
            setting.advance(asked[index][0].file, index / len(asked))
            verdicts.append(future.result())
    return PartResult(
        "answers",
        "Answered on topic",
        tuple(score(verdicts)),
        tuple(_failures(verdicts)),
        [asdict(v) for v in verdicts],
    )


def find_questions(folders: Sequence[Speech | None]) -> list[tuple[Question, Recording]]:
    """The questions of which there is a recording."""
    clips = {clip.path.name: clip for speech in folders if speech is not None for clip in speech.clips}
    return [(question, clips[question.file].read()) for question in QUESTIONS if question.file in clips]


def ask(url: str, key: str | None, question: Question, recording: Recording) -> Verdict:
    """One question in a conversation of its own; heard out until it is on topic or over."""
    try:
        with Caller(url, key=key) as caller:
            said = caller.microphone.say(recording, 0.5)
            end_s = said.end_s(caller.microphone.opened_s)

            def is_settled() -> bool:
                answers = [answer for answer in caller.turns().answers.values() if answer.created_s > end_s]
                return any(answer.status != "in_progress" or _is_good(question, answer, caller) for answer in answers)

            with suppress(TimeoutError):
                timeout_s = end_s - time.monotonic() + ANSWER_TIMEOUT_S + MAX_ANSWER_S
                caller.client.wait_until(is_settled, timeout_s, "an answer")
            turns = caller.turns()
            texts = [turn.text for turn in turns.user.values() if turn.text]
            answer = " ".join(answer.text for answer in turns.answers.values())
            audible = any(_is_audible(answer, caller) for answer in turns.answers.values())
            on_topic = audible and is_on_topic(question, answer)
            return Verdict(question.file, recording.text, " ".join(texts) or None, answer, audible, on_topic)
    except (ServerUnreachable, ConversationEnded, TimeoutError) as error:
        return Verdict(question.file, recording.text, None, f"({error})", False, False)


def _is_good(question: Question, answer: Answer, caller: Caller) -> bool:
    return is_on_topic(question, answer.text) and _is_audible(answer, caller)


def _is_audible(answer: Answer, caller: Caller) -> bool:
    return answer.first_audible_s(caller.speaker.stretches) is not None


def is_on_topic(question: Question, answer: str) -> bool:
    return re.search(question.expected, answer, re.IGNORECASE | re.DOTALL) is not None


def score(verdicts: Sequence[Verdict]) -> list[Figure]:
    on_topic = sum(verdict.on_topic for verdict in verdicts)
    errors = words = 0
    for verdict in verdicts:
        if verdict.said:
            spoken = plain_words(verdict.said)
            errors += word_errors(spoken, plain_words(verdict.understood or ""))
            words += len(spoken)
    share = 100 * on_topic / max(1, len(verdicts))
    return [
        Figure(
            "answered on topic by voice",
            "%",
            value=share,
            targets=(Target("value", 100 * NEEDED, "at least"),),
            note=f"{on_topic} of {len(verdicts)}",
        ),
        Figure("word errors of the recogniser", "%", value=100 * errors / words if words else None),
    ]


def _failures(verdicts: Sequence[Verdict]) -> list[str]:
    return [
        f"{verdict.file}: understood {verdict.understood!r}, answered {verdict.answer!r}"
        for verdict in verdicts
        if not verdict.on_topic
    ]


def plain_words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(said: Sequence[str], understood: Sequence[str]) -> int:
    """Substitutions, deletions and insertions: the Levenshtein distance of the word sequences."""
    row = list(range(len(understood) + 1))
    for index, word in enumerate(said, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(understood, 1):
            previous, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, previous + (word != other))
    return row[-1]
