"""Do the words so far look like a finished turn? Pure rules for English and Mandarin.

Made for recognisers' text: lower case, often without punctuation, the last word sometimes missing. The rules look at
how the text ends (hesitation, words that need a complement, numbers in progress), then at how it begins (question,
command, short complete answer). Nothing here needs to be certain: the score only sets how long a pause is waited for.
"""

from __future__ import annotations

import re
from itertools import pairwise

from talkover.vad.dictation import DIGIT_WORDS, dictated, is_open_list
from talkover.vad.expectation import ANYTHING, Expectation
from talkover.vad.word_lists import english_words, is_han, word_set

HESITATES, HANGS, LEANS_OPEN, UNKNOWN, CLOSED, COMPLETE = 0.02, 0.08, 0.3, 0.5, 0.88, 0.96
"""the scores of the rules, from "surely goes on" to "surely done" """


def looks_finished(text: str, expected: Expectation = ANYTHING) -> float:
    """Probability in [0, 1] that the speaker is done after these words; 0.5 where nothing tells, e.g. no text.

    `expected`: what kind of answer was asked for.
    """
    text = text.strip()
    if text.endswith(("...", "…", "-", "–", "—")):
        return HANGS
    body = text.rstrip(_CLOSING)
    mark = text[len(body) : len(body) + 1]
    if not body:
        return UNKNOWN
    score = _mandarin(body) if is_han(body[-1]) else _english(body, expected)
    # recognisers close whatever they were given with a full stop, or a question mark where it begins like a question:
    # such a mark confirms words that look finished, and mends none that do not
    if mark and mark in "?？!！" and score >= UNKNOWN:
        return COMPLETE
    if mark and mark in ",，、;；:：":
        return min(score, LEANS_OPEN)
    return score


_CLOSING = " .,?!;:。，？！、；：\"')”’」"
_PUNCTUATION_AND_SPACE = re.compile(r"[\W_]+")


# ----------------------------------------------------------------------------------------------------------- English

_FILLERS = word_set("um uh er erm ehm hmm hm mm ah eh like well so anyway basically")
_CONJUNCTIONS = word_set(
    "and or but nor because cause if when while whereas although though unless until since than as whether that which "
    "who whose where plus versus"
)
_DETERMINERS = word_set("a an the my your our their its every each another some any no these those very more most")
_PREPOSITIONS = word_set(
    "of to for with from at by about into onto between among during without within against toward towards through "
    "per via under above behind beside near"
)
_SUBJECTS = word_set(
    "i we he she they i'm we're you're they're he's she's it's that's there's i'd i'll i've we'll let's"
)
_AUXILIARIES = word_set(
    "is are was were am be been will would can could should shall may might must has have had do does did isn't aren't "
    "wasn't won't wouldn't can't couldn't shouldn't don't doesn't didn't gonna wanna gotta 'm 're not just also please"
)
_NEEDS_OBJECT = word_set(
    "want need like get give put make buy send have tell ask show find call say take use mean bring"
)
_PRONOUNS = word_set("i you he she it we they that this there")
_COMPLETE = word_set(
    "yes no yeah yep nope okay ok sure right exactly correct thanks hello hi hey bye goodbye stop enough continue "
    "absolutely definitely perfect great good fine nothing maybe cancel"
)
_YES_NO = word_set("yes no yeah yep nope sure okay ok")
SHORT_ANSWER_WORDS = 3
"""an answer to a yes-no question that begins with one and is no longer is done, whatever its last word was heard as"""
_COMPLETE_PHRASES = (
    "thank you",
    "never mind",
    "go on",
    "go ahead",
    "that's all",
    "that's it",
    "that's right",
    "i don't know",
    "of course",
    "no thanks",
    "yes please",
    "be quiet",
    "shut up",
    "good morning",
    "good night",
    "i do",
    "i am",
    "i will",
    "it is",
    "it does",
)
_HOLD_PHRASES = (
    "hold on",
    "one moment",
    "one second",
    "just a second",
    "just a moment",
    "give me a second",
    "wait a minute",
    "let me think",
    "let me see",
    "i mean",
    "you know",
    "kind of",
    "sort of",
    "i think",
    "i guess",
    "going to",
    "want to",
    "would like",
    "such as",
    "for example",
    "how about",
    "what about",
)
_POLITE_OPENINGS = (
    "can you please",
    "could you please",
    "would you please",
    "can you",
    "could you",
    "would you",
    "please",
    "i want you to",
    "i'd like you to",
)
_OPENERS = word_set("so and but okay ok well hey hi hello oh um uh yes no yeah please talkover then now alright")
_QUESTION_WORDS = word_set("what what's whats who who's where where's when why how how's which whose")
_INVERSIONS = word_set(
    "is are was were am can could will would should do does did have has may isn't aren't don't doesn't"
)
_COMMANDS = word_set(
    "tell show play turn set stop open close start read repeat count give make call remind explain translate find "
    "search look say speak talk sing add remove change switch connect let put send write spell describe go skip"
)
_SUBORDINATORS = word_set("if when because while although since unless after before once")


