"""A small CT-Transformer in FunASR's layout: punctuation for the sentences the small recognisers understand."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from funasr.register import tables
from sentences import MARKS, Sentence, tokens_of, vocabulary
from torch import nn
from torch.nn.utils.rnn import pad_sequence

DIMENSION, FEED_FORWARD, HEADS, BLOCKS = 64, 128, 4, 2
PUNCTUATION = ("<unk>", "_", "，", "。", "？", "、")
"""the official model's list: `_` is none, and the marks of both scripts are one"""
_AS_MARK = {",": "，", ".": "。", "?": "？"}
_NONE = PUNCTUATION.index("_")
_IGNORED = 0
_BATCH, _LEARNING_RATE = 32, 2e-3
_LONGEST = 3
"""sentences in a row"""


def configuration() -> dict[str, Any]:
    """`config.yaml`."""
    return {
        "model": "CTTransformer",
        "model_conf": {
            "ignore_id": _IGNORED,
            "embed_unit": DIMENSION,
            "att_unit": DIMENSION,
            "dropout_rate": 0.0,
            "punc_list": list(PUNCTUATION),
            "punc_weight": [1.0] * len(PUNCTUATION),
            "sentence_end_id": PUNCTUATION.index("。"),
        },
        "encoder": "SANMEncoder",
        "encoder_conf": {
            "input_size": DIMENSION,
            "output_size": DIMENSION,
            "attention_heads": HEADS,
            "linear_units": FEED_FORWARD,
            "num_blocks": BLOCKS,
            "dropout_rate": 0.0,
            "positional_dropout_rate": 0.0,
            "attention_dropout_rate": 0.0,
            "input_layer": "pe",
            "normalize_before": True,
            "kernel_size": 11,
            "sanm_shfit": 0,
            "selfattention_layer_type": "sanm",
        },
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>"},
    }


def train(sentences: Sequence[Sentence], steps: int, folder: Path, report: Callable[[str], None]) -> None:
    """Train on random runs of sentences and write what `AutoModel(model=folder)` expects to find."""
    configured = configuration()
    words = vocabulary()
    model_class = tables.model_classes[configured["model"]]
    parts = {key: value for key, value in configured.items() if key not in {"model", "model_conf"}}
    model: nn.Module = model_class(**configured["model_conf"], vocab_size=len(words), **parts)
    model.punc_weight = torch.tensor(model.punc_weight)  # its loss expects one, its constructor keeps the list
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    ids = {word: index for index, word in enumerate(words)}
    model.train()
    for step in range(steps):
        rows = [_labelled(random.choices(sentences, k=random.randint(1, _LONGEST)), ids) for _ in range(_BATCH)]
        tokens = pad_sequence([torch.tensor(row[0]) for row in rows], batch_first=True)
        marks = pad_sequence([torch.tensor(row[1]) for row in rows], batch_first=True, padding_value=_IGNORED)
        lengths = torch.tensor([len(row[0]) for row in rows])
        loss, _, _ = model(tokens, marks, lengths, lengths)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            report(f"step {step + 1}/{steps}: loss {loss.item():.4f}")
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "model.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump(configured, sort_keys=False, allow_unicode=True), "utf-8")
    (folder / "tokens.json").write_text(json.dumps(words, ensure_ascii=False, indent=0), "utf-8")
    pointers = {
        "framework": "pytorch",
        "task": "punctuation",
        "model": {"type": "funasr"},
        "file_path_metas": {
            "init_param": "model.pt",
            "config": "config.yaml",
            "tokenizer_conf": {"token_list": "tokens.json"},
        },
    }
    (folder / "configuration.json").write_text(json.dumps(pointers, indent=2) + "\n", "utf-8")


def _labelled(sentences: Sequence[Sentence], ids: dict[str, int]) -> tuple[list[int], list[int]]:
    """Token ids of a run of sentences, and for each token the mark that follows it."""
    tokens: list[int] = []
    marks: list[int] = []
    for sentence in sentences:
        clause = ""
        for character in sentence.text:
            if character not in MARKS:
                clause += character
                continue
            words = [ids[word] for word in tokens_of(clause)]
            tokens += words
            marks += [_NONE] * (len(words) - 1) + [PUNCTUATION.index(_AS_MARK.get(character, character))]
            clause = ""
    return tokens, marks
