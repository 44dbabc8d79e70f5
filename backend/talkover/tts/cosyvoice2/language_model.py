"""The text-speech language model: a Qwen2 body that reads text and speech ids and answers with speech ids.

Requests share the weights and nothing else: each has its slot of the cache and its own random numbers. One forward
serves all requests that are decoding (`LanguageModel.step`); what a request reads at once, its prompt, is read in
pieces between the steps of the others.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2Model
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from talkover.tts.cosyvoice2.checkpoint import load_strict
from talkover.tts.cosyvoice2.configuration import LlmConfig, QwenConfig, SamplingConfig
from talkover.tts.cosyvoice2.decode_step import GraphedStep, StepInputs, StepModel, recent_ids
from talkover.tts.cosyvoice2.decoding import Decoding, Symbols
from talkover.tts.cosyvoice2.key_value_cache import CacheSlot, KeyValueCache, StepCache, span_of
from talkover.tts.cosyvoice2.sampling import draw, draw_as_released

PIECE_POSITIONS = 32
"""of a prompt that are read in one go: 0.4 s on two cores at the released size; a cancelled request waits no longer"""
LM_HEAD = "llm.model.lm_head.weight"
"""stored, tied to the text embedding, and never used"""


class TextSpeechModel(nn.Module):
    """The weights, under the names of the released checkpoint."""

    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        width = config.qwen.hidden_size
        self.symbols = Symbols.of(config)
        self.llm_embedding = nn.Embedding(2, width)  # start of sequence, task
        self.llm = nn.ModuleDict({"model": nn.ModuleDict({"model": Qwen2Model(qwen2_config(config.qwen))})})
        self.speech_embedding = nn.Embedding(config.n_outputs, width)
        self.llm_decoder = nn.Linear(width, config.n_outputs)

    @property
    def body(self) -> Any:
        return self.llm["model"]["model"]  # pyright: ignore[reportIndexIssue]

    def embed(self, symbols: Tensor) -> Tensor:
        """(B, T, d) of (B, T) symbols of any kind."""
        n_text, n_speech = self.symbols.n_text, self.symbols.n_speech
        text = self.body.embed_tokens(symbols.clamp(max=n_text - 1))
        speech = self.speech_embedding((symbols - n_text).clamp(0, n_speech - 1))
        marks = self.llm_embedding((symbols - n_text - n_speech).clamp(0, 1))
        at_most_speech = torch.where((symbols < n_text)[..., None], text, speech)
        return torch.where((symbols < n_text + n_speech)[..., None], at_most_speech, marks)

    def forward(self, symbols: Tensor, positions: Tensor, cache: StepCache, n_keys: int) -> Tensor:
        """(B, T, d) hidden states after the last norm, of (B, T) symbols at (B, T) positions.

        A position sees all earlier ones of its row among the `n_keys` first of the cache, and itself.
        """
        keys = torch.arange(n_keys, device=symbols.device)
        visible = (keys <= positions[..., None])[:, None]  # (B, 1, T, n_keys)
        return self.body(
            inputs_embeds=self.embed(symbols),
            position_ids=positions,
            attention_mask={"full_attention": visible},
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state

    def log_probs(self, hidden: Tensor) -> Tensor:
        """(B, n_outputs) float32 of (B, d)."""
        return self.llm_decoder(hidden).float().log_softmax(-1)


def qwen2_config(config: QwenConfig) -> Qwen2Config:
    return Qwen2Config.from_dict(
        {
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_hidden_layers,
            "num_attention_heads": config.num_attention_heads,
            "num_key_value_heads": config.num_key_value_heads,
            "max_position_embeddings": config.max_position_embeddings,
            "rope_theta": config.rope_theta,
            "rms_norm_eps": config.rms_norm_eps,
            "hidden_act": "silu",
            "use_sliding_window": False,
            "attn_implementation": "sdpa",
        }
    )


def load_text_speech_model(
    state: Mapping[str, Tensor], config: LlmConfig, device: torch.device, dtype: torch.dtype
) -> TextSpeechModel:
    """The model with the weights of a checkpoint, ready to infer. Raises CheckpointMismatch."""
    with torch.device("meta"):  # 0.5 billion random numbers that nobody needs take seconds
        model = TextSpeechModel(config)
    load_strict(model, {name: value for name, value in state.items() if name != LM_HEAD}, "llm")
    model.body.rotary_emb = Qwen2RotaryEmbedding(qwen2_config(config.qwen))  # not in a checkpoint
    return model.to(device=device, dtype=dtype).eval().requires_grad_(False)


class LmRequest:
    """One utterance on its way through the model. Made by `LanguageModel.open`, ended by `LanguageModel.close`."""

    def __init__(
        self, decoding: Decoding, slot: CacheSlot, seed: int, released_generator: torch.Generator | None
    ) -> None:
        self.decoding = decoding
        self.slot = slot
        self.released_generator = released_generator
        self._random = random.Random(seed)
        self._unread: deque[int] = deque()
        """symbols of the decoding's feed that the model has not read yet"""

    @property
    def finished(self) -> bool:
        return self.decoding.finished

    @property
    def waits_for_text(self) -> bool:
        return not self.finished and not self._unread and not self.decoding.feed

    @property
    def n_unread(self) -> int:
        """Positions to be read before the next id."""
        return len(self._unread) or len(self.decoding.feed)

    def read(self, limit: int) -> tuple[tuple[int, ...], bool]:
        """The next symbols, at most `limit`, and whether an id follows them."""
        if not self._unread:
            self._unread.extend(self.decoding.feed)
        piece = tuple(self._unread.popleft() for _ in range(min(limit, len(self._unread))))
        return piece, not self._unread

    def uniform(self) -> tuple[float, float]:
        """Two numbers in [0, 1) for one draw."""
        return self._random.random(), self._random.random()


