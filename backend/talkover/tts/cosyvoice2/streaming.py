"""From speech ids, as they come, to samples: the flow and the vocoder of one utterance, a step at a time.

`IncrementalSound` computes everything once, block by block. Its result does not depend on when ids arrive, so a block
is made as soon as its 25 ids and the three behind them are there; larger hops would save nothing. `ReleasedSound` does
what the released code does: hops of 25, 50, 100, 100 ids, each of which computes the whole utterance anew.

Blocks are counted from the first id of the prompt. So a prompt that leaves only a few ids free in its last block gives
a first chunk after these few ids: `aligned_prompt` cuts a prompt to such a length.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from talkover.messages import Samples
from talkover.tts.cosyvoice2.configuration import MEL_FRAMES_PER_TOKEN, SPEECH_TOKENS_PER_S
from talkover.tts.cosyvoice2.flow import Flow, FlowState, PromptState
from talkover.tts.cosyvoice2.hift_source import Noise
from talkover.tts.cosyvoice2.vocoder import Vocoder
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt

HOP_IDS = 25
_MAX_HOP_IDS = 100
_LOOKAHEAD_IDS = 3
_LEAST_FIRST_FRAMES = 4
"""80 ms: a shorter first chunk is not worth its own overhead"""


# ------------------------------------------------------------------------------------------------- the first chunk


def first_block_ids(ids_per_s: float, block_s: float, lag_frames: int) -> int:
    """How many generated ids the first block should have, 1 to 22: few, but so that playback does not run dry.

    `ids_per_s` is what the language model gives, `block_s` the time to make a block of 25 ids, `lag_frames` how far
    the first chunk's samples stay behind its frames. The sound of the first block must last until the second is made.
    With more than 22, the block before it would look ahead at generated ids, and could not be computed with the prompt.
    """
    wait_s = HOP_IDS / ids_per_s + block_s
    frames_per_s = SPEECH_TOKENS_PER_S * MEL_FRAMES_PER_TOKEN
    frames = lag_frames + max(_LEAST_FIRST_FRAMES, math.ceil(wait_s * frames_per_s))
    return min(HOP_IDS - _LOOKAHEAD_IDS, math.ceil(frames / MEL_FRAMES_PER_TOKEN))


def aligned_prompt(prompt: VoicePrompt, first_ids: int) -> VoicePrompt:
    """`prompt` without up to 24 of its first ids, for the flow only, so that the first block has `first_ids` new ids.

    A prompt that would become shorter than one block stays as it is: it is dear, and so is its end.
    """
    n = len(prompt.flow_speech_ids)
    cut = (n + first_ids) % HOP_IDS
    if n - cut < HOP_IDS:
        return prompt
    return replace(
        prompt,
        flow_speech_ids=prompt.flow_speech_ids[cut:],
        mel=prompt.mel[:, MEL_FRAMES_PER_TOKEN * cut :].contiguous(),
        key=f"{prompt.key}-{cut}" if cut else prompt.key,
    )


# ----------------------------------------------------------------------------------------------------- incremental


class IncrementalSound:
    """One utterance. Used by one thread at a time; close it, at any point."""

    def __init__(
        self, flow: Flow, vocoder: Vocoder, prompt: VoicePrompt, *, seed: int = 0, noise: Noise | None = None
    ) -> None:
        self._flow = flow
        self._arrived: list[int] = []
        self._ended = self._working = self._closed = False
        self._state: FlowState | None = None
        self._stream = vocoder.start(noise, seed=seed)
        self._steps = self._all_steps(prompt)
        self.finished = False
        """all samples have been given"""
        self._n_ids = 0
        self.unspoken_ids = 0
        """ids no sound was made of"""

    @property
    def ready(self) -> bool:
        """Whether a step can be made now."""
        if self.finished or self._closed:
            return False
        return self._working or self._ended or self._state is None or self._lacking() == 0

    def push(self, ids: Sequence[int]) -> None:
        self._arrived.extend(ids)
        self._n_ids += len(ids)
        self.unspoken_ids += len(ids)

    def end(self) -> None:
        """No more ids follow."""
        self._ended = True

    def step(self) -> Samples | None:
        """A solver step, or the vocoder's part of a block; its samples when there are any."""
        return next(self._steps) if self.ready else None

    def close(self) -> None:
        """Free what is held."""
        self._closed = True
        self._steps.close()
        if self._state is not None:
            self._state.close()

    def _lacking(self) -> int:
        assert self._state is not None
        return max(0, self._flow.ids_until_block(self._state) - len(self._arrived))

    def _all_steps(self, prompt: VoicePrompt) -> Generator[Samples | None]:
        voice: PromptState | None = None
        for voice in self._flow.prompt_steps(prompt):
            if voice is None:
                yield None
        assert voice is not None
        state = self._state = self._flow.start(voice)
        while True:
            ids, self._arrived, last = self._arrived, [], self._ended
            if last and self._n_ids == 0:
                self.finished = True
                yield None
            self._working = True
            made: Tensor | None = None
            for mel in self._flow.extend(state, ids, last=last):
                if made is not None:
                    yield self._samples(made)
                    made = None
                yield None
                made = mel
            self._working = False
            if last:
                self.finished = True
                yield None if made is None else self._samples(made, last=True)
                return
            yield None if made is None else self._samples(made)

    def _samples(self, mel: Tensor, *, last: bool = False) -> Samples:
        self.unspoken_ids -= mel.shape[2] // MEL_FRAMES_PER_TOKEN
        return self._stream.extend(mel, last=last)


