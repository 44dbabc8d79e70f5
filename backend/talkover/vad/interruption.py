"""Is a sound over the agent an interruption? Two stages: give way on the voice alone, then judge by what it says. Pure.

Stage one is quick and can be wrong: the agent falls silent when voice has lasted for a quarter of a second. Stage two
has the words: a command or a new thought stops it for good, "uh-huh", a cough or its own echo lets it go on from where
it was. A short sound that ends before stage one says what it is by its words alone and mostly costs no pause at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from talkover.vad.expectation import ANYTHING, Expectation
from talkover.vad.loudness import distance
from talkover.vad.turn_end import is_short_answer
from talkover.vad.word_lists import Meaning, english_words, is_han, is_short_content, meaning_of

Decision = Literal["wait", "yield", "stop", "go_on"]
"""yield: fall silent while it is not certain; stop: it is an interruption; go_on: it is none"""
Reason = Literal[
    "undecided",
    "voice",
    "long_voice",
    "command",
    "words",
    "answer",
    "backchannel",
    "no_words",
    "unclear_words",
    "echo",
    "aside",
    "silence",
]

PAUSED_MS = 128.0
"""silence after which words that are no interruption are acted on"""
ENDED_MS = 192.0
"""without voice for this long a sound is over: longer than the closure of a plosive, too short to disturb"""
FINAL_TEXT_LIMIT_MS = 800.0
"""silence after which the words of a short sound are waited for no more"""
SHORTEST_WORD_MS = 160.0
"""less voice is a click or a breath, for which no words are waited"""
STOPPED_LIMIT_MS = 2000.0
"""the same once the agent has stopped: then a slow recogniser must not lose what the user said"""
UNDECIDED_LIMIT_MS = 1500.0
"""a sound that has not enough voice by then is none"""
LONG_VOICE_MS = 1200.0
"""nobody says "uh-huh" or coughs for so long"""
LONG_BACKCHANNEL_MS = 1400.0
"""voice above which "yeah yeah" is no backchannel any more"""
SHORT_MS = 480.0
CLEAR_WHEN_SHORT, CLEAR_WHEN_LONG = 0.75, 0.2
"""confidence from which words count, up to `MIDDLING_MS` of voice and from `LENGTHY_MS` on"""
MIDDLING_MS, LENGTHY_MS = 640.0, 832.0
"""backchannels hardly last longer than the one, and interruptions hardly less than the other but for single words"""
SLOWEST_LETTER_MS = 160.0
"""of speech on average; a word that was drawn out longer is what a recogniser makes of a laugh or a cough"""
GOES_ON_WITHIN_MS = 1500.0
"""speech so soon after the user's own turn is the rest of it, not a backchannel"""
GOES_ON_NEEDED_MS = 160.0
SOFT_BRIGHTNESS = 0.03
SOFT_EXTRA_MS = 224.0
"""A sound without any consonant so far ("mm", "yeah", "uh-huh", but "no" and "hold on" as well) gets this much more to
end by itself. Of 40 synthesised backchannels 18 are so soft and 14 of these end in time; of 22 interruptions 7 are, and
most say a word before."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What the agent is saying."""

    agent_text: str = ""
    """its newest words, as far as they have sounded or are about to"""
    expected: Expectation = ANYTHING
    """what they ask for"""
    is_closing: bool = False
    """it has next to nothing more to say"""
    is_echoing: bool = False
    """its echo is not cancelled yet: voice alone may be its own"""


@dataclass(frozen=True, slots=True)
class InterruptionFeatures:
    """What is known of a sound over the agent."""

    voiced_ms: float
    """voiced and loud enough audio within the last `window_ms`"""
    window_ms: float
    """since its first voiced frame"""
    silence_ms: float
    """since its last voiced frame"""
    needed_ms: float
    """voiced audio after which the agent gives way"""
    level_dbfs: float
    """mean over its voiced frames"""
    noise_floor_dbfs: float
    user_level_dbfs: float | None = None
    """None until the user has spoken"""
    echo_dbfs: float | None = None
    """of the agent's own voice, as far as it was heard before"""
    brightness: float = 1.0
    """mean over its voiced frames, see `Pitch`"""
    text: str = ""
    """newest transcript; "" while there is none"""
    text_is_final: bool = False
    confidence: float | None = None
    """of the final text"""
    since_own_turn_ms: float | None = None
    """from the end of the user's last turn to the beginning of this; None before the first"""
    dialogue: Dialogue = Dialogue()
    has_yielded: bool = False
    voice_similarity: float | None = None
    """to the caller's voice, a cosine; None where that is not known"""


def judge(features: InterruptionFeatures) -> tuple[Decision, Reason]:
    """The decision by now, and what it rests on."""
    where = distance(features.level_dbfs, features.noise_floor_dbfs, features.user_level_dbfs, features.echo_dbfs)
    if where == "near" and is_another_voice(features.voice_similarity):
        where = "aside"
    has_ended = features.silence_ms >= ENDED_MS
    if where == "too_quiet":
        return ("go_on", "silence") if has_ended or _is_too_late(features) else ("wait", "undecided")
    if says_what_the_agent_said(features.text, features.dialogue.agent_text):
        return ("go_on", "echo") if has_ended or features.text_is_final else ("wait", "echo")
    by_words = _by_words(features, where == "near" or features.has_yielded)
    if by_words is not None:
        return by_words
    has_paused = features.silence_ms >= PAUSED_MS and (
        features.text_is_final or meaning_of(features.text) == "backchannel"
    )
    if has_ended or has_paused:
        return _after_the_end(features)
    if where == "aside" or features.dialogue.is_echoing:
        reason: Reason = "aside" if where == "aside" else "echo"
        return ("go_on" if _is_too_late(features) else "wait"), reason
    return _by_voice(features)


