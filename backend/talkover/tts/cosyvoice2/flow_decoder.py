"""The network that estimates the velocity of the flow at a point x and time t: convolutions and transformer blocks.

The U-Net of Matcha-TTS (Mehta et al. 2023) with one resolution only and causal convolutions, so that what a frame
needs is: two earlier frames in front of each convolution, and keys and values of earlier frames in each attention.
There is no positional information in the attention.

Tensors are (B, T, C) throughout. A convolution over three frames is one matrix product over three frames laid side by
side: on a CPU a quarter faster than `conv1d` at 50 frames, and no transposing around the LayerNorms.
"""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, mish, pad, scaled_dot_product_attention, silu

from talkover.tts.cosyvoice2.configuration import EstimatorConfig

KERNEL = 3
LEFT = KERNEL - 1
_TIME_SCALE = 1000.0


class FrameContext(Protocol):
    """What layers know of earlier frames; slots are numbered in the order in which the layers are made."""

    def with_left(self, slot: int, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, 2 + T, C): the last two earlier frames in front, zeros where there are none."""
        ...

    def attend(self, slot: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, h, T, d_head) each -> (B, h, T, d_head): attention of the new frames to what they see."""
        ...


class WholeFrames:
    """Nothing came before; `mask` (T, T) is true where a frame is seen, None for everywhere."""

    def __init__(self, mask: Tensor | None = None) -> None:
        self._mask = mask

    def with_left(self, slot: int, x: Tensor) -> Tensor:
        del slot
        return pad(x, (0, 0, LEFT, 0))

    def attend(self, slot: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        del slot
        return scaled_dot_product_attention(q, k, v, attn_mask=self._mask)


class CausalConv(nn.Module):
    """(B, T, C_in) -> (B, T, C_out), three frames wide, looking back."""

    def __init__(self, slot: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.slot = slot
        # of the official shape (out, in, 3), but laid out as (out, 3, in): the matrix below is then a view
        weight = torch.randn(n_out, KERNEL, n_in) / math.sqrt(KERNEL * n_in)
        self.weight = nn.Parameter(weight.permute(0, 2, 1))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor, context: FrameContext) -> Tensor:
        frames = x.shape[1]
        x = context.with_left(self.slot, x)
        x = torch.cat([x[:, k : k + frames] for k in range(KERNEL)], dim=2)  # (B, T, 3 C_in)
        return linear(x, self.weight.permute(0, 2, 1).flatten(1), self.bias)


class PointwiseConv(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 1) / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight[:, :, 0], self.bias)


class CausalBlock(nn.Module):
    def __init__(self, slot: int, n_in: int, n_out: int) -> None:
        super().__init__()
        # the numbers of the released code's Sequential, which has transpositions between
        self.block = nn.ModuleDict({"0": CausalConv(slot, n_in, n_out), "2": nn.LayerNorm(n_out)})

    def forward(self, x: Tensor, context: FrameContext) -> Tensor:
        return mish(self.block["2"](self.block["0"](x, context)))


class ResidualBlock(nn.Module):
    def __init__(self, slots: Slots, n_in: int, n_out: int, time_width: int) -> None:
        super().__init__()
        self.block1 = CausalBlock(slots.conv(n_in), n_in, n_out)
        self.block2 = CausalBlock(slots.conv(n_out), n_out, n_out)
        self.mlp = nn.ModuleDict({"1": nn.Linear(time_width, n_out)})
        self.res_conv = PointwiseConv(n_in, n_out)

    def forward(self, x: Tensor, time: Tensor, context: FrameContext) -> Tensor:
        """x (B, T, C_in), time (B, d_time) after its activation -> (B, T, C_out)"""
        h = self.block1(x, context) + self.mlp["1"](time)[:, None]
        return self.block2(h, context) + self.res_conv(x)


class SelfAttention(nn.Module):
    """Its inner width, heads x d_head, is not the width of the frames."""

    def __init__(self, slot: int, width: int, heads: int, d_head: int) -> None:
        super().__init__()
        self.slot, self.heads = slot, heads
        self.to_q = nn.Linear(width, heads * d_head, bias=False)
        self.to_k = nn.Linear(width, heads * d_head, bias=False)
        self.to_v = nn.Linear(width, heads * d_head, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(heads * d_head, width)])

    def forward(self, x: Tensor, context: FrameContext) -> Tensor:
        q, k, v = (  # (B, h, T, d_head) each
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.to_q, self.to_k, self.to_v)
        )
        return self.to_out[0](context.attend(self.slot, q, k, v).transpose(1, 2).flatten(2))