class LanguageModel:
    """The model with room for `max_requests` utterances. Used by one thread."""

    def __init__(
        self,
        model: TextSpeechModel,
        config: LlmConfig,
        sampling: SamplingConfig,
        max_requests: int = 16,
        capacity: int = 2048,
    ) -> None:
        """`capacity`: positions of one request, prompt and speech together."""
        weight = model.llm_decoder.weight
        self.model = model
        self.config = config
        self.sampling = sampling
        self.device = weight.device
        on_gpu = weight.device.type == "cuda"
        self.cache = KeyValueCache(
            config.qwen, max_requests, capacity, weight.device, weight.dtype, n_spare=int(on_gpu)
        )
        self._step_model = StepModel(model, model.log_probs, self.cache, sampling, config.speech_token_size)
        self._graphed = GraphedStep(self._step_model, max_requests, max_requests) if on_gpu else None

    def open(self, decoding: Decoding, seed: int = 0, released_generator: torch.Generator | None = None) -> LmRequest:
        """Raises EngineFailed when all slots are taken.

        `released_generator`: draw like the released code with this generator; none: with numbers made from `seed`.
        """
        return LmRequest(decoding, self.cache.take(), seed, released_generator)

    def close(self, request: LmRequest) -> None:
        """Free what the request holds, at any point."""
        self.cache.give_back(request.slot)

    def has_room(self, request: LmRequest) -> bool:
        """Whether the request can go on within its slot."""
        return request.slot.length + request.n_unread <= self.cache.capacity

    @torch.inference_mode()
    def step(self, requests: Sequence[LmRequest]) -> list[int | None]:
        """Go on with every request: one forward for all that read a single id, one for each that reads more.

        Returns the speech id each has gained, None where there is none: the prompt is not read to its end, the
        utterance is over, a border of streamed text.
        """
        gained: dict[int, int | None] = {}
        by_row = sorted(range(len(requests)), key=lambda index: requests[index].slot.row)
        together = [index for index in by_row if requests[index].n_unread == 1]
        alone = [index for index in by_row if requests[index].n_unread > 1]
        for group in ([together] if together else []) + [[index] for index in alone]:
            members = [requests[index] for index in group]
            gained.update(zip(group, self._advance(members), strict=True))
        return [gained.get(index) for index in range(len(requests))]

    @torch.inference_mode()
    def hidden_states(self, symbols: Sequence[Sequence[int]], slots: Sequence[CacheSlot]) -> Tensor:
        """(B, T, d) of B rows of T symbols, which become the next positions of their slots."""
        starts = torch.tensor([slot.length for slot in slots], device=self.device)
        block = torch.tensor(symbols, device=self.device)  # (B, T)
        n_new = block.shape[1]
        positions = starts[:, None] + torch.arange(n_new, device=self.device)
        rows = torch.tensor([slot.row for slot in slots], device=self.device)
        n_keys = max(slot.length for slot in slots) + n_new
        cache = StepCache(self.cache, rows, positions, n_keys, span_of([slot.row for slot in slots]))
        hidden = self.model(block, positions, cache, n_keys)
        for slot in slots:
            slot.length += n_new
        return hidden

    def _advance(self, requests: Sequence[LmRequest]) -> list[int | None]:
        """One forward over as many symbols of each, and a draw where an id follows."""
        pieces = [request.read(PIECE_POSITIONS) for request in requests]
        symbols = [symbols for symbols, _ in pieces]
        if not pieces[0][1]:  # a piece of a prompt, which is always alone
            self.hidden_states(symbols, [requests[0].slot])
            return [None]
        if len(symbols[0]) == 1 and all(request.released_generator is None for request in requests):
            drawn = self._decode(requests, symbols)
        else:
            hidden = self.hidden_states(symbols, [request.slot for request in requests])
            drawn = self._draw(requests, self.model.log_probs(hidden[:, -1]))
        forced = [request.decoding.forced for request in requests]
        chosen = [number if must is None else must for must, number in zip(forced, drawn, strict=True)]
        return [request.decoding.advance(number) for request, number in zip(requests, chosen, strict=True)]

    def _decode(self, requests: Sequence[LmRequest], symbols: Sequence[Sequence[int]]) -> list[int]:
        """The ids that follow one symbol of each request."""
        slots = [request.slot for request in requests]
        rows = [slot.row for slot in slots]
        inputs = StepInputs(
            torch.tensor(symbols, device=self.device),
            torch.tensor(rows, device=self.device),
            torch.tensor([[slot.length] for slot in slots], device=self.device),
            *self._drawing(requests),
        )
        n_keys = max(slot.length for slot in slots) + 1
        if self._graphed is not None:
            drawn = self._graphed.drawn(inputs, n_keys)
        else:
            drawn = self._step_model.drawn(inputs, n_keys, span_of(rows))
        for slot in slots:
            slot.length += 1
        return drawn.tolist()

    def _draw(self, requests: Sequence[LmRequest], log_probs: Tensor) -> list[int]:
        """An id per row of (B, n_outputs)."""
        banned, recent, uniform = self._drawing(requests)
        log_probs[:, self.config.eos :].masked_fill_(banned, -torch.inf)
        drawn: list[int] = draw(log_probs, recent, uniform, self.sampling).tolist()
        for row, request in enumerate(requests):
            if request.released_generator is not None and request.decoding.forced is None:
                history = request.decoding.history
                drawn[row] = draw_as_released(log_probs[row], history, self.sampling, request.released_generator)
        return drawn

    def _drawing(self, requests: Sequence[LmRequest]) -> tuple[Tensor, Tensor, Tensor]:
        """What each request forbids, its newest ids and its random numbers; see `StepInputs`."""
        beyond = range(self.config.eos, self.config.n_outputs)
        banned = [[number in request.decoding.banned for number in beyond] for request in requests]
        recent = [recent_ids(request.decoding.history, self.sampling.win_size) for request in requests]
        uniform = [request.uniform() for request in requests]
        return (
            torch.tensor(banned, device=self.device),
            torch.tensor(recent, device=self.device),
            torch.tensor(uniform, dtype=torch.float64, device=self.device),
        )
