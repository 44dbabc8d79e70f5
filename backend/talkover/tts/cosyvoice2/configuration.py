"""The dimensions of a checkpoint, from the files that come with it.

Only what the inference uses is read from `cosyvoice2.yaml` (see `hyperpyyaml.py` for its dialect). The dimensions of
the language model's body are not in that file but in `CosyVoice-BlankEN/config.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.hyperpyyaml import parse_hyperpyyaml
from talkover.tts.cosyvoice2.typed_values import ValueReader

YAML_NAME = "cosyvoice2.yaml"
TEXT_FOLDER = "CosyVoice-BlankEN"
"""tokenizer and dimensions of the Qwen2 body"""

SPEECH_TOKENS_PER_S = 25
MEL_FRAMES_PER_TOKEN = 2
SAMPLES_PER_MEL_FRAME = 480
UP_BLOCKS = 4
"""conformer layers after the up-sampling; not configurable in the released code"""
EULER_STEPS = 10
"""likewise"""


@dataclass(frozen=True, slots=True)
class QwenConfig:
    """Dimensions of the Qwen2 body."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True, slots=True)
class LlmConfig:
    """The text-speech language model around the body."""

    qwen: QwenConfig
    speech_token_size: int
    """6561 = 3^8 codes; three more ids end an utterance or mark a border"""
    mix_ratio: tuple[int, int]
    """text ids and speech ids of one block when text streams in"""

    @property
    def eos(self) -> int:
        """End of speech."""
        return self.speech_token_size

    @property
    def fill(self) -> int:
        """Asks for the next text ids when text streams in."""
        return self.speech_token_size + 2

    @property
    def n_outputs(self) -> int:
        """Speech ids, end of speech, a reserved id, fill."""
        return self.speech_token_size + 3


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """Repetition-aware sampling."""

    top_p: float = 0.8
    top_k: int = 25
    win_size: int = 10
    """how many of the last ids count as recent"""
    tau_r: float = 0.1
    """share of the window from which on an id counts as repeated"""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Conformer over speech ids, before and after the up-sampling in time."""

    output_size: int
    attention_heads: int
    linear_units: int
    num_blocks: int
    static_chunk_size: int
    """ids that see each other when streaming"""


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """The network that estimates the flow's velocity."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    attention_head_dim: int
    n_blocks: int
    num_mid_blocks: int
    num_heads: int
    static_chunk_size: int
    """mel frames that see each other when streaming"""
    num_decoding_left_chunks: int = -1
    """ignored, as by the released code: all left context is used"""


@dataclass(frozen=True, slots=True)
class CfmConfig:
    """Conditional flow matching."""

    inference_cfg_rate: float = 0.7
    t_scheduler: str = "cosine"
    solver: str = "euler"
    sigma_min: float = 1e-6


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Speech ids to mel."""

    input_size: int
    output_size: int
    spk_embed_dim: int
    vocab_size: int
    input_frame_rate: int
    token_mel_ratio: int
    pre_lookahead_len: int
    encoder: EncoderConfig
    estimator: EstimatorConfig
    cfm: CfmConfig


@dataclass(frozen=True, slots=True)
class HiftConfig:
    """Mel to samples."""

    in_channels: int
    base_channels: int
    nb_harmonics: int
    sampling_rate: int
    nsf_alpha: float
    nsf_sigma: float
    nsf_voiced_threshold: float
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    istft_n_fft: int
    istft_hop_len: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    source_resblock_kernel_sizes: tuple[int, ...]
    source_resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    lrelu_slope: float
    audio_limit: float
    f0_cond_channels: int


@dataclass(frozen=True, slots=True)
class MelConfig:
    """The mel spectrogram of a prompt."""

    n_fft: int = 1920
    num_mels: int = 80
    sampling_rate: int = 24_000
    hop_size: int = 480
    win_size: int = 1920
    fmin: float = 0.0
    fmax: float = 8000.0


@dataclass(frozen=True, slots=True)
class CosyVoice2Config:
    """Everything about a checkpoint that is not a weight."""

    sample_rate_hz: int
    llm: LlmConfig
    sampling: SamplingConfig
    flow: FlowConfig
    hift: HiftConfig
    mel: MelConfig


# ------------------------------------------------------------------------------------------------------- from files


def load_configuration(folder: Path) -> CosyVoice2Config:
    """Of a model folder in the official layout. Raises EngineUnavailable with everything that is wrong."""
    tree = parse_hyperpyyaml(_text_of(folder / YAML_NAME), str(folder / YAML_NAME))
    path = folder / TEXT_FOLDER / "config.json"
    return from_yaml_tree(tree, _json_object(path), f"{folder / YAML_NAME} and {path}")


def load_golden_configuration(folder: Path) -> CosyVoice2Config:
    """Of a folder of reference outputs: its `config.json` holds all dimensions. Raises EngineUnavailable."""
    return from_golden_tree(_json_object(folder / "config.json"), str(folder / "config.json"))


def from_golden_tree(tree: Mapping[str, Any], origin: str) -> CosyVoice2Config:
    reader = ValueReader(tree)
    llm, flow, hift = reader.section("llm"), reader.section("flow"), reader.section("hift")
    return _finished(
        reader,
        origin,
        llm=llm,
        qwen=llm.section("qwen"),
        sampling=llm.section("sampling"),
        flow=flow,
        estimator=flow.section("estimator"),
        cfm=flow.section("cfm"),
        hift=hift,
        f0_cond_channels=hift.whole("f0_cond_channels"),
        sample_rate_hz=hift.whole("sampling_rate"),
        mel=reader.section("feat_extractor", optional=True),
    )


def from_yaml_tree(tree: Mapping[str, Any], qwen: Mapping[str, Any], origin: str) -> CosyVoice2Config:
    """`tree`: what `parse_hyperpyyaml` gives; `qwen`: the body's config.json."""
    reader = ValueReader(tree)
    body = ValueReader(qwen, f"{TEXT_FOLDER}/config.json ", reader.problems)
    if (kind := qwen.get("model_type")) != "qwen2":
        reader.problems.append(f"{TEXT_FOLDER}/config.json model_type: must be 'qwen2', got {kind!r}")
    llm, flow, hift = reader.section("llm"), reader.section("flow"), reader.section("hift")
    decoder = flow.section("decoder")
    params = decoder.section("cfm_params")
    return _finished(
        reader,
        origin,
        llm=llm,
        qwen=body,
        sampling=llm.section("sampling"),
        flow=flow,
        estimator=decoder.section("estimator"),
        cfm=params.section("content") if "content" in params.tree else params,
        hift=hift,
        f0_cond_channels=hift.section("f0_predictor").whole("cond_channels"),
        sample_rate_hz=reader.whole("sample_rate"),
        mel=reader.section("feat_extractor", optional=True),
    )


