"""Pronunciations in the 39 ARPABET phones of the shipped acoustic model.

A word is looked up in the shipped dictionary; names in camel case are put together from their parts, abbreviations are
spelled, and everything else is sounded out by espeak-ng, whose IPA is mapped to ARPABET. espeak-ng keeps one state per
process: only the process that builds a language model calls it, never the server.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from talkover.asr.corpus import camel_parts
from talkover.engines import EngineUnavailable

Phones = tuple[str, ...]
LettersToSound = Callable[[str], str]
"""a lower-case word -> its IPA, phonemes separated by `_`"""

MAX_VARIANTS = 4

_LETTERS: Mapping[str, str] = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip

_IPA: Mapping[str, str] = {
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G", "f": "F", "v": "V", "θ": "TH", "ð": "DH",
    "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "x": "K", "m": "M", "n": "N", "ŋ": "NG", "l": "L", "ɹ": "R",
    "r": "R", "j": "Y", "w": "W", "ɾ": "T", "ʔ": "T", "tʃ": "CH", "dʒ": "JH", "n̩": "AH N", "əl": "AH L",
    "iː": "IY", "i": "IY", "ɪ": "IH", "ᵻ": "IH", "ɛ": "EH", "e": "EH", "eɪ": "EY", "æ": "AE", "a": "AA", "aː": "AA",
    "ɑː": "AA", "ɑ": "AA", "ɔ": "AO", "ɔː": "AO", "oː": "AO", "oʊ": "OW", "o": "OW", "ʊ": "UH", "uː": "UW", "u": "UW",
    "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɜː": "ER", "ɚ": "ER", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "aɪɚ": "AY ER",
    "aɪə": "AY AH", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R",
    "iə": "IY AH",
}  # fmt: skip
"""espeak-ng's IPA of its voice en-us, without stress and length where that does not change the phone"""
_MARKS = re.compile("[ˈˌ ]")


def ipa_to_arpabet(ipa: str) -> Phones:
    """Phones of espeak-ng's IPA with `_` between phonemes; sounds English does not have are left out.

    >>> ipa_to_arpabet("t_ˈɔː_k_oʊ_v_ɚ")
    ('T', 'AO', 'K', 'OW', 'V', 'ER')
    """
    phones: list[str] = []
    for phoneme in _MARKS.sub("", ipa).split("_"):
        start = 0
        while start < len(phoneme):
            # the longest known piece: espeak-ng joins some vowels with a following r or l
            ends = range(len(phoneme), start, -1)
            end = next((end for end in ends if phoneme[start:end] in _IPA), start + 1)
            phones += _IPA.get(phoneme[start:end], "").split()
            start = end
    return tuple(phones)


def read_dictionary(path: Path) -> dict[str, tuple[Phones, ...]]:
    """All pronunciations of a CMU dictionary file, in its order. Raises EngineUnavailable when it cannot be read."""
    entries: dict[str, tuple[Phones, ...]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                word, *phones = line.split()
                word = word.partition("(")[0]
                entries[word] = (*entries.get(word, ()), tuple(phones))
    except OSError as error:
        raise EngineUnavailable(
            f"asr: the dictionary {path} cannot be read ({error.strerror}): pip install pocketsphinx"
        ) from error
    return entries


def pronunciations(
    word: str, written: str, dictionary: Mapping[str, tuple[Phones, ...]], letters_to_sound: LettersToSound
) -> tuple[Phones, ...]:
    """Up to `MAX_VARIANTS` pronunciations of a lower-case word, by documents written `written`; () for none."""
    variants: list[Phones] = list(dictionary.get(word, ()))
    parts = () if written.islower() else camel_parts(written)
    if len(parts) > 1:
        variants.append(tuple(phone for part in parts for phone in _part(part, dictionary, letters_to_sound)))
    elif word not in dictionary and written.isupper():
        variants.append(spelled(word))
    if word not in dictionary:
        stem, suffix = (word[:-2], word[-2:]) if word.endswith("'s") else (word, "")
        if suffix and stem in dictionary:
            variants += [(*phones, "Z") for phones in dictionary[stem]]
        elif any(vowel in stem for vowel in "aeiouy"):
            variants.append(ipa_to_arpabet(letters_to_sound(word)))
        else:
            variants.append(spelled(word))
    return tuple(phones for phones in dict.fromkeys(variants) if phones)[:MAX_VARIANTS]


def _part(part: str, dictionary: Mapping[str, tuple[Phones, ...]], letters_to_sound: LettersToSound) -> Phones:
    word = part.lower()
    if len(word) == 1 or (part.isupper() and len(part) <= 4):
        return spelled(word)
    return dictionary[word][0] if word in dictionary else ipa_to_arpabet(letters_to_sound(word))


def spelled(word: str) -> Phones:
    """The names of the letters, one after the other."""
    return tuple(phone for letter in word for phone in _LETTERS.get(letter, "").split())


def espeak_letters_to_sound() -> LettersToSound:
    """espeak-ng's rules for American English, as one function for this process. Raises EngineUnavailable."""
    import espeakng_loader

    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except OSError as error:
        raise EngineUnavailable(f"asr: espeak-ng cannot be loaded ({error}): pip install espeakng-loader") from error
    synchronous, ipa_separated_by_underscore, utf8 = 2, 0x02 | ord("_") << 8, 1
    if library.espeak_Initialize(synchronous, 0, espeakng_loader.get_data_path().encode(), 0) < 0:
        raise EngineUnavailable("asr: espeak-ng does not find its data: pip install --force-reinstall espeakng-loader")
    library.espeak_SetVoiceByName(b"en-us")
    text_to_phonemes = library.espeak_TextToPhonemes
    text_to_phonemes.restype = ctypes.c_char_p
    text_to_phonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]

    def letters_to_sound(word: str) -> str:
        remaining = ctypes.c_char_p(word.encode())
        ipa: bytes | None = text_to_phonemes(ctypes.byref(remaining), utf8, ipa_separated_by_underscore)
        return (ipa or b"").decode("utf-8")

    return letters_to_sound


def write_dictionary(entries: Iterable[tuple[str, tuple[Phones, ...]]], path: Path) -> None:
    """A CMU dictionary file: further pronunciations of a word are `word(2)`, `word(3)`."""
    with path.open("w", encoding="utf-8") as out:
        for word, variants in entries:
            for number, phones in enumerate(variants, start=1):
                out.write(f"{word if number == 1 else f'{word}({number})'} {' '.join(phones)}\n")
