"""What the language model reads and which ids it may draw, for a text that is known from the beginning.

A decoding is a state machine without tensors: `feed` is what the model has to read next, `advance` takes what was drawn
from its answer. `bistream.py` has the one for a text that is still being written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from talkover.tts.cosyvoice2.configuration import LlmConfig

MIN_IDS_PER_TEXT_ID = 2
MAX_IDS_PER_TEXT_ID = 20
"""how many speech ids an id of the text gives; the released code's bounds"""


@dataclass(frozen=True, slots=True)
class Symbols:
    """One numbering for all that can be fed: text ids, then speech ids, then the two marks of the sequence."""

    n_text: int
    n_speech: int
    """with the three ids beyond speech"""

    @staticmethod
    def of(config: LlmConfig) -> Symbols:
        return Symbols(config.qwen.vocab_size, config.n_outputs)

    @property
    def sos(self) -> int:
        """Start of the sequence."""
        return self.n_text + self.n_speech

    @property
    def task(self) -> int:
        """From here on it is speech."""
        return self.n_text + self.n_speech + 1

    def speech(self, ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(self.n_text + number for number in ids)


class Decoding(Protocol):
    """One request to the language model."""

    history: list[int]
    """what was drawn, the newest last: the context of the repetition rule"""

    @property
    def feed(self) -> tuple[int, ...]:
        """Symbols to be read next, all of them in one go or in pieces; empty while there is nothing to do."""
        ...

    @property
    def finished(self) -> bool: ...

    @property
    def forced(self) -> int | None:
        """The id that counts as drawn, whatever the model says; none: draw."""
        ...

    @property
    def banned(self) -> tuple[int, ...]:
        """Ids that must not be drawn now."""
        ...

    def advance(self, drawn: int) -> int | None:
        """Take the id drawn after `feed` was read; the speech id this adds to the utterance, if it adds one."""
        ...


class UtteranceDecoding:
    """`sos, text of the prompt, text, task, speech of the prompt`, and then id by id."""

    def __init__(
        self,
        config: LlmConfig,
        text: Sequence[int],
        prompt_text: Sequence[int] = (),
        prompt_speech: Sequence[int] = (),
        *,
        as_released: bool = False,
        n_ids: tuple[int, int] | None = None,
    ) -> None:
        """`n_ids`: least and most speech ids; none: by the length of `text`.

        `as_released`: before the least number of ids only the end of speech is banned, so that the two other ids beyond
        speech can end an utterance too early. Otherwise all three are.
        """
        symbols = Symbols.of(config)
        self.history: list[int] = []
        self.min_ids, self.max_ids = n_ids or (MIN_IDS_PER_TEXT_ID * len(text), MAX_IDS_PER_TEXT_ID * len(text))
        self._config = config
        self._symbols = symbols
        self._as_released = as_released
        self._ended = self.max_ids == 0
        self._feed = (symbols.sos, *prompt_text, *text, symbols.task, *symbols.speech(prompt_speech))

    @property
    def feed(self) -> tuple[int, ...]:
        return () if self._ended else self._feed

    @property
    def finished(self) -> bool:
        return self._ended

    @property
    def forced(self) -> int | None:
        return None

    @property
    def banned(self) -> tuple[int, ...]:
        eos = self._config.eos
        if len(self.history) >= self.min_ids:
            return ()
        return (eos,) if self._as_released else tuple(range(eos, self._config.n_outputs))

    def advance(self, drawn: int) -> int | None:
        if drawn >= self._config.eos:
            self._ended = True
            return None
        self.history.append(drawn)
        self._feed = self._symbols.speech((drawn,))
        self._ended = len(self.history) >= self.max_ids
        return drawn