def _finished(
    reader: ValueReader,
    origin: str,
    *,
    llm: ValueReader,
    qwen: ValueReader,
    sampling: ValueReader,
    flow: ValueReader,
    estimator: ValueReader,
    cfm: ValueReader,
    hift: ValueReader,
    f0_cond_channels: int,
    sample_rate_hz: int,
    mel: ValueReader,
) -> CosyVoice2Config:
    encoder, istft = flow.section("encoder"), hift.section("istft_params")
    config = CosyVoice2Config(
        sample_rate_hz=sample_rate_hz,
        llm=LlmConfig(
            qwen=QwenConfig(
                vocab_size=qwen.whole("vocab_size"),
                hidden_size=qwen.whole("hidden_size"),
                intermediate_size=qwen.whole("intermediate_size"),
                num_hidden_layers=qwen.whole("num_hidden_layers"),
                num_attention_heads=qwen.whole("num_attention_heads"),
                num_key_value_heads=qwen.whole("num_key_value_heads"),
                max_position_embeddings=qwen.whole("max_position_embeddings"),
                rope_theta=qwen.number("rope_theta", 1e6),
                rms_norm_eps=qwen.number("rms_norm_eps", 1e-6),
            ),
            speech_token_size=llm.whole("speech_token_size"),
            mix_ratio=_pair(llm.wholes("mix_ratio", (5, 15))),
        ),
        sampling=SamplingConfig(
            top_p=sampling.number("top_p", 0.8),
            top_k=sampling.whole("top_k", 25),
            win_size=sampling.whole("win_size", 10),
            tau_r=sampling.number("tau_r", 0.1),
        ),
        flow=FlowConfig(
            input_size=flow.whole("input_size"),
            output_size=flow.whole("output_size"),
            spk_embed_dim=flow.whole("spk_embed_dim"),
            vocab_size=flow.whole("vocab_size"),
            input_frame_rate=flow.whole("input_frame_rate", SPEECH_TOKENS_PER_S),
            token_mel_ratio=flow.whole("token_mel_ratio", MEL_FRAMES_PER_TOKEN),
            pre_lookahead_len=flow.whole("pre_lookahead_len", 3),
            encoder=EncoderConfig(
                output_size=encoder.whole("output_size"),
                attention_heads=encoder.whole("attention_heads"),
                linear_units=encoder.whole("linear_units"),
                num_blocks=encoder.whole("num_blocks"),
                static_chunk_size=encoder.whole("static_chunk_size"),
            ),
            estimator=EstimatorConfig(
                in_channels=estimator.whole("in_channels"),
                out_channels=estimator.whole("out_channels"),
                channels=estimator.wholes("channels"),
                attention_head_dim=estimator.whole("attention_head_dim"),
                n_blocks=estimator.whole("n_blocks"),
                num_mid_blocks=estimator.whole("num_mid_blocks"),
                num_heads=estimator.whole("num_heads"),
                static_chunk_size=estimator.whole("static_chunk_size"),
                num_decoding_left_chunks=estimator.whole("num_decoding_left_chunks", -1, at_least=-1),
            ),
            cfm=CfmConfig(
                inference_cfg_rate=cfm.number("inference_cfg_rate", 0.7),
                t_scheduler=cfm.one_of("t_scheduler", ("cosine", "linear"), "cosine"),
                solver=cfm.one_of("solver", ("euler",), "euler"),
                sigma_min=cfm.number("sigma_min", 1e-6),
            ),
        ),
        hift=HiftConfig(
            in_channels=hift.whole("in_channels"),
            base_channels=hift.whole("base_channels"),
            nb_harmonics=hift.whole("nb_harmonics"),
            sampling_rate=hift.whole("sampling_rate"),
            nsf_alpha=hift.number("nsf_alpha", 0.1),
            nsf_sigma=hift.number("nsf_sigma", 0.003),
            nsf_voiced_threshold=hift.number("nsf_voiced_threshold", 10.0),
            upsample_rates=hift.wholes("upsample_rates"),
            upsample_kernel_sizes=hift.wholes("upsample_kernel_sizes"),
            istft_n_fft=istft.whole("n_fft"),
            istft_hop_len=istft.whole("hop_len"),
            resblock_kernel_sizes=hift.wholes("resblock_kernel_sizes"),
            resblock_dilation_sizes=hift.tables("resblock_dilation_sizes"),
            source_resblock_kernel_sizes=hift.wholes("source_resblock_kernel_sizes"),
            source_resblock_dilation_sizes=hift.tables("source_resblock_dilation_sizes"),
            lrelu_slope=hift.number("lrelu_slope", 0.1),
            audio_limit=hift.number("audio_limit", 0.99),
            f0_cond_channels=f0_cond_channels,
        ),
        mel=MelConfig(
            n_fft=mel.whole("n_fft", 1920),
            num_mels=mel.whole("num_mels", 80),
            sampling_rate=mel.whole("sampling_rate", 24_000),
            hop_size=mel.whole("hop_size", SAMPLES_PER_MEL_FRAME),
            win_size=mel.whole("win_size", 1920),
            fmin=mel.number("fmin", 0.0),
            fmax=mel.number("fmax", 8000.0),
        ),
    )
    problems = reader.problems or _contradictions(config)
    if problems:
        raise EngineUnavailable(f"{origin}: " + "; ".join(problems))
    return config


