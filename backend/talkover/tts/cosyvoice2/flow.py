"""Speech ids to mel: encoder, speaker, prompt and solver put together, for a whole utterance or block by block.

`whole` is the released code's call: everything at once, each time anew. The incremental form computes every frame
once. Its blocks are those of the streaming mask, 25 ids counted from the first id of the prompt, and a block can be
computed as soon as the three ids behind it are known. So the result does not depend on how the ids arrive, and is
what `whole(..., streaming=True)` gives.

    voice = flow.prompt_state(prompt)       # once per voice: the blocks that lie in the prompt
    state = flow.start(voice)               # once per utterance
    for ids in ...:
        for mel in flow.extend(state, ids): # None after a solver step, a mel of a block when it is done
            ...
    flow.extend(state, (), last=True)
    state.close()                           # also in the middle of anything

A step is the unit of work: between two of them a caller may turn to another utterance, or drop this one. Calls on one
`Flow` come from one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from talkover.tts.cosyvoice2.configuration import FlowConfig
from talkover.tts.cosyvoice2.flow_encoder import EncoderMemory, FlowEncoder, WholeInput, chunk_mask
from talkover.tts.cosyvoice2.flow_matching import FlowMatching
from talkover.tts.cosyvoice2.flow_memory import ROWS, Buffer, BufferPool, DecoderMemory
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt

DEFAULT_CONTEXT_S = 30.0
_PROMPTS_KEPT = 8
_BUFFERS_KEPT = 4


@dataclass(slots=True, eq=False)
class PromptState:
    """What all utterances with one voice begin with. Never changed."""

    key: str
    speaker: Tensor
    """(1, 80), projected"""
    mel: Tensor
    """(1, M, 80)"""
    prompt_ids: int
    encoder: EncoderMemory
    decoder: DecoderMemory
    """of the blocks in the prompt alone, in a buffer of just that length"""
    remaining: tuple[int, ...]
    """ids of the prompt behind the last of these blocks"""


@dataclass(slots=True, eq=False)
class FlowState:
    """One utterance. Made by `Flow.start`."""

    prompt: PromptState
    encoder: EncoderMemory
    decoder: DecoderMemory
    pending: list[int]
    """ids no block has been computed of yet; those of the prompt at first"""
    _buffer: Buffer | None
    _pool: BufferPool = field(repr=False)
    extending: bool = False
    """an iterator of `extend` is not at its end"""
    finished: bool = False

    @property
    def closed(self) -> bool:
        return self._buffer is None

    @property
    def buffer_bytes(self) -> int:
        """Memory held for keys and values, used or not."""
        return 0 if self._buffer is None else self._buffer.store.nbytes

    def close(self) -> None:
        """Free the memory. May be called twice, and in the middle of a block."""
        if self._buffer is not None:
            self._pool.give_back(self._buffer)
            self._buffer = None


class Flow(nn.Module):
    """Module names are the keys of `flow.pt`."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        self.input_embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.spk_embed_dim, config.output_size)
        self.encoder = FlowEncoder(config)
        self.encoder_proj = nn.Linear(config.encoder.output_size, config.output_size)
        self.decoder = FlowMatching(config)
        self._prompts: OrderedDict[str, PromptState] = OrderedDict()
        self.pool: BufferPool | None = None
        """idle ones; made with the first utterance, when device and dtype are known"""
        self._context_frames = self._in_blocks(DEFAULT_CONTEXT_S)

    # ---------------------------------------------------------------------------------------------- whole utterances

    @torch.inference_mode()
    def whole(
        self,
        ids: Sequence[int],
        prompt_ids: Sequence[int],
        prompt_mel: Tensor,
        speaker: Tensor,
        *,
        streaming: bool,
        finalize: bool,
    ) -> Tensor:
        """(1, 80, T) float32: of `ids`, computed anew from the first id of the prompt, as the released code does.

        `prompt_mel` (1, M, 80), `speaker` (1, 192). `streaming` lays the chunk mask over everything; without
        `finalize` the last three ids are looked at but not spoken.
        """
        chunk = self.config.encoder.static_chunk_size * self.config.token_mel_ratio
        every = [*prompt_ids, *ids]
        spoken = len(every) if finalize else len(every) - self.config.pre_lookahead_len
        mu = self._mu(every[:spoken], every[spoken:], WholeInput(), chunked=streaming)  # (1, L, 80)
        cond = self._condition(prompt_mel.to(mu), 0, mu.shape[1])
        mask = chunk_mask(mu.shape[1], chunk, mu.device) if streaming else None
        mel = self.decoder.solve(mu, self.speaker(speaker), cond, mask)
        return mel[:, prompt_mel.shape[1] :].transpose(1, 2)

    # ---------------------------------------------------------------------------------------------------- incremental

    def limit_context(self, seconds: float) -> None:
        """How much of its own speech an utterance sees, in whole blocks; the prompt is seen always.

        Exact up to that length. Takes effect with the next utterance. Raises ValueError below one block.
        """
        frames = self._in_blocks(seconds)
        if frames < self.decoder.shape.block:
            raise ValueError(f"seconds must be at least one block, {self._block_s()} s, got {seconds}")
        self._context_frames = frames

    def bytes_per_second(self) -> int:
        """Memory an utterance takes for each second it sees, prompt included."""
        item = self.encoder_proj.weight.element_size()
        frames_per_s = self.config.input_frame_rate * self.config.token_mel_ratio
        return self.decoder.shape.values_per_frame * frames_per_s * item

    def prompt_state(self, prompt: VoicePrompt) -> PromptState:
        """Of a voice, from the cache or made at once."""
        for state in self.prompt_steps(prompt):
            if state is not None:
                return state
        raise AssertionError("prompt_steps ends with a state")

    @torch.inference_mode()
    def prompt_steps(self, prompt: VoicePrompt) -> Iterator[PromptState | None]:
        """The same step by step: None after each, the state at last."""
        if (known := self._prompts.get(prompt.key)) is not None:
            self._prompts.move_to_end(prompt.key)
            yield known
            return
        block = self.config.encoder.static_chunk_size
        ahead = self.config.pre_lookahead_len
        ids = prompt.flow_speech_ids
        n_ids = max(0, len(ids) - ahead) // block * block
        frames = n_ids * self.config.token_mel_ratio
        s = self.decoder.shape
        store = self.encoder_proj.weight.new_empty(s.steps, s.attentions, 2, ROWS, s.heads, frames, s.head_dim)
        state = PromptState(
            key=prompt.key,
            speaker=self.speaker(prompt.speaker),
            mel=prompt.mel.to(self.encoder_proj.weight),
            prompt_ids=len(ids),
            encoder=EncoderMemory(self.config, self.encoder_proj.weight),
            decoder=DecoderMemory(self.decoder.shape, store, frames, 0),
            remaining=ids[n_ids:],
        )
        for start in range(0, n_ids, block):
            end = start + block
            for mel in self._block(state, state.encoder, state.decoder, ids[start:end], ids[end : end + ahead]):
                if mel is None or end < n_ids:
                    yield None
        self._prompts[prompt.key] = state
        while len(self._prompts) > _PROMPTS_KEPT:
            self._prompts.popitem(last=False)
        yield state

    @torch.inference_mode()
    def start(self, prompt: PromptState) -> FlowState:
        """An utterance with that voice. Close it."""
        if self.pool is None:
            self.pool = BufferPool(self.decoder.shape, self.encoder_proj.weight, keep=_BUFFERS_KEPT)
        frames = prompt.decoder.frames
        buffer = self.pool.take(frames + self._context_frames, prompt.key)
        decoder = DecoderMemory(self.decoder.shape, buffer.store, frames, self._context_frames)
        decoder.take_over(prompt.decoder, frames_are_there=buffer.prompt_key == prompt.key)
        buffer.prompt_key = prompt.key
        return FlowState(
            prompt=prompt,
            encoder=prompt.encoder.copy(),
            decoder=decoder,
            pending=list(prompt.remaining),
            _buffer=buffer,
            _pool=self.pool,
        )

    def ids_until_block(self, state: FlowState) -> int:
        """How many more ids the next block needs; 0 when it can be computed."""
        return max(0, self.config.encoder.static_chunk_size + self.config.pre_lookahead_len - len(state.pending))

    def extend(self, state: FlowState, ids: Sequence[int], *, last: bool = False) -> Iterator[Tensor | None]:
        """Take further ids and compute the blocks that can be: None after a step, mel (1, 80, T) float32 after a block.

        The ids are taken when the iterator is first asked. With `last` everything left is computed; the last block may
        be a short one. Raises RuntimeError when the state is closed or finished, or an earlier iterator not at its end.
        """
        if state.closed or state.finished or state.extending:
            raise RuntimeError("the utterance is over" if not state.extending else "the utterance is being extended")
        state.extending = True
        return self._extended(state, ids, last)

    @torch.inference_mode()
    def _extended(self, state: FlowState, ids: Sequence[int], last: bool) -> Iterator[Tensor | None]:
        block, ahead = self.config.encoder.static_chunk_size, self.config.pre_lookahead_len
        state.pending.extend(ids)
        while len(state.pending) >= block + ahead or (last and state.pending):
            now, then = state.pending[:block], state.pending[block : block + ahead]
            prompt_frames = state.prompt.mel.shape[1] - state.decoder.frames
            for mel in self._block(state.prompt, state.encoder, state.decoder, now, then):
                if state.closed:
                    return
                yield None if mel is None or mel.shape[1] <= prompt_frames else mel[:, max(0, prompt_frames) :].mT
            del state.pending[:block]
        state.finished, state.extending = last, False

    def _block(
        self,
        prompt: PromptState,
        encoder: EncoderMemory,
        decoder: DecoderMemory,
        ids: Sequence[int],
        ahead: Sequence[int],
    ) -> Iterator[Tensor | None]:
        """The next at most 25 ids, with those that follow: None after each step, at last mel (1, 2N, 80)."""
        encoder.reserve(len(ids))
        mu = self._mu(ids, ahead, encoder, chunked=False)  # (1, 2N, 80)
        encoder.advance(len(ids))
        cond = self._condition(prompt.mel, decoder.frames, mu.shape[1])
        yield from self.decoder.solve_block(decoder, mu, prompt.speaker, cond)

    # -------------------------------------------------------------------------------------------------------- parts

    def speaker(self, speaker: Tensor) -> Tensor:
        """(1, 192) -> (1, 80)"""
        speaker = normalize(speaker.to(self.encoder_proj.weight.device).float(), dim=1)
        return self.spk_embed_affine_layer(speaker.to(self.encoder_proj.weight.dtype))

    def _mu(
        self, ids: Sequence[int], ahead: Sequence[int], context: WholeInput | EncoderMemory, *, chunked: bool
    ) -> Tensor:
        """N ids and those that follow -> (1, 2N, 80)"""
        device = self.encoder_proj.weight.device
        x = self.input_embedding(torch.tensor([[*ids, *ahead]], device=device).clamp(min=0))  # (1, N + 3, d_in)
        return self.encoder_proj(self.encoder(x[:, : len(ids)], x[:, len(ids) :], context, chunked=chunked))

    @staticmethod
    def _condition(prompt_mel: Tensor, start: int, frames: int) -> Tensor:
        """(1, frames, 80) from frame `start`: the prompt's mel, then zeros."""
        known = prompt_mel[:, start : start + frames]
        return pad(known, (0, 0, 0, frames - known.shape[1]))

    def _block_s(self) -> float:
        return self.config.encoder.static_chunk_size / self.config.input_frame_rate

    def _in_blocks(self, seconds: float) -> int:
        """Frames of the whole blocks in `seconds`."""
        return int(seconds / self._block_s() + 1e-9) * self.decoder.shape.block
