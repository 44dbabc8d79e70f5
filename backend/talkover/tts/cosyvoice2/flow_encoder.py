"""Speech ids to `mu`, the coarse mel the flow starts from: a conformer that looks three ids ahead and doubles the rate.

The relative position term is that of Transformer-XL (Dai et al. 2019, section 3.3) in the form of ESPnet's newer
conformer: distances run from past to future, and both biases are learnt per head.

Every layer works on the frames it is given plus what it remembers of earlier ones. `WholeInput` remembers nothing: one
call then covers an utterance, and a mask says which frames see each other. `EncoderMemory` keeps what the next block of
frames will need, so that a block is computed once; it sees all earlier blocks and itself, and needs no mask.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, silu

from talkover.tts.cosyvoice2.configuration import UP_BLOCKS, FlowConfig

LOOKAHEAD_TAIL, UPSAMPLE_TAIL = 0, 1
"""slots of the two convolutions that see earlier frames"""
_LOOKAHEAD_LEFT, _UPSAMPLE_LEFT = 2, 4
_CONFORMER_EPS = 1e-12
_INITIAL_IDS = 512


class EncoderContext(Protocol):
    """What layers know of earlier frames."""

    def with_left(self, slot: int, x: Tensor, width: int) -> Tensor:
        """(1, T, d) -> (1, width + T, d): the last `width` earlier frames in front, zeros where there are none."""
        ...

    def keys_values(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """(1, h, T, d_head) each -> (1, h, L + T, d_head): those of L earlier frames in front."""
        ...


class WholeInput:
    """Nothing came before."""

    def with_left(self, slot: int, x: Tensor, width: int) -> Tensor:
        del slot
        return pad(x, (0, 0, width, 0))

    def keys_values(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        del layer
        return k, v


class EncoderMemory:
    """Keys, values and convolution inputs of all frames so far. 1.4 MB per second of speech in fp32 at full size.

    Room is made in advance and doubled when it is used up. `advance` after every block.
    """

    def __init__(self, config: FlowConfig, like: Tensor) -> None:
        """`like` gives device and dtype."""
        encoder = config.encoder
        heads, d_head = encoder.attention_heads, encoder.output_size // encoder.attention_heads
        self._n_id_layers = encoder.num_blocks
        self.ids = 0
        """ids whose keys and values are kept"""
        # [keys or values, layer, head, frame, d_head]
        self._at_ids = like.new_empty(2, encoder.num_blocks, heads, _INITIAL_IDS, d_head)
        self._at_frames = like.new_empty(2, UP_BLOCKS, heads, 2 * _INITIAL_IDS, d_head)
        self._tails = [
            like.new_zeros(1, _LOOKAHEAD_LEFT, encoder.output_size),
            like.new_zeros(1, _UPSAMPLE_LEFT, encoder.output_size),
        ]

    def copy(self) -> EncoderMemory:
        other = EncoderMemory.__new__(EncoderMemory)
        other._n_id_layers, other.ids = self._n_id_layers, self.ids
        other._at_ids = _copy_of_used(self._at_ids, self.ids)
        other._at_frames = _copy_of_used(self._at_frames, 2 * self.ids)
        other._tails = list(self._tails)  # replaced, never written to
        return other

    def reserve(self, n_ids: int) -> None:
        """Make room for `n_ids` more."""
        room = self._at_ids.shape[3]
        if self.ids + n_ids <= room:
            return
        while room < self.ids + n_ids:
            room *= 2
        self._at_ids = _copy_of_used(self._at_ids, self.ids, room)
        self._at_frames = _copy_of_used(self._at_frames, 2 * self.ids, 2 * room)

    def advance(self, n_ids: int) -> None:
        self.ids += n_ids

    @property
    def stores(self) -> tuple[Tensor, Tensor]:
        """All keys and values, before and after the up-sampling."""
        return self._at_ids, self._at_frames

    def with_left(self, slot: int, x: Tensor, width: int) -> Tensor:
        x = torch.cat((self._tails[slot], x), dim=1)
        self._tails[slot] = x[:, -width:].clone()
        return x

    def keys_values(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if layer < self._n_id_layers:
            store, done = self._at_ids[:, layer], self.ids
        else:
            store, done = self._at_frames[:, layer - self._n_id_layers], 2 * self.ids
        end = done + k.shape[2]
        store[0, :, done:end], store[1, :, done:end] = k[0], v[0]
        return store[0, None, :, :end], store[1, None, :, :end]


def _copy_of_used(store: Tensor, used: int, room: int | None = None) -> Tensor:
    shape = (*store.shape[:3], store.shape[3] if room is None else room, store.shape[4])
    copy = store.new_empty(shape)
    copy[:, :, :, :used] = store[:, :, :, :used]
    return copy


class RelativePositions:
    """Sinusoids of signed distances and their projection by one layer, kept for the distances met so far."""

    def __init__(self) -> None:
        self._projected: Tensor | None = None

    def between(self, queries: int, keys: int, projection: nn.Linear, heads: int) -> Tensor:
        """(h, queries + keys - 1, d_head): distances from keys - 1 down to -(queries - 1).

        The last query stands at the last key.
        """
        furthest = 0 if self._projected is None else self._projected.shape[1] // 2
        weight = projection.weight
        known = self._projected
        if known is None or furthest < keys or known.dtype != weight.dtype or known.device != weight.device:
            furthest = max(_INITIAL_IDS, 2 ** math.ceil(math.log2(keys)))
            table = projection(distance_sinusoids(furthest, weight.shape[1]).to(weight))  # (2f+1, d)
            known = table.unflatten(1, (heads, -1)).transpose(0, 1).contiguous()  # (h, 2f+1, d_head)
            self._projected = known
        return known[:, furthest - (keys - 1) : furthest + queries]


def distance_sinusoids(furthest: int, width: int) -> Tensor:
    """(2 * furthest + 1, width) float32, of distances furthest .. -furthest: sine and cosine take turns."""
    distance = torch.arange(furthest, -furthest - 1, -1, dtype=torch.float32)[:, None]  # (2f+1, 1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
    return torch.stack((torch.sin(distance * rate), torch.cos(distance * rate)), dim=-1).flatten(1)


class RelativeAttention(nn.Module):
    def __init__(self, width: int, heads: int, layer: int) -> None:
        super().__init__()
        self.heads, self.layer = heads, layer
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, width // heads))
        self._positions = RelativePositions()

    def forward(self, x: Tensor, context: EncoderContext, mask: Tensor | None) -> Tensor:
        """(1, T, d) -> (1, T, d); `mask` (T, L + T) is true where a frame is seen."""
        q = self.linear_q(x).unflatten(2, (self.heads, -1))  # (1, T, h, d_head)
        k = self.linear_k(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (1, h, T, d_head)
        v = self.linear_v(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = context.keys_values(self.layer, k, v)  # (1, h, L + T, d_head)
        queries, keys = q.shape[1], k.shape[2]
        by_content = (q + self.pos_bias_u).transpose(1, 2) @ k.transpose(2, 3)  # (1, h, T, L + T)
        p = self._positions.between(queries, keys, self.linear_pos, self.heads)  # (h, T + L + T - 1, d_head)
        by_distance = _keys_of_distances((q + self.pos_bias_v).transpose(1, 2) @ p.transpose(1, 2), keys)
        scores = (by_content + by_distance) / math.sqrt(k.shape[3])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        x = scores.softmax(dim=-1) @ v  # (1, h, T, d_head)
        return self.linear_out(x.transpose(1, 2).flatten(2))


def _keys_of_distances(scores: Tensor, keys: int) -> Tensor:
    """(1, h, T, T + keys - 1) by falling distance -> (1, h, T, keys) by key, as a view.

    Row r, the query at position keys - T + r, finds key j at column T - 1 - r + j.
    """
    scores = scores.contiguous()
    _, heads, queries, columns = scores.shape
    strides = (heads * queries * columns, queries * columns, columns - 1, 1)
    return scores.as_strided((1, heads, queries, keys), strides, scores.storage_offset() + queries - 1)


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(silu(self.w_1(x)))


class ConformerLayer(nn.Module):
    """Without convolution and without the second feed-forward."""

    def __init__(self, width: int, heads: int, inner: int, layer: int) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(width, heads, layer)
        self.feed_forward = FeedForward(width, inner)
        self.norm_mha = nn.LayerNorm(width, eps=_CONFORMER_EPS)
        self.norm_ff = nn.LayerNorm(width, eps=_CONFORMER_EPS)

    def forward(self, x: Tensor, context: EncoderContext, mask: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), context, mask)
        return x + self.feed_forward(self.norm_ff(x))


class Embed(nn.Module):
    """Linear, LayerNorm, and a gain of the root of the width; positions enter in the attention only."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(n_in, width), nn.LayerNorm(width))
        self._gain = math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) * self._gain


