"""What the flow's decoder remembers of the frames it has computed, and the buffers this takes.

At each of the solver's steps and in both rows of the guidance, every convolution keeps its last two input frames and
every attention the keys and values of earlier frames: 4.59 MB per frame, 229 MB per second of speech, in fp32 at full
size, half of that in bf16 or fp16. It lies in one buffer per utterance, made once for a given length and then handed
from utterance to utterance. The first frames are those of the voice's prompt, in every utterance with that voice the
same; a buffer that comes back to the same voice still holds them.

Behind the prompt the buffer is a ring: once it is full, a new block of frames takes the place of the oldest. As the
attention knows no positions, the order in the ring is of no importance. So the result is exact as long as the
utterance fits, and beyond that the context is bounded to the prompt and the last `context_frames` frames.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from talkover.tts.cosyvoice2.configuration import EULER_STEPS, EstimatorConfig
from talkover.tts.cosyvoice2.flow_decoder import LEFT

_ROUND_FRAMES = 250
"""buffers are made in steps of 5 s, so that voices with prompts of different length can share them"""
ROWS = 2
"""with the condition, and without it for the guidance"""


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """How much there is to remember per frame."""

    steps: int
    attentions: int
    heads: int
    head_dim: int
    conv_channels: tuple[int, ...]
    """input width of each convolution"""
    block: int
    """frames that are computed together and see each other"""

    @classmethod
    def of(cls, config: EstimatorConfig, attentions: int, conv_channels: list[int]) -> DecoderShape:
        heads, head_dim = config.num_heads, config.attention_head_dim
        return cls(EULER_STEPS, attentions, heads, head_dim, tuple(conv_channels), config.static_chunk_size)

    @property
    def values_per_frame(self) -> int:
        """Numbers kept of each frame, keys and values of all steps, layers and rows."""
        return 2 * self.steps * self.attentions * ROWS * self.heads * self.head_dim


class DecoderMemory:
    """The memory of one utterance. `begin_block`, all steps, `end_block`; used by one thread at a time."""

    def __init__(self, shape: DecoderShape, store: Tensor, prompt_frames: int, own_frames: int) -> None:
        """`store` (steps, attentions, 2, rows, heads, capacity, head_dim) with room for all; both in whole blocks."""
        self._shape, self._store = shape, store
        self._prompt_frames, self._ring = prompt_frames, own_frames
        self._tails = [
            [store.new_zeros(ROWS, LEFT, channels) for channels in shape.conv_channels] for _ in range(shape.steps)
        ]
        self.frames = 0
        """frames of finished blocks"""
        self._at = self._visible = 0

    @property
    def room(self) -> int:
        """Frames that can be remembered."""
        return self._prompt_frames + self._ring

    @property
    def forgetful(self) -> bool:
        """Whether frames have been overwritten, so that the result is no longer the exact one."""
        return self.frames > self.room

    def begin_block(self, frames: int) -> None:
        """The next `frames`, at most one block, are about to be computed."""
        own = self.frames - self._prompt_frames
        self._at = self.frames if own < 0 else self._prompt_frames + own % self._ring
        self._visible = min(self.frames + frames, self.room)

    def end_block(self, frames: int) -> None:
        self.frames += frames

    def skip(self, frames: int) -> None:
        """As if so many frames had been computed: for measuring what later ones cost."""
        self.frames += frames

    @property
    def store(self) -> Tensor:
        """All keys and values."""
        return self._store

    def step(self, index: int) -> StepContext:
        """What the estimator knows of earlier frames at a step."""
        return StepContext(self._store[index], self._tails[index], self._at, self._visible)

    def take_over(self, prompt: DecoderMemory, *, frames_are_there: bool) -> None:
        """Begin after the frames of `prompt`; `frames_are_there` where the buffer still holds them."""
        n = self.frames = prompt.frames
        self._tails = [list(step) for step in prompt._tails]  # replaced, never written to
        if not frames_are_there:
            self._store[:, :, :, :, :, :n] = prompt._store[:, :, :, :, :, :n]


class StepContext:
    """`FrameContext` of one block at one step."""

    def __init__(self, store: Tensor, tails: list[Tensor], at: int, visible: int) -> None:
        self._store, self._tails, self._at, self._visible = store, tails, at, visible

    def with_left(self, slot: int, x: Tensor) -> Tensor:
        x = torch.cat((self._tails[slot], x), dim=1)  # (2, 2 + T, C)
        self._tails[slot] = x[:, -LEFT:].clone()
        return x

    def attend(self, slot: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self._store[slot].unbind(0)  # (2, h, capacity, d_head) each
        end = self._at + k.shape[2]
        keys[:, :, self._at : end], values[:, :, self._at : end] = k, v
        return attention(q, keys[:, :, : self._visible], values[:, :, : self._visible])


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B, h, T, d), (B, h, L, d) twice -> (B, h, T, d): every query sees every key."""
    return scaled_dot_product_attention(q, k, v)


class BufferPool:
    """Buffers for utterances, used again; at most `keep` idle ones are held. Used by one thread at a time.

    Memory of the CPU is taken page by page as frames are written, so that a generous length costs nothing unused.
    """

    def __init__(self, shape: DecoderShape, like: Tensor, keep: int) -> None:
        """`like` gives device and dtype."""
        self._shape, self._like = shape, like
        self._idle: deque[Buffer] = deque(maxlen=keep)

    def take(self, capacity: int, prompt_key: str) -> Buffer:
        """A buffer of at least `capacity` frames, with luck one that still holds the frames of that prompt."""
        fitting = [buffer for buffer in self._idle if buffer.capacity >= capacity]
        if not fitting:
            s, rounded = self._shape, math.ceil(capacity / _ROUND_FRAMES) * _ROUND_FRAMES
            store = self._like.new_empty(s.steps, s.attentions, 2, ROWS, s.heads, rounded, s.head_dim)
            return Buffer(store, "")
        smallest = min(fitting, key=lambda buffer: buffer.capacity)
        buffer = next((buffer for buffer in fitting if buffer.prompt_key == prompt_key), smallest)
        self._idle.remove(buffer)
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """For the next utterance; the longest idle one goes when there are too many."""
        self._idle.append(buffer)

    def __len__(self) -> int:
        return len(self._idle)


@dataclass(slots=True, eq=False)
class Buffer:
    """Room for the keys and values of one utterance."""

    store: Tensor
    """(steps, attentions, 2, rows, heads, capacity, head_dim)"""
    prompt_key: str
    """whose frames come first; "" for nobody's"""

    @property
    def capacity(self) -> int:
        return self.store.shape[5]