def is_another_voice(similarity: float | None) -> bool:
    """Whether a sound is not the caller's; what is not known is taken for the caller's."""
    return similarity is not None and similarity < SAME_VOICE


SAME_VOICE = 0.25
"""Under the threshold of equal errors that CAM++ is published with (some 0.3 to 0.4 on whole sentences), since half a
second of a voice resembles it less and a caller who is not heard is worse than side talk that is."""


def _by_words(features: InterruptionFeatures, is_near: bool) -> tuple[Decision, Reason] | None:
    """What the words settle whatever the voice does."""
    text = features.text
    meaning = meaning_of(text)
    if features.dialogue.is_closing and is_short_answer(text, features.dialogue.expected):
        return "stop", "answer"
    is_echoing = features.dialogue.is_echoing
    if meaning == "command" and (_are_clear(features) if is_echoing else features.text_is_final or is_near):
        return "stop", "command"
    if is_echoing:
        return None
    if meaning == "content" and is_near and _are_clear(features):
        return "stop", "words"
    return None


def _are_clear(features: InterruptionFeatures) -> bool:
    """Whether the recogniser is sure enough of words that took so long.

    What takes half a second is mostly a backchannel, perhaps in a language the recogniser does not know: its words are
    believed only when it is sure of them, and in less than that only those that make sense alone.
    """
    if not features.text_is_final:
        return False
    text = features.text
    if features.voiced_ms < SHORT_MS and meaning_of(text) == "content" and not is_short_content(text):
        return False
    if not any(map(is_han, text)) and sum(map(str.isalnum, text)) * SLOWEST_LETTER_MS < features.voiced_ms:
        return False
    if features.confidence is None:
        return True
    share = (features.voiced_ms - MIDDLING_MS) / (LENGTHY_MS - MIDDLING_MS)
    return features.confidence >= CLEAR_WHEN_SHORT + min(max(share, 0.0), 1.0) * (CLEAR_WHEN_LONG - CLEAR_WHEN_SHORT)


def _after_the_end(features: InterruptionFeatures) -> tuple[Decision, Reason]:
    if meaning_of(features.text) == "backchannel":
        return "go_on", "backchannel"
    if not features.text_is_final:
        if features.has_yielded:
            if features.text and meaning_of(features.text) == "nothing" and features.voiced_ms < SHORT_MS:
                return "go_on", "no_words"
            return ("wait", "undecided") if features.silence_ms < STOPPED_LIMIT_MS else ("stop", "voice")
        if features.silence_ms < FINAL_TEXT_LIMIT_MS and features.voiced_ms >= SHORTEST_WORD_MS:
            return "wait", "undecided"
        return "go_on", "silence"
    if features.voiced_ms >= LONG_VOICE_MS:
        return "stop", "long_voice"
    return "go_on", _WITHOUT_WORDS.get(meaning_of(features.text), "unclear_words")


_WITHOUT_WORDS: dict[Meaning, Reason] = {"backchannel": "backchannel", "nothing": "no_words"}


def _by_voice(features: InterruptionFeatures) -> tuple[Decision, Reason]:
    is_backchannel = meaning_of(features.text) == "backchannel"
    if features.voiced_ms >= (LONG_BACKCHANNEL_MS if is_backchannel else LONG_VOICE_MS):
        return "stop", "long_voice"
    if features.has_yielded or is_backchannel:
        return "wait", "backchannel" if is_backchannel else "undecided"
    if features.voiced_ms >= needed_ms(features):
        return "yield", "voice"
    return ("go_on", "silence") if _is_too_late(features) else ("wait", "undecided")


def needed_ms(features: InterruptionFeatures) -> float:
    """Voice after which the agent gives way, for a voice that sounds like this."""
    since_ms = features.since_own_turn_ms
    if since_ms is not None and since_ms <= GOES_ON_WITHIN_MS:
        return min(features.needed_ms, GOES_ON_NEEDED_MS)
    if features.brightness < SOFT_BRIGHTNESS:
        return features.needed_ms + SOFT_EXTRA_MS
    return features.needed_ms


def _is_too_late(features: InterruptionFeatures) -> bool:
    return not features.has_yielded and features.window_ms >= UNDECIDED_LIMIT_MS


def says_what_the_agent_said(text: str, agent_text: str) -> bool:
    """Whether most of the words, three at least, are the agent's own and in its order: its echo was recognised."""
    heard, said = _units(text), _units(agent_text)
    if len(heard) < ECHO_WORDS or not said:
        return False
    pairs = set(pairwise(said))
    matched = sum(pair in pairs for pair in pairwise(heard))
    return matched >= ECHO_SHARE * (len(heard) - 1)


ECHO_WORDS = 3
ECHO_SHARE = 0.5
"""of the pairs of words, the recogniser having misheard the rest"""


def _units(text: str) -> list[str]:
    """Words, or characters of a script without spaces."""
    return [character for character in text if is_han(character)] or english_words(text)
