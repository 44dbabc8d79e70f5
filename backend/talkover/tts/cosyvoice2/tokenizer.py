"""Text to the ids the language model reads: the byte-level BPE of Qwen2 with the marks that CosyVoice2 adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.configuration import TEXT_FOLDER

END_OF_PROMPT = "<|endofprompt|>"
"""ends an instruction"""
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    END_OF_PROMPT,
    "[breath]",
    "<strong>",
    "</strong>",
    "[noise]",
    "[laughter]",
    "[cough]",
    "[clucking]",
    "[accent]",
    "[quick_breath]",
    "<laughter>",
    "</laughter>",
    "[hissing]",
    "[sigh]",
    "[vocalized-noise]",
    "[lipsmack]",
    "[mn]",
)
"""their ids follow those of vocab.json in this order, as the released code adds them: 151643 to 151662"""
MARKS = SPECIAL_TOKENS[4:]
"""what may be written into a text: wrapping (`<strong>..</strong>`) and in one place (`[laughter]`)"""

# How Qwen2 cuts a text before the merges: contractions, words with what precedes them, digits, symbols, blanks.
_PRE_TOKENS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class TextToken:
    """One id and the characters it stands for; a character of several ids belongs to each of them."""

    id: int
    start: int
    end: int


class TextTokenizer:
    """Made once per model folder; may be used from many threads."""

    def __init__(self, folder: Path, vocab_size: int) -> None:
        """`folder`: with vocab.json and merges.txt; `vocab_size`: rows of the embedding. Raises EngineUnavailable."""
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
        try:
            self._tokenizer = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
        except Exception as error:  # the library raises nothing more special
            raise EngineUnavailable(f"{vocab} and {merges} cannot be loaded: {error}") from error
        n_base = self._tokenizer.get_vocab_size()
        self._tokenizer.normalizer = normalizers.NFC()
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_PRE_TOKENS), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self._tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
        for offset, token in enumerate(SPECIAL_TOKENS):
            if (got := self._tokenizer.token_to_id(token)) != n_base + offset:
                raise EngineUnavailable(f"{vocab}: the id of {token} must be {n_base + offset}, got {got}")
        if n_base + len(SPECIAL_TOKENS) > vocab_size:
            raise EngineUnavailable(
                f"{vocab}: {n_base} entries and {len(SPECIAL_TOKENS)} marks must fit into vocab_size, got {vocab_size}"
            )
        self.end_of_prompt = n_base + SPECIAL_TOKENS.index(END_OF_PROMPT)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; marks in it become single ids. Nothing is put before or after."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_with_offsets(self, text: str) -> list[TextToken]:
        """The same ids with the characters of `text` they come from."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            TextToken(number, start, end) for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        ]


def load_tokenizer(model_folder: Path, vocab_size: int) -> TextTokenizer:
    """Of a folder in the official layout. Raises EngineUnavailable."""
    return TextTokenizer(model_folder / TEXT_FOLDER, vocab_size)