def _contradictions(config: CosyVoice2Config) -> list[str]:
    """What the parts must agree on, and what is built into the streaming."""
    flow, hift, qwen = config.flow, config.hift, config.llm.qwen
    samples_per_frame = math.prod(hift.upsample_rates) * hift.istft_hop_len
    facts = (
        ("sample_rate", config.sample_rate_hz, 24_000),
        ("hift.sampling_rate", hift.sampling_rate, config.sample_rate_hz),
        ("feat_extractor.sampling_rate", config.mel.sampling_rate, config.sample_rate_hz),
        ("samples of hift per mel frame", samples_per_frame, config.mel.hop_size),
        ("flow.input_frame_rate", flow.input_frame_rate, SPEECH_TOKENS_PER_S),
        ("flow.token_mel_ratio", flow.token_mel_ratio, MEL_FRAMES_PER_TOKEN),
        ("flow.vocab_size", flow.vocab_size, config.llm.speech_token_size),
        ("flow.output_size", flow.output_size, hift.in_channels),
        ("feat_extractor.num_mels", config.mel.num_mels, flow.output_size),
        ("estimator.out_channels", flow.estimator.out_channels, flow.output_size),
        ("estimator.in_channels", flow.estimator.in_channels, 4 * flow.output_size),
        (
            "estimator.static_chunk_size",
            flow.estimator.static_chunk_size,
            flow.token_mel_ratio * flow.encoder.static_chunk_size,
        ),
        ("hidden_size modulo num_attention_heads", qwen.hidden_size % qwen.num_attention_heads, 0),
        ("num_attention_heads modulo num_key_value_heads", qwen.num_attention_heads % qwen.num_key_value_heads, 0),
    )
    return [f"{name}: must be {wanted}, got {value}" for name, value, wanted in facts if value != wanted]


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (0, 0)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineUnavailable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _json_object(path: Path) -> dict[str, Any]:
    try:
        tree: Any = json.loads(_text_of(path))
    except json.JSONDecodeError as error:
        raise EngineUnavailable(f"{path} is not valid JSON: {error}") from error
    if not isinstance(tree, dict):
        raise EngineUnavailable(f"{path}: must hold an object, got {type(tree).__name__}")
    return tree
