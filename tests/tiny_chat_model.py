"""A chat model small enough to be made in a test: random weights, a byte-level tokenizer, a template with functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TEMPLATE = """{%- if tools %}<|im_start|>tools
{%- for tool in tools %} {{ tool.function.name }}{% endfor %}<|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %} {{ call.function.name }}{% endfor %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
PLAIN_TEMPLATE = """{%- for message in messages %}{%- if message.role == 'tool' %}{{ raise_exception('no tools') }}
{%- endif %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def needs_transformers() -> None:
    pytest.importorskip("torch", reason="needs the extra 'full'")
    pytest.importorskip("transformers", reason="needs the extra 'full'")


def make_chat_model(folder: Path, kind: str = "llama", template: str = TEMPLATE) -> Path:
    """A model folder as one downloads it. `kind` is llama or qwen2."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
        Qwen2Config,
        Qwen2ForCausalLM,
    )
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    alphabet = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]  # ASCII, a space and a line's end in byte-level BPE
    core = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "initializer_range": 0.3,
    }
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig(**sizes)) if kind == "llama" else Qwen2ForCausalLM(Qwen2Config(**sizes))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