def _ends_with(words: list[str], phrases: tuple[str, ...]) -> bool:
    tail = " " + " ".join(words[-4:])
    return any(tail.endswith(" " + phrase) for phrase in phrases)


def _english(text: str, expected: Expectation) -> float:
    words = english_words(text)
    if not words:
        return UNKNOWN
    start = 0
    while start < len(words) - 1 and words[start] in _OPENERS:
        start += 1
    core = words[start:]
    if " ".join(core) in _POLITE_OPENINGS and not _ends_with(words, _COMPLETE_PHRASES):
        return HANGS
    if len(words) == 1 and words[0] in _QUESTION_WORDS:
        return UNKNOWN
    is_question = core[0] in _QUESTION_WORDS or (core[0] in _INVERSIONS and len(core) > 2)
    if not is_question and (score := dictated(words, expected)) is not None:
        return score
    ending = _english_ending(words, core, is_question)
    if ending is not None:
        return ending
    if expected.kind == "yes_no" and words[0] in _YES_NO and len(words) <= SHORT_ANSWER_WORDS:
        return CLOSED
    return _english_beginning(core, is_question)


def _english_ending(words: list[str], core: list[str], is_question: bool) -> float | None:
    """Score when the end of the text decides, else None."""
    last = words[-1]
    if len(words) <= 3 and (_ends_with(words, _COMPLETE_PHRASES) or (len(core) == 1 and last in _COMPLETE)):
        return COMPLETE
    if last in _FILLERS or _ends_with(words, _HOLD_PHRASES):
        # "what is it like", "what do you mean", "how does it work you know" are questions all the same
        return CLOSED if is_question and last in ("like", "mean") and len(core) > 3 else HESITATES
    if last.isdigit() or last in DIGIT_WORDS:
        return CLOSED if is_question else UNKNOWN
    if last in _DETERMINERS:
        return HANGS if last not in ("more", "most", "some", "any", "no", "these", "those") else LEANS_OPEN
    if last in _PREPOSITIONS:
        return _after_preposition(words, core)
    if last == "that" and is_question and len(core) <= 4:  # "what is that", "can you do that"
        return CLOSED
    if last in _CONJUNCTIONS:
        return LEANS_OPEN if last in ("that", "though", "who", "where", "when") and len(words) > 2 else HANGS
    if last in _SUBJECTS:
        return HANGS
    if last in _AUXILIARIES:
        return _after_auxiliary(words, core)
    if last in _NEEDS_OBJECT and not (is_question and core[0] in _QUESTION_WORDS and len(core) > 3):
        return LEANS_OPEN
    return None


def _after_preposition(words: list[str], core: list[str]) -> float:
    before = words[-2] if len(words) > 1 else ""
    is_stranded = core[0] in _QUESTION_WORDS and words[-1] in ("about", "for", "from", "with", "at", "to", "of")
    if is_stranded and (before in _PRONOUNS or before.endswith("ing")):  # "where are you from", "what is it made of"
        return 0.75
    return UNKNOWN if is_stranded and before not in ("tell", "capital") and len(core) > 4 else HANGS


def _after_auxiliary(words: list[str], core: list[str]) -> float:
    last = words[-1]
    if last == "please":
        return CLOSED if len(words) > 2 else HANGS
    before = words[-2] if len(words) > 1 else ""
    has_clause_before = any(word in _QUESTION_WORDS or word in ("yes", "no", "than", "as") for word in words[:-2])
    if before in _PRONOUNS and has_clause_before:  # "tell me what it is", "yes i can", "what can you do"
        return CLOSED
    if last in ("do", "have", "be", "not") and any(word in _QUESTION_WORDS for word in words[:-3]):
        return CLOSED
    return HANGS


