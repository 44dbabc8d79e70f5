"""The models Talkover knows by name: where they are, what they weigh, what their licence is and which files they need.

Licences are those of the model cards, and a card is written per hub: the Paraformer family is Apache-2.0 on ModelScope,
while its copies on Hugging Face refer to the FunASR Model Licence. Sizes are rounded and only for the user to choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Hub = Literal["modelscope", "huggingface"]

FREE_LICENCES = frozenset({"Apache-2.0", "MIT"})
"""what is downloaded without asking"""
FUNASR_LICENCE = "FunASR Model Licence 1.1"

DEFAULT_MODELS = {"sensevoice": "sensevoice-small", "whisper": "whisper-small", "cosyvoice2": "cosyvoice2-0.5b"}
"""engine -> the model it takes when none is configured"""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Source:
    """One place a model can be had from."""

    hub: Hub
    repo: str
    """owner/name"""
    licence: str | None
    """of the weights, by the model card there; None: not known"""
    revision: str | None = None
    """tag, branch or commit; None: what the hub gives"""
    sha256: Mapping[str, str] = field(default_factory=dict[str, str])
    """path -> checksum, where one is published for this revision"""

    @property
    def is_free(self) -> bool:
        return self.licence in FREE_LICENCES


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One entry of `talkover models list`."""

    name: str
    purpose: str
    size_mb: int
    """about, in 10^6 bytes"""
    sources: tuple[Source, ...]
    """best first"""
    files: tuple[str, ...]
    """without these it cannot be loaded"""
    wanted: tuple[str, ...] = ("*",)
    """patterns of what is worth downloading"""

    @property
    def repos(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source.repo for source in self.sources))


_PARAFORMER_FILES = ("config.yaml", "model.pt", "tokens.json", "am.mvn")
_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json")
_FUNASR_WANTED = ("*.yaml", "*.json", "*.pt", "*.mvn", "*.model", "*.dict", "*_dict", "README.md", "LICENSE*")


def _whisper(size: str, size_mb: int, repo: str = "") -> KnownModel:
    source = Source("huggingface", repo or f"Systran/faster-whisper-{size}", "MIT")
    wanted = ("*.json", "model.bin", "vocabulary.*", "README.md")
    return KnownModel(f"whisper-{size}", "Whisper for faster-whisper", size_mb, (source,), _WHISPER_FILES, wanted)


CATALOGUE: tuple[KnownModel, ...] = (
    KnownModel(
        "paraformer-zh",
        "Mandarin and English, final pass with hotwords (SeACo)",
        990,
        (
            Source(
                "modelscope",
                "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
                "Apache-2.0",
                "v2.0.4",
            ),
            Source("huggingface", "funasr/paraformer-zh", FUNASR_LICENCE),
        ),
        (*_PARAFORMER_FILES, "seg_dict"),
        _FUNASR_WANTED,
    ),
    KnownModel(
        "paraformer-zh-contextual",
        "Mandarin, final pass with hotwords (the earlier contextual model)",
        860,
        (
            Source(
                "modelscope", "iic/speech_paraformer-large-contextual_asr_nat-zh-cn-16k-common-vocab8404", "Apache-2.0"
            ),
        ),
        _PARAFORMER_FILES,
        _FUNASR_WANTED,
    ),
    KnownModel(
        "paraformer-zh-streaming",
        "Mandarin and English, partials while the user speaks",
        880,
        (
            Source(
                "modelscope",
                "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online",
                "Apache-2.0",
                "v2.0.4",
            ),
            Source(
                "huggingface",
                "funasr/paraformer-zh-streaming",
                FUNASR_LICENCE,
                "45df2405b92dfeb21e01ea4465954677005ae370",
                {"model.pt": "4fdfb48ed4471777c9a511e96a2acae17f77cac9d709cc756634622769192a64"},
            ),
        ),
        _PARAFORMER_FILES,
        _FUNASR_WANTED,
    ),
    KnownModel(
        "ct-punc",
        "punctuation for Mandarin and English",
        1130,
        (
            Source("modelscope", "iic/punc_ct-transformer_cn-en-common-vocab471067-large", "Apache-2.0", "v2.0.4"),
            Source("huggingface", "funasr/ct-punc", FUNASR_LICENCE),
        ),
        ("config.yaml", "model.pt", "tokens.json"),
        _FUNASR_WANTED,
    ),
    KnownModel(
        "sensevoice-small",
        "five languages with emotion and events",
        940,
        (
            Source("modelscope", "iic/SenseVoiceSmall", FUNASR_LICENCE),
            Source("huggingface", "FunAudioLLM/SenseVoiceSmall", FUNASR_LICENCE),
        ),
        ("config.yaml", "model.pt", "am.mvn", "chn_jpn_yue_eng_ko_spectok.bpe.model"),
        _FUNASR_WANTED,
    ),
    KnownModel(
        "cosyvoice2-0.5b",
        "speech synthesis, several languages, voices from a sample",
        3100,
        (
            Source("modelscope", "iic/CosyVoice2-0.5B", "Apache-2.0"),
            Source("huggingface", "FunAudioLLM/CosyVoice2-0.5B", "Apache-2.0"),
        ),
        (
            "cosyvoice2.yaml",
            "llm.pt",
            "flow.pt",
            "hift.pt",
            "campplus.onnx",
            "speech_tokenizer_v2.onnx",
            "CosyVoice-BlankEN/config.json",
            "CosyVoice-BlankEN/vocab.json",
            "CosyVoice-BlankEN/merges.txt",
        ),
        (
            "cosyvoice2.yaml",
            "llm.pt",
            "flow.pt",
            "hift.pt",
            "spk2info.pt",
            "campplus.onnx",
            "speech_tokenizer_v2.onnx",
            "CosyVoice-BlankEN/*.json",  # not the weights there: those of llm.pt take their place
            "CosyVoice-BlankEN/merges.txt",
            "README.md",
            "LICENSE*",
        ),
    ),
    _whisper("tiny", 78),
    _whisper("base", 148),
    _whisper("small", 486),
    _whisper("large-v3", 3090),
)


def known_model(name: str) -> KnownModel | None:
    """The entry called `name`, by its short name or one of its hub names, in any case."""
    wanted = name.lower()
    for model in CATALOGUE:
        if wanted == model.name or wanted in (repo.lower() for repo in model.repos):
            return model
    return None


def model_called(name: str) -> KnownModel | None:
    """The entry called `name`, or one made up for a hub name (`owner/name`) that is not listed; None for other names.

    Of a model that is not listed neither licence nor size nor files are known.
    """
    known = known_model(name)
    if known is not None or not is_hub_name(name):
        return known
    sources = (Source("modelscope", name, None), Source("huggingface", name, None))
    return KnownModel(name, "not in the list", 0, sources, ())


def is_hub_name(text: str) -> bool:
    """Whether `text` has the form owner/name."""
    return _HUB_NAME.fullmatch(text) is not None
