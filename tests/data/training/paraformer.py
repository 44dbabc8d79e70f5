"""Two small Paraformers in FunASR's own directory layout: the offline model and its streaming twin.

They are built and trained through the classes that load the official models, with FunASR's own losses; only the loop is
ours. Two things make the streaming twin hear its first word once and not twice, and both differ from the offline
model: `forward_chunk` puts as many empty frames before the first chunk as it looks ahead, so training does too, and
the decoder's memory block must not look ahead (`sanm_shfit`), because its cache carries that padding into the next
chunk.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from examples import FEATURES, FRONTEND, Example
from funasr import AutoModel
from funasr.register import tables
from torch import nn
from torch.nn.utils.rnn import pad_sequence

DIMENSION, FEED_FORWARD, HEADS, KERNEL = 96, 256, 4, 11
ENCODER_BLOCKS, DECODER_BLOCKS = 3, 1
CHUNK_SIZES, STRIDES = (12, 15), (8, 10)
"""frames of 60 ms in a chunk with its look-ahead, and without: 480 and 600 ms, as in the official streaming model"""
PEAK_LEARNING_RATE, WARMUP_STEPS, BATCH = 1.5e-3, 200, 16
CTC_WEIGHT = 0.3


def configuration(vocabulary: Sequence[str], streaming: bool) -> dict[str, Any]:
    """`config.yaml` of one of the two."""
    blocks = {
        "attention_heads": HEADS,
        "linear_units": FEED_FORWARD,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
    }
    encoder = blocks | {
        "output_size": DIMENSION,
        "num_blocks": ENCODER_BLOCKS,
        "attention_dropout_rate": 0.0,
        "input_layer": "pe_online" if streaming else "pe",
        "normalize_before": True,
        "kernel_size": KERNEL,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    }
    if streaming:
        encoder |= {
            "chunk_size": list(CHUNK_SIZES),
            "stride": list(STRIDES),
            "pad_left": [0, 0],
            "encoder_att_look_back_factor": [4, 4],
            "decoder_att_look_back_factor": [1, 1],
        }
    return {
        "model": "ParaformerStreaming" if streaming else "Paraformer",
        "model_conf": {
            "ctc_weight": CTC_WEIGHT,
            "lsm_weight": 0.1,
            "length_normalized_loss": True,
            "predictor_weight": 1.0,
            "predictor_bias": 1,
            "sampling_ratio": 0.75,
        },
        "encoder": "SANMEncoderChunkOpt" if streaming else "SANMEncoder",
        "encoder_conf": encoder,
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": blocks
        | {
            "num_blocks": DECODER_BLOCKS,
            "att_layer_num": DECODER_BLOCKS,
            "self_attention_dropout_rate": 0.0,
            "src_attention_dropout_rate": 0.0,
            "kernel_size": KERNEL,
            "sanm_shfit": (KERNEL - 1) // 2 if streaming else 0,
        },
        "predictor": "CifPredictorV2",
        "predictor_conf": {
            "idim": DIMENSION,
            "threshold": 1.0,
            "l_order": 1,
            "r_order": 1,
            "tail_threshold": 0.45,
            "dropout": 0.0,
        },
        "frontend": "WavFrontendOnline" if streaming else "WavFrontend",
        "frontend_conf": dict(FRONTEND),
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
        "normalize": None,
        "input_size": FEATURES,
        "vocab_size": len(vocabulary),
    }


def build(configured: dict[str, Any]) -> nn.Module:
    """An untrained model through FunASR's registry."""
    model_class = tables.model_classes[configured["model"]]
    return model_class(**configured["model_conf"], **{k: v for k, v in configured.items() if k != "model_conf"})


def save(
    folder: Path,
    model: nn.Module,
    configured: dict[str, Any],
    vocabulary: Sequence[str],
    cmvn: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Write what `AutoModel(model=folder)` expects to find. The CTC branch only helps training and is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    # Half of the bits: loading widens them again, and the transcripts of the held-out sentences stay the same.
    weights = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    weights = {name: value for name, value in weights.items() if not name.startswith("ctc.")}
    torch.save(weights, folder / "model.pt")
    kept = {key: value for key, value in configured.items() if key not in {"input_size", "vocab_size", "ctc_conf"}}
    kept["model_conf"] = {**configured["model_conf"], "ctc_weight": 0.0}
    (folder / "config.yaml").write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(list(vocabulary), ensure_ascii=False, indent=0), encoding="utf-8")
    (folder / "am.mvn").write_text(_mvn(*cmvn), encoding="utf-8")
    pointers = {
        "framework": "pytorch",
        "task": "auto-speech-recognition",
        "model": {"type": "funasr"},
        "file_path_metas": {
            "init_param": "model.pt",
            "config": "config.yaml",
            "tokenizer_conf": {"token_list": "tokens.json"},
            "frontend_conf": {"cmvn_file": "am.mvn"},
        },
    }
    (folder / "configuration.json").write_text(json.dumps(pointers, indent=2) + "\n", encoding="utf-8")