def _english_beginning(core: list[str], is_question: bool) -> float:
    """Score of a text whose end decides nothing."""
    sentence = " ".join(core)
    for opening in _POLITE_OPENINGS:
        if sentence.startswith(opening + " "):
            asked = sentence[len(opening) :].split()
            is_bare = len(asked) == 1 or (len(asked) == 2 and asked[0] in _NEEDS_OBJECT and asked[1] in ("me", "us"))
            return LEANS_OPEN if is_bare else CLOSED
    if core[0] in _SUBORDINATORS and not (is_question and core[1:2] and core[1] in _INVERSIONS):
        asks_at_last = any(a in _QUESTION_WORDS and b in _INVERSIONS for a, b in pairwise(core[2:]))
        return CLOSED if asks_at_last else LEANS_OPEN if len(core) < 9 else UNKNOWN
    if is_question:
        return CLOSED if len(core) > 2 else UNKNOWN
    if core[0] in _COMMANDS:
        if core[-1] in ("me", "us") and len(core) == 2:
            return LEANS_OPEN
        return 0.8 if len(core) > 1 else UNKNOWN
    if is_open_list(core):
        return UNKNOWN - 0.1
    return UNKNOWN


# ---------------------------------------------------------------------------------------------------------- Mandarin

_MANDARIN_COMPLETE = word_set(
    "是 是的 不是 对 对的 不对 好 好的 好吧 可以 不可以 不用 不用了 不要 不要了 没有 没有了 谢谢 谢谢你 再见 "
    "拜拜 停 停下 停一下 你好 您好 行 没事 算了 继续 够了"
)
_MANDARIN_HESITATES = tuple(word_set("嗯 呃 额 唔 这个 那个 就是 就是说 然后 怎么说 我想想 等一下 等等 稍等"))
_MANDARIN_HANGS = tuple(
    word_set(
        "和 跟 与 及 或 或者 还是 但 但是 可是 不过 因为 所以 如果 要是 假如 虽然 而且 并且 还有 比如 比如说 例如 "
        "除了 关于 对于 根据 通过 为了 以及 把 被 给 在 从 向 往 比 让 叫 用 当 每 第 一个 这 那 一 很 太 我 我们 他 "
        "她 他们 我想 我要 我想要 我觉得 我认为 想 要 想要 需要 请 帮我 请问 请你 你能 能不能 可以帮我 告诉我 号码是 "
        "电话是 名字是 地址是 叫做 的时候 的话"
    )
)
_MANDARIN_PARTICLES = tuple("吗呢吧啊呀嘛啦哦哟呗")
_MANDARIN_RESULTS = tuple(word_set("了 打开 关掉 关上 一遍 一下 一点"))
_MANDARIN_ASKS = re.compile(
    "什么|怎么|为什么|哪|谁|几点|几个|多少|多久|多大|能不能|是不是|有没有|可不可以|要不要|会不会|对不对|行不行|好不好"
)
_MANDARIN_SUBORDINATE = re.compile("^(如果|要是|因为|虽然|当|等|只要|除非)")
_MANDARIN_DIGITS = re.compile("[零〇一二两三四五六七八九幺十百千0-9]+$")
_MANDARIN_NUMBER_TOPIC = re.compile("号码?|电话|手机|卡|密码|验证码|编号")
_MANDARIN_NUMBER_LENGTH = 11
"""digits of a mobile number"""


def _mandarin(text: str) -> float:
    text = _PUNCTUATION_AND_SPACE.sub("", text)
    if text in _MANDARIN_COMPLETE:
        return COMPLETE
    if text.endswith(_MANDARIN_HESITATES):
        return HESITATES
    number = _MANDARIN_DIGITS.search(text)
    if number and (number.group() == text or _MANDARIN_NUMBER_TOPIC.search(text)):
        return LEANS_OPEN / 2 if len(number.group()) < _MANDARIN_NUMBER_LENGTH else CLOSED
    if text.endswith(_MANDARIN_PARTICLES) and len(text) > 1:
        return CLOSED + 0.04
    if text.endswith(_MANDARIN_HANGS):
        return HANGS
    if _MANDARIN_SUBORDINATE.match(text) and len(text) < 12:
        return LEANS_OPEN
    if _MANDARIN_ASKS.search(text) and len(text) > 3:
        return CLOSED
    if text.endswith(_MANDARIN_RESULTS) and len(text) > 3:
        return 0.8
    if text.endswith(("的", "得", "地")):
        return UNKNOWN - 0.1
    return UNKNOWN
