"""A CosyVoice2 model folder in the official layout: small dimensions, random weights, noise for speech.

Tokenizer and ONNX networks are those of the golden selection; the weights are made anew, so that every test that needs
a voice has one without the whole golden pack.
"""

from __future__ import annotations

import shutil
from functools import reduce
from pathlib import Path

import pytest

from golden import SELECTION

FASTER = (
    ("n_blocks: 2", "n_blocks: 1"),
    ("num_blocks: 2", "num_blocks: 1"),
    ("num_mid_blocks: 2", "num_mid_blocks: 1"),
    ("channels: [64]", "channels: [32]"),
    ("base_channels: 32", "base_channels: 16"),
)
"""dimensions of the pack, made smaller still"""
EOS_BIAS = 6.0
"""makes the end of speech likely as soon as it is allowed, after two ids per id of the text"""


def write_model_folder(folder: Path) -> Path:
    """Writes `folder`, as downloaded from a hub, and returns it."""
    torch = pytest.importorskip("torch", reason="needs the extra 'full'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'full'")
    from talkover.tts.cosyvoice2.configuration import load_configuration
    from talkover.tts.cosyvoice2.flow import Flow
    from talkover.tts.cosyvoice2.hift import Hift
    from talkover.tts.cosyvoice2.language_model import LM_HEAD, TextSpeechModel

    shutil.copytree(SELECTION / "model_dir", folder)
    yaml = folder / "cosyvoice2.yaml"
    yaml.write_text(reduce(lambda text, change: text.replace(*change), FASTER, yaml.read_text()))
    config = load_configuration(folder)
    llm, flow, hift = TextSpeechModel(config.llm), Flow(config.flow), Hift(config.hift)
    generator = torch.Generator().manual_seed(1)
    for part in (llm, flow, hift):
        for parameter in part.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
            else:  # biases, gains of norms, slopes
                parameter.data.normal_(0.5, 0.1, generator=generator)
    llm.llm_decoder.bias.data[config.llm.eos] = EOS_BIAS
    llm_state = llm.state_dict()
    llm_state[LM_HEAD] = llm_state["llm.model.model.embed_tokens.weight"]
    torch.save(llm_state, folder / "llm.pt")
    torch.save(flow.state_dict(), folder / "flow.pt")
    torch.save(with_weight_norm(hift.state_dict()), folder / "hift.pt")
    return folder


def with_weight_norm(state):
    """As the vocoder is stored: the weight of most convolutions as gain and direction, all under `generator.`."""
    plain = ("source_downs", "m_source", "f0_predictor.classifier")
    stored = {}
    for name, value in state.items():
        if name.endswith(".weight") and not name.startswith(plain):
            gain = value.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1))
            stem = "generator." + name.removesuffix("weight") + "parametrizations.weight."
            stored |= {f"{stem}original0": gain, f"{stem}original1": 3 * value}
        else:
            stored[f"generator.{name}"] = value
    return stored