# ------------------------------------------------------------------------------------------------ the released code


@dataclass(frozen=True, slots=True)
class Hop:
    """One call of the released code: sound of ids from `start` on, with ids up to `end` known."""

    start: int
    end: int
    last: bool


class ReleasedHops:
    """Which calls the released code makes, for a number of prompt ids. Pure."""

    def __init__(self, prompt_ids: int, hop: int = HOP_IDS) -> None:
        self.hop = hop
        self._pad = -prompt_ids % hop
        self._start = 0

    def next(self, available: int, *, ended: bool) -> Hop | None:
        """With `available` ids of the utterance known, all of them when `ended`; None: wait, or nothing is left."""
        need = self.hop + (self._pad if self._start == 0 else 0)
        if available - self._start >= need + _LOOKAHEAD_IDS:
            hop = Hop(self._start, self._start + need + _LOOKAHEAD_IDS, last=False)
            self._start += need
            self.hop = min(_MAX_HOP_IDS, 2 * self.hop)
            return hop
        if ended and available > self._start:
            hop = Hop(self._start, available, last=True)
            self._start = available
            return hop
        return None


class ReleasedSound:
    """One utterance as the released code computes it, with its hops and its full mask in the last call."""

    def __init__(
        self, flow: Flow, vocoder: Vocoder, prompt: VoicePrompt, *, seed: int = 0, noise: Noise | None = None
    ) -> None:
        self._flow, self._prompt = flow, prompt
        self._hops = ReleasedHops(len(prompt.flow_speech_ids))
        self._ids: list[int] = []
        self._next: Hop | None = None
        self._ended = False
        self._stream = vocoder.start(noise, seed=seed)
        self.finished = False
        self.unspoken_ids = 0

    @property
    def ready(self) -> bool:
        if self._next is None and not self.finished:
            self._next = self._hops.next(len(self._ids), ended=self._ended)
        return self._next is not None or (self._ended and not self.finished)

    def push(self, ids: Sequence[int]) -> None:
        self._ids.extend(ids)
        self.unspoken_ids += len(ids)

    def end(self) -> None:
        self._ended = True

    def step(self) -> Samples | None:
        """A whole hop; the released code cannot stop within one."""
        if not self.ready:
            return None
        hop, self._next = self._next, None
        self.finished = hop is None or hop.last
        return None if hop is None else self._stream.extend(self.mel(hop), last=hop.last)

    def mel(self, hop: Hop) -> Tensor:
        """(1, 80, T): what a call gives."""
        mel = self._flow.whole(
            self._ids[: hop.end],
            self._prompt.flow_speech_ids,
            self._prompt.mel,
            self._prompt.speaker,
            streaming=not hop.last,
            finalize=hop.last,
        )[:, :, MEL_FRAMES_PER_TOKEN * hop.start :]
        self.unspoken_ids -= mel.shape[2] // MEL_FRAMES_PER_TOKEN
        return mel

    def close(self) -> None:
        """Nothing is held between two calls but a few frames."""
        self.finished = True
