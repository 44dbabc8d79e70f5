"""Conditional flow matching: from noise to mel in ten Euler steps (Lipman et al. 2023), with guidance (Ho 2022).

The noise of frame i of an utterance, counted from the first frame of its prompt, is the same in every utterance: it is
row i of a table that is made again at load time from a seed. That is what lets prompt frames be computed once.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from talkover.tts.cosyvoice2.configuration import EULER_STEPS, CfmConfig, FlowConfig
from talkover.tts.cosyvoice2.flow_decoder import FrameContext, VelocityEstimator, WholeFrames
from talkover.tts.cosyvoice2.flow_memory import DecoderMemory, DecoderShape

TABLE_FRAMES = 15_000
"""300 s with the prompt; longer speech gets further tables from the same generator"""
_NOISE_SEED = 0


class NoiseTable:
    """Standard normal noise by frame; a generator of its own, so that nobody's random state is touched."""

    def __init__(self, channels: int) -> None:
        self._generator = torch.Generator().manual_seed(_NOISE_SEED)
        self._channels = channels
        self._tables = [self._another()]

    def frames(self, start: int, end: int) -> Tensor:
        """(1, end - start, C) float32 on the CPU."""
        while end > TABLE_FRAMES * len(self._tables):
            self._tables.append(self._another())
        parts = [
            table[:, :, max(0, start - first) : end - first]
            for first, table in ((TABLE_FRAMES * index, table) for index, table in enumerate(self._tables))
            if start < first + TABLE_FRAMES and end > first
        ]
        return torch.cat(parts, dim=2).transpose(1, 2)

    def _another(self) -> Tensor:
        return torch.randn([1, self._channels, TABLE_FRAMES], generator=self._generator)


def time_grid(config: CfmConfig) -> tuple[tuple[float, float], ...]:
    """Time and length of each step. The time is summed up in float32, as the released code does."""
    at = torch.linspace(0, 1, EULER_STEPS + 1)
    if config.t_scheduler == "cosine":
        at = 1 - torch.cos(at * 0.5 * torch.pi)
    t, dt = at[0], at[1] - at[0]
    steps: list[tuple[float, float]] = []
    for index in range(1, EULER_STEPS + 1):
        steps.append((float(t), float(dt)))
        t = t + dt
        if index < EULER_STEPS:
            dt = at[index + 1] - t
    return tuple(steps)


class FlowMatching(nn.Module):
    """The solver around the estimator. Tensors are (B, T, 80)."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.estimator = VelocityEstimator(config.estimator)
        self.grid = time_grid(config.cfm)
        self._guidance = config.cfm.inference_cfg_rate
        self._noise = NoiseTable(config.output_size)
        slots = self.estimator.slots
        self.shape = DecoderShape.of(config.estimator, slots.attentions, slots.conv_channels)

    def solve(self, mu: Tensor, speaker: Tensor, cond: Tensor, mask: Tensor | None = None) -> Tensor:
        """A whole utterance at once: mu and cond (1, T, 80), speaker (1, 80) -> mel (1, T, 80) float32.

        `mask` (T, T) is true where a frame is seen, None for everywhere.
        """
        x = self._noise.frames(0, mu.shape[1]).to(mu.device)
        for t, dt in self.grid:
            x = x + dt * self.velocity(x, t, mu, speaker, cond, WholeFrames(mask))
        return x

    def solve_block(self, memory: DecoderMemory, mu: Tensor, speaker: Tensor, cond: Tensor) -> Iterator[Tensor | None]:
        """The next block of an utterance: None after each step but the last, which gives the mel (1, T, 80) float32."""
        frames = mu.shape[1]
        memory.begin_block(frames)
        x = self._noise.frames(memory.frames, memory.frames + frames).to(mu.device)
        for index, (t, dt) in enumerate(self.grid):
            x = x + dt * self.velocity(x, t, mu, speaker, cond, memory.step(index))
            if index + 1 < len(self.grid):
                yield None
        memory.end_block(frames)
        yield x

    def velocity(self, x: Tensor, t: float, mu: Tensor, speaker: Tensor, cond: Tensor, context: FrameContext) -> Tensor:
        """Guided velocity (1, T, 80) float32 at x; both rows of the guidance go through the estimator together."""
        rows = torch.cat((x, x)).to(mu.dtype)  # (2, T, 80)
        nothing = torch.zeros_like(mu)
        v = self.estimator(
            rows,
            torch.cat((mu, nothing)),
            torch.full((2,), t, device=mu.device),
            torch.cat((speaker, torch.zeros_like(speaker))),
            torch.cat((cond, nothing)),
            context,
        ).float()
        return (1.0 + self._guidance) * v[:1] - self._guidance * v[1:]