class GeluLinear(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.proj(x))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 4 * width
        self.net = nn.ModuleDict({"0": GeluLinear(width, inner), "2": nn.Linear(inner, width)})

    def forward(self, x: Tensor) -> Tensor:
        return self.net["2"](self.net["0"](x))


class TransformerBlock(nn.Module):
    def __init__(self, slot: int, width: int, heads: int, d_head: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = SelfAttention(slot, width, heads, d_head)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, context: FrameContext) -> Tensor:
        x = x + self.attn1(self.norm1(x), context)
        return x + self.ff(self.norm3(x))


class TimeEmbedding(nn.Module):
    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(n_in, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B, d_time)"""
        x = time_sinusoids(t, self.linear_1.in_features).to(self.linear_1.weight.dtype)
        return self.linear_2(silu(self.linear_1(x)))


def time_sinusoids(t: Tensor, width: int) -> Tensor:
    """(B,) in [0, 1] -> (B, width) float32: sines, then cosines (Ho et al. 2020, with 1000 times the argument)."""
    half = width // 2
    rate = torch.exp(torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000.0) / (half - 1)))
    argument = _TIME_SCALE * t.float()[:, None] * rate
    return torch.cat((argument.sin(), argument.cos()), dim=1)


class Slots:
    """Hands out the numbers under which layers find what they remember."""

    def __init__(self) -> None:
        self.conv_channels: list[int] = []
        self.attentions = 0

    def conv(self, n_in: int) -> int:
        self.conv_channels.append(n_in)
        return len(self.conv_channels) - 1

    def attention(self) -> int:
        self.attentions += 1
        return self.attentions - 1


class Stage(nn.ModuleList):
    """A residual block, transformer blocks, and after the first and the last of them a convolution."""

    def forward(self, x: Tensor, time: Tensor, context: FrameContext) -> tuple[Tensor, Tensor]:
        """(B, T, C_in) -> (B, T, C) before and after the convolution."""
        residual, blocks, *conv = self
        x = residual(x, time, context)
        for block in cast(nn.ModuleList, blocks):
            x = block(x, context)
        return x, (conv[0](x, context) if conv else x)


class VelocityEstimator(nn.Module):
    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        width = config.channels[0]
        time_width = 4 * width
        slots = Slots()

        def transformers() -> nn.ModuleList:
            return nn.ModuleList(
                TransformerBlock(slots.attention(), width, config.num_heads, config.attention_head_dim)
                for _ in range(config.n_blocks)
            )

        def residual(n_in: int) -> ResidualBlock:
            return ResidualBlock(slots, n_in, width, time_width)

        def conv() -> CausalConv:
            return CausalConv(slots.conv(width), width, width)

        self.config = config
        self.time_mlp = TimeEmbedding(config.in_channels, time_width)
        # one entry each: the released code has no second resolution either
        self.down_blocks = nn.ModuleList([Stage([residual(config.in_channels), transformers(), conv()])])
        self.mid_blocks = nn.ModuleList(Stage([residual(width), transformers()]) for _ in range(config.num_mid_blocks))
        self.up_blocks = nn.ModuleList([Stage([residual(2 * width), transformers(), conv()])])
        self.final_block = CausalBlock(slots.conv(width), width, width)
        self.final_proj = PointwiseConv(width, config.out_channels)
        self.slots = slots

    def forward(self, x: Tensor, mu: Tensor, t: Tensor, speaker: Tensor, cond: Tensor, context: FrameContext) -> Tensor:
        """x, mu, cond (B, T, 80); t (B,) in [0, 1]; speaker (B, 80) -> velocity (B, T, 80)."""
        time = mish(self.time_mlp(t))  # (B, d_time)
        x = torch.cat((x, mu, speaker[:, None].expand_as(x), cond), dim=2)  # (B, T, 320)
        skip, x = self.down_blocks[0](x, time, context)  # (B, T, C)
        for stage in self.mid_blocks:
            _, x = stage(x, time, context)
        _, x = self.up_blocks[0](torch.cat((x, skip), dim=2), time, context)
        return self.final_proj(self.final_block(x, context))
