"""The streaming Paraformer: one chunk at a time, all state of an utterance in a cache object of its own.

Sessions share the model, not the step: FunASR's chunk step keeps one position and one length of look-back in its cache
for the whole batch, so utterances would have to begin at the same moment to be decoded together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from talkover.asr.funasr_models import FunasrModel
from talkover.asr.offline_paraformer import MIN_SAMPLES, best_tokens
from talkover.asr.tokens import Token
from talkover.messages import Samples

MODELS = ("ParaformerStreaming",)
_FRAME_MS = 60
_FRAME_SAMPLES = 960
_ENCODER_LOOK_BACK, _DECODER_LOOK_BACK = 4, 1
"""chunks before the current one that are attended to; those of the official model's documentation"""


@dataclass(slots=True)
class StreamingCache:
    """What the model remembers of one utterance."""

    state: dict[str, Any]
    chunks: int = 0
    tokens: list[Token] = field(default_factory=list[Token])


class StreamingParaformer:
    """Decodes chunk by chunk; used by one thread."""

    def __init__(self, loaded: FunasrModel, chunk_ms: int) -> None:
        self._loaded = loaded
        self._model: Any = loaded.model
        frames = chunk_ms // _FRAME_MS
        self._chunk_frames = [0, frames, frames // 2]
        """left context, the chunk itself, look-ahead; in frames of 60 ms"""
        self.chunk_samples = frames * _FRAME_SAMPLES

    def start(self) -> StreamingCache:
        state: dict[str, Any] = self._model.init_cache(
            {},
            chunk_size=self._chunk_frames,
            encoder_chunk_look_back=_ENCODER_LOOK_BACK,
            decoder_chunk_look_back=_DECODER_LOOK_BACK,
            encoder_conf=self._loaded.options["encoder_conf"],
            frontend_conf=self._loaded.options["frontend_conf"],
        )
        return StreamingCache(state)

    def step(self, cache: StreamingCache, samples: Samples, final: bool = False) -> list[Token]:
        """New tokens from the next `chunk_samples` of (n,) float32 at 16 kHz; the final chunk may be shorter."""
        with torch.inference_mode():
            tokens = self._step(cache, samples, final)
        cache.chunks += 1
        cache.tokens += tokens
        return tokens

    def _step(self, cache: StreamingCache, samples: Samples, final: bool) -> list[Token]:
        encoder_cache = cache.state["encoder"]
        if final and samples.size < MIN_SAMPLES:
            if cache.chunks == 0:
                return []
            # too short for a frame of its own: what the last chunk looked ahead to is still to be decoded
            encoder_cache["tail_chunk"] = True
            features: torch.Tensor = encoder_cache["feats"]
            lengths = torch.tensor([features.shape[1]])
        else:
            features, lengths = self._loaded.features([samples], cache=cache.state["frontend"], is_final=final)
        encoded, encoded_lengths = self._model.encode_chunk(features, lengths, cache=cache.state, is_final=final)
        embeddings, counts, *_ = self._model.calc_predictor_chunk(
            encoded, encoded_lengths, cache=cache.state, is_final=final
        )
        count = int(counts.round().max())
        if count < 1:
            return []
        scores, _ = self._model.cal_decoder_with_predictor_chunk(
            encoded, encoded_lengths, embeddings, counts, cache=cache.state
        )  # (1, U, V)
        return best_tokens(self._loaded, scores[0, :count])
