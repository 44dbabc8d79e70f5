"""What the language model reads while the text is still being written.

The model was trained on two layouts (CosyVoice 2, arXiv 2412.10117, section 2.3); in this one 5 text ids alternate with
15 speech ids, until the text is over: `sos, 5 text, 15 speech, 5 text, .., rest of the text, task, rest of the speech`.
After each 15th speech id the model is to answer with the *fill* id, which asks for the next 5 text ids and is not fed.

The released code has quirks in this path, which `as_released` reproduces; by default they are mended:

| released code | here |
|---|---|
| what was fed last is fed once more when the text ends after a fill | fed once |
| a prompt whose speech fills whole blocks goes on without new text, for a block of 30 ids | text first |
| prompt speech that the text is too short for is dropped | comes after `task`, as in training |
| a reserved id is an error | is never drawn |
| no limit | 20 speech ids per text id |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from talkover.engines import EngineFailed
from talkover.tts.cosyvoice2.configuration import LlmConfig
from talkover.tts.cosyvoice2.decoding import MAX_IDS_PER_TEXT_ID, Symbols


class BistreamDecoding:
    """`Decoding` for a text that comes in pieces: `add_text` any number of times, then `end_text`."""

    def __init__(
        self,
        config: LlmConfig,
        prompt_text: Sequence[int] = (),
        prompt_speech: Sequence[int] = (),
        *,
        as_released: bool = False,
    ) -> None:
        self.history: list[int] = []
        self._config = config
        self._symbols = Symbols.of(config)
        self._as_released = as_released
        self._n_text, self._n_speech = config.mix_ratio
        self._pending: tuple[int, ...] = (self._symbols.sos,)
        """not read yet, or, between a fill and the next text, what was read last"""
        self._text = deque(prompt_text)
        """text ids that have no place in the sequence yet"""
        self._prompt_speech = deque(self._symbols.speech(prompt_speech))
        self._arrived: deque[tuple[int, ...]] = deque()
        self._text_ended = False
        self._tail = False
        """all text and `task` are in the sequence"""
        self._running = False
        """the model is to read `_pending` and an id is to be drawn"""
        self._finished = False
        self._n_text_ids = self._n_emitted = 0
        self._next_fill = (len(prompt_speech) // self._n_speech + 1) * self._n_speech - len(prompt_speech)
        self._starts_with_text = not prompt_speech
        if not as_released and len(prompt_speech) % self._n_speech == 0:
            self._starts_with_text = True
            self._next_fill = self._n_speech

    def add_text(self, ids: Sequence[int]) -> None:
        """The next piece of the text. Raises ValueError after `end_text`."""
        if self._text_ended:
            raise ValueError("no text can follow the end of the text")
        self._n_text_ids += len(ids)
        self._arrived.append(tuple(ids))
        self._go_on()

    def end_text(self) -> None:
        """There is no more text."""
        self._text_ended = True
        self._go_on()

    @property
    def feed(self) -> tuple[int, ...]:
        return self._pending if self._running else ()

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def forced(self) -> int | None:
        at_border = not self._tail and len(self.history) == self._next_fill
        return self._config.fill if at_border else None

    @property
    def banned(self) -> tuple[int, ...]:
        eos, fill = self._config.eos, self._config.fill
        if self._as_released:
            return () if self._tail else (eos,)
        return tuple(range(eos + 1, self._config.n_outputs)) if self._tail else tuple(range(eos, fill))

    def advance(self, drawn: int) -> int | None:
        """See `Decoding`. Raises EngineFailed for an id that the released code stops at, only if `as_released`."""
        fill = self._config.fill
        if drawn == fill and not self._tail:
            self._next_fill = len(self.history) + self._n_speech + 1
            self.history.append(fill)
            self._running = False
            if not self._as_released:
                self._pending = ()  # what was read is not read again
            self._go_on()
            return None
        if drawn == self._config.eos and self._tail:
            self._end()
            return None
        if drawn >= self._config.eos:
            raise EngineFailed(f"should not get token {drawn}")
        self.history.append(drawn)
        self._n_emitted += 1
        self._pending = self._symbols.speech((drawn,))
        if self._tail and not self._as_released and self._n_emitted >= self._limit:
            self._end()
        return drawn

    @property
    def _limit(self) -> int:
        return MAX_IDS_PER_TEXT_ID * self._n_text_ids

    def _end(self) -> None:
        self._finished, self._running = True, False

    def _go_on(self) -> None:
        """Place what has arrived until the model has something to read or more text is needed."""
        while not self._running and not self._finished:
            if self._arrived:
                self._text.extend(self._arrived.popleft())
                self._place()
            elif self._text_ended:
                self._place_rest()
            else:
                return

    def _place(self) -> None:
        """Blocks of the prompt first; then 5 text ids where the sequence needs some."""
        while self._prompt_speech and len(self._text) >= self._n_text:
            self._pending += self._taken(self._text, self._n_text) + self._taken(self._prompt_speech, self._n_speech)
        if self._prompt_speech:
            return
        after_fill = bool(self.history) and self.history[-1] == self._config.fill
        needs_text = after_fill or (not self.history and self._starts_with_text)
        if not needs_text:
            self._running = True
        elif len(self._text) >= self._n_text:
            new = self._taken(self._text, self._n_text)
            self._pending = new if after_fill else self._pending + new
            self._running = True

    def _place_rest(self) -> None:
        if not self._as_released and self._n_text_ids == 0:
            self._end()
            return
        self._pending += (*self._taken(self._text, len(self._text)), self._symbols.task)
        if not self._as_released:
            self._pending += self._taken(self._prompt_speech, len(self._prompt_speech))
        self._tail = self._running = True

    @staticmethod
    def _taken(source: deque[int], n: int) -> tuple[int, ...]:
        return tuple(source.popleft() for _ in range(min(n, len(source))))