class PreLookahead(nn.Module):
    """Mixes the next `n_ahead` ids into each."""

    def __init__(self, width: int, n_ahead: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, n_ahead + 1)
        self.conv2 = nn.Conv1d(width, width, _LOOKAHEAD_LEFT + 1)

    def forward(self, x: Tensor, ahead: Tensor, context: EncoderContext) -> Tensor:
        """x (1, T, d), ahead (1, n_ahead, d) -> (1, T, d)."""
        h = torch.cat((x, ahead), dim=1).transpose(1, 2)  # (1, d, T + n_ahead)
        h = leaky_relu(self.conv1(h)).transpose(1, 2)  # (1, T, d)
        h = context.with_left(LOOKAHEAD_TAIL, h, _LOOKAHEAD_LEFT)
        return x + self.conv2(h.transpose(1, 2)).transpose(1, 2)


class Upsample(nn.Module):
    """Each id becomes two frames, smoothed by a convolution that only looks back."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        self._factor = factor
        self.conv = nn.Conv1d(width, width, _UPSAMPLE_LEFT + 1)

    def forward(self, x: Tensor, context: EncoderContext) -> Tensor:
        """(1, T, d) -> (1, factor * T, d)"""
        x = context.with_left(UPSAMPLE_TAIL, x.repeat_interleave(self._factor, dim=1), _UPSAMPLE_LEFT)
        return self.conv(x.transpose(1, 2)).transpose(1, 2)


class FlowEncoder(nn.Module):
    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        encoder = config.encoder
        width, heads, inner = encoder.output_size, encoder.attention_heads, encoder.linear_units
        n = encoder.num_blocks
        self._chunk_ids, self._factor = encoder.static_chunk_size, config.token_mel_ratio
        self._n_ahead = config.pre_lookahead_len
        self.embed = Embed(config.input_size, width)
        self.pre_lookahead_layer = PreLookahead(width, config.pre_lookahead_len)
        self.encoders = nn.ModuleList(ConformerLayer(width, heads, inner, layer) for layer in range(n))
        self.up_layer = Upsample(width, config.token_mel_ratio)
        self.up_embed = Embed(width, width)
        self.up_encoders = nn.ModuleList(ConformerLayer(width, heads, inner, n + layer) for layer in range(UP_BLOCKS))
        self.after_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, ahead: Tensor, context: EncoderContext, *, chunked: bool = False) -> Tensor:
        """x (1, N, d_in), the embedded ids; ahead (1, 0..3, d_in), those that follow, zeros for the rest.

        Returns (1, 2N, d). `chunked` lays the streaming mask over a whole input: earlier chunks and its own are seen.
        """
        x = self.embed(x)  # (1, N, d)
        ahead = self.embed(ahead) if ahead.shape[1] else x[:, :0]
        ahead = pad(ahead, (0, 0, 0, self._n_ahead - ahead.shape[1]))
        x = self.pre_lookahead_layer(x, ahead, context)
        mask = chunk_mask(x.shape[1], self._chunk_ids, x.device) if chunked else None
        for layer in self.encoders:
            x = layer(x, context, mask)
        x = self.up_embed(self.up_layer(x, context))  # (1, 2N, d)
        mask = chunk_mask(x.shape[1], self._factor * self._chunk_ids, x.device) if chunked else None
        for layer in self.up_encoders:
            x = layer(x, context, mask)
        return self.after_norm(x)


def chunk_mask(n: int, chunk: int, device: torch.device | None = None) -> Tensor:
    """(n, n) bool: row i sees column j of earlier chunks and of its own."""
    position = torch.arange(n, device=device)
    return position < ((position // chunk + 1) * chunk)[:, None]
