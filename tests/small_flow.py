"""A flow of few small layers with random weights, for tests of how it is computed rather than what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from golden import SELECTION

if TYPE_CHECKING:
    import torch

    from talkover.tts.cosyvoice2.flow import Flow
    from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt


def tiny_flow(seed: int = 0, dtype: torch.dtype | None = None) -> Flow:
    """Few layers, random weights that let every part have an effect, room for 8 s."""
    import torch

    from talkover.tts.cosyvoice2.configuration import load_configuration
    from talkover.tts.cosyvoice2.flow import Flow

    config = load_configuration(SELECTION / "model_dir").flow
    config = replace(
        config,
        vocab_size=97,
        input_size=32,
        encoder=replace(config.encoder, output_size=32, attention_heads=2, linear_units=48, num_blocks=1),
        estimator=replace(
            config.estimator, channels=(32,), attention_head_dim=8, n_blocks=1, num_mid_blocks=1, num_heads=2
        ),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = Flow(config)
        for name, value in flow.named_parameters():
            if "norm" in name or "pos_bias" in name:
                value.data += 0.3 * torch.randn_like(value)
    flow.limit_context(8)
    return flow.to(dtype or torch.float32).eval().requires_grad_(False)


def numbers(n: int, seed: int) -> list[int]:
    import torch

    return torch.randint(0, 97, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def voice(n_ids: int, seed: int = 1) -> VoicePrompt:
    import torch

    from talkover.tts.cosyvoice2.voice_prompt import speaker_only, voice_prompt

    generator = torch.Generator().manual_seed(seed)
    speaker = torch.randn(1, 192, generator=generator)
    if n_ids == 0:
        return speaker_only(speaker)
    return voice_prompt((), numbers(n_ids, seed), torch.randn(1, 2 * n_ids, 80, generator=generator), speaker)


def whole(flow: Flow, prompt: VoicePrompt, ids: list[int]) -> torch.Tensor:
    return flow.whole(ids, prompt.flow_speech_ids, prompt.mel, prompt.speaker, streaming=True, finalize=True)