def _mvn(shift: torch.Tensor, scale: torch.Tensor) -> str:
    """Kaldi's text form of a mean and variance normalisation."""
    size = f"{shift.numel()} {shift.numel()}"
    rows = [" ".join(f"{value:.5g}" for value in values.tolist()) for values in (shift, scale)]
    return (
        f"<Nnet>\n<Splice> {size}\n[ 0 ]\n"
        f"<AddShift> {size}\n<LearnRateCoef> 0 [ {rows[0]} ]\n"
        f"<Rescale> {size}\n<LearnRateCoef> 0 [ {rows[1]} ]\n</Nnet>\n"
    )


# ---------------------------------------------------------------------------------------------------------- training


def train(
    model: nn.Module,
    made: Sequence[Example],
    cmvn: tuple[torch.Tensor, torch.Tensor],
    steps: int,
    report: Callable[[str], None],
) -> None:
    """Adam with a warm-up and a cosine to zero."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARMUP_STEPS, 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))),
    )
    streaming = hasattr(model.encoder, "overlap_chunk_cls")
    losses_of = _streaming_losses if streaming else _offline_losses
    model.train()
    total = 0.0
    for step, batch in zip(range(steps), _batches(made, cmvn), strict=False):
        loss = losses_of(model, *batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 99:
            report(f"step {step + 1}/{steps}: loss {total / 100:.3f}")
            total = 0.0
    model.eval()


def _batches(
    made: Sequence[Example], cmvn: tuple[torch.Tensor, torch.Tensor]
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """(B, T, 560) features, (B,) lengths, (B, U) tokens padded with -1, (B,) lengths, without end."""
    order = sorted(range(len(made)), key=lambda index: len(made[index].features))
    starts = list(range(0, len(order), BATCH))
    shift, scale = cmvn
    while True:
        random.shuffle(starts)
        for start in starts:
            # FunASR's integrate-and-fire fails on a batch whose last row fires nothing
            batch = sorted((made[index] for index in order[start : start + BATCH]), key=lambda one: len(one.tokens))
            if not batch[-1].tokens:
                continue
            features = pad_sequence([(example.features + shift) * scale for example in batch], batch_first=True)
            tokens = pad_sequence(
                [torch.tensor(example.tokens, dtype=torch.long) for example in batch],
                batch_first=True,
                padding_value=-1,
            )
            yield (
                features,
                torch.tensor([len(example.features) for example in batch]),
                tokens,
                torch.tensor([len(example.tokens) for example in batch]),
            )


def _offline_losses(
    model: nn.Module, features: torch.Tensor, lengths: torch.Tensor, tokens: torch.Tensor, token_lengths: torch.Tensor
) -> torch.Tensor:
    loss, _, _ = model(features, lengths, tokens, token_lengths)
    return loss


def _streaming_losses(
    model: nn.Module, features: torch.Tensor, lengths: torch.Tensor, tokens: torch.Tensor, token_lengths: torch.Tensor
) -> torch.Tensor:
    """FunASR's losses of chunked training, over what `forward_chunk` will see: empty frames before the first one.

    The positions are added before those frames are, so the encoder's own embedding is done here.
    """
    encoder = model.encoder
    kind = encoder.overlap_chunk_cls.random_choice(True)
    ahead = CHUNK_SIZES[kind] - STRIDES[kind]
    scale = encoder.output_size() ** 0.5
    embedded = encoder.embed(features * scale) / scale
    padded = torch.cat([embedded.new_zeros(embedded.size(0), ahead, embedded.size(2)), embedded], dim=1)
    embed, encoder.embed = encoder.embed, None
    try:
        encoded, encoded_lengths, _ = encoder(padded, lengths + ahead, ind=kind)
    finally:
        encoder.embed = embed
    # remove_chunk works in place
    whole, whole_lengths = encoder.overlap_chunk_cls.remove_chunk(encoded.clone(), encoded_lengths, chunk_outs=None)
    ctc, _ = model._calc_ctc_loss(whole, whole_lengths, tokens, token_lengths)
    attention, _, _, _, length, _ = model._calc_att_predictor_loss(encoded, encoded_lengths, tokens, token_lengths)
    return CTC_WEIGHT * ctc + (1 - CTC_WEIGHT) * attention + model.predictor_weight * length


# -------------------------------------------------------------------------------------------------------- evaluation


def load(folder: Path) -> AutoModel:
    return AutoModel(model=str(folder), device="cpu", ncpu=1, disable_update=True, disable_pbar=True, log_level="ERROR")
