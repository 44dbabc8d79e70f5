"""Words as retrieval sees them: tokens, stems, spellings that sound alike. Pure text, no state.

The user's words come from a recogniser, so "open a i", "web sockets" and "micro phone" have to meet `OpenAI`,
`websocket` and `microphone`. Single letters in a row are one word, Chinese and Japanese text becomes character bigrams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:['’][^\W\d_]+)?")
_CJK_CHARACTER = re.compile(rf"[{_CJK}]")

_CJK_STOPWORDS = re.compile("请问|你们|我们|什么|怎么|哪里|多少|可以|一下|[你我的了吗呢吧啊是请能]")

# Words that carry no subject; contractions without their apostrophe, as `plain_words` returns them.
_STOPWORDS = """
    a about actually again ain all also am an and any anybody anyone anything are aren as at be because been before
    being best bit both but by can cannot cant come could couldnt did didnt do does doesnt doing done dont down each
    else ever every everything explain few for from further get gets give go going got had happen happens has have
    havent having he hello help her here hers hey hi him his hm hmm how i id if ill im in into is isnt it its ive
    just kind know let lets like little lot make many may maybe me mean means might mind more most much must my
    myself need never no not now of off oh ok okay on once one only or other our ours out over own perhaps please
    possible quite really right said same say she should shouldnt so some somebody somehow something sort such sure
    tell than thank thanks that thats the their them then there theres these they thing things think this those
    through to too uh um under understand until up us use used using very want wanted was wasnt way we well were
    weve what whatever whats when where wheres which while who whos why will with without wonder wondering wont
    would wouldnt yeah yes you youll your youre yours yourself
"""

# Everyday words that stand for one another. General English, not the vocabulary of any document.
_SYNONYMS = """
    cost price pay money charge fee expensive cheap free
    mic microphone
    headset earphone headphone earbud
    computer laptop pc machine desktop
    phone mobile smartphone cellphone
    gpu graphics
    internet wifi online offline network
    quick fast speed quicker faster slow slower pace latency lag delay
    volume loud quiet
    gpt chatgpt ai brain llm model
    url address link
    interrupt stop halt silence
    begin start launch run boot
    install setup
    build write create develop
    error mistake problem fail crash broken bug wrong
    work function
    password secret key token credential
    document file page text
    store keep save record recording
    safe secure safety privacy private
    people person user human
    open opening hour
    buy order purchase
    child kid
    picture photo image
    hear listen
    talk speak chat
    answer reply response respond
    add put include
    change switch alter modify set adjust
    choose pick select
    licence license
    recognise recognize understand transcribe
    recogniser recognizer recognition
    config configure configuration setting option
    connect connection link attach
    finish finished complete
    pause wait silence silent
    remember memory
    continue resume
    robot robotic synthetic mechanical
    test testing
    chinese mandarin
    tool function
""".strip()


def contains_cjk(text: str) -> bool:
    """Whether any Chinese or Japanese character is in `text`."""
    return _CJK_CHARACTER.search(text) is not None


def plain_words(text: str) -> list[str]:
    """Lower-case words as spoken, without punctuation and apostrophes; CJK runs are kept whole."""
    return [match.group().lower().replace("'", "").replace("’", "") for match in _TOKEN.finditer(text)]


def tokens(text: str) -> list[str]:
    """Words for retrieval: letters in a row joined ("l l m" is `llm`), CJK runs as character bigrams.

    Chinese words without a subject fall out here, since bigrams across them would mean nothing.
    """
    joined: list[str] = []
    letters: list[str] = []
    for word in plain_words(text):
        if len(word) == 1 and word.isascii() and word.isalpha():
            letters.append(word)
            continue
        joined += _joined_letters(letters)
        letters = []
        if _CJK_CHARACTER.match(word):
            runs = filter(None, _CJK_STOPWORDS.split(word))
            joined += [run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1))]
        else:
            joined.append(word)
    return joined + _joined_letters(letters)


def _joined_letters(letters: list[str]) -> list[str]:
    return ["".join(letters)] if letters else []


def stem(word: str) -> str:
    """A light English stem: plurals, -ing, -ed and -er forms fall together, short words stay as they are.

    >>> [stem(word) for word in ("stories", "stopped", "headphones", "running", "voices", "using", "class")]
    ['story', 'stop', 'headphone', 'run', 'voice', 'us', 'class']
    """
    if len(word) <= 3 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in ("ing", "ed"):
        base = word[: -len(suffix)]
        if (
            word.endswith(suffix)
            and not word.endswith("eed")
            and len(base) >= 2
            and any(letter in "aeiouy" for letter in base)
        ):
            return _undoubled(base)
    return word[:-1] if word.endswith("e") and len(word) > 4 and word[-2] in "cgsuvzt" else word


def _undoubled(base: str) -> str:
    if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
        return base[:-1]
    return base[:-1] if base.endswith("e") and len(base) > 4 else base


_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(?:[kgp](?=n)|w(?=r)|p(?=s))", ""),
        (r"tch|ch|sh|tion|sion|cia", "x"),
        (r"ph|gh$", "f"),
        (r"gh", ""),
        (r"th", "0"),
        (r"dge|dg", "j"),
        (r"g(?=[eiy])", "j"),
        (r"c(?=[eiy])", "s"),
        (r"ck|[cq]", "k"),
        (r"x$|x(?=[^aeiou])", "ks"),
        (r"z", "s"),
        (r"v", "f"),
        (r"wh", "w"),
        (r"b$", "p"),
        (r"d$", "t"),
    )
)
_VOWELS = re.compile(r"[aeiouyhw]+")
_REPEATED = re.compile(r"(.)\1+")


def phonetic_key(word: str) -> str:
    """How an English word sounds, roughly: its consonants in sound classes, an initial vowel as `a`.

    In the manner of Metaphone (L. Philips, 1990), coarser: words that a recogniser confuses share a key.

    >>> phonetic_key("weather") == phonetic_key("whether"), phonetic_key("ollama") == phonetic_key("alama")
    (True, True)
    """
    sound = word
    for pattern, replacement in _SOUNDS:
        sound = pattern.sub(replacement, sound)
    if not sound:
        return ""
    head, tail = sound[0], _VOWELS.sub("", sound[1:])
    return _REPEATED.sub(r"\1", ("a" if head in "aeiou" else head) + tail)


def bigrams(word: str) -> frozenset[str]:
    """Letter pairs of a word with its borders marked; the share two words have in common is their likeness."""
    framed = f"_{word}_"
    return frozenset(framed[at : at + 2] for at in range(len(framed) - 1))


def likeness(one: str, other: str) -> float:
    """Dice coefficient of the letter pairs of two words: 1 for the same word, 0 for nothing in common."""
    pairs, others = bigrams(one), bigrams(other)
    return 2 * len(pairs & others) / (len(pairs) + len(others))


def _synonym_table(lines: Iterable[str]) -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in lines:
        group = {stem(word) for word in line.split()}
        for word in group:
            table.setdefault(word, set()).update(group - {word})
    return {word: frozenset(others) for word, others in table.items()}


STOPWORDS = frozenset(_STOPWORDS.split())

SYNONYMS = _synonym_table(_SYNONYMS.splitlines())
"""stem -> stems that may stand for it"""
