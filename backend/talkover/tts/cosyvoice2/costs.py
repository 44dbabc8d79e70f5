"""The released dimensions of CosyVoice2 with random weights, and single costs of its stages. Needs torch.

On a CPU the unit is processor time of one thread, which other processes on the machine inflate less than wall time; on
CUDA it is wall time up to a synchronisation.
"""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from talkover.tts.cosyvoice2.configuration import (
    EULER_STEPS,
    CfmConfig,
    CosyVoice2Config,
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    HiftConfig,
    LlmConfig,
    MelConfig,
    QwenConfig,
    SamplingConfig,
)
from talkover.tts.cosyvoice2.decoding import UtteranceDecoding
from talkover.tts.cosyvoice2.flow import Flow, FlowState
from talkover.tts.cosyvoice2.flow_decoder import WholeFrames
from talkover.tts.cosyvoice2.flow_encoder import WholeInput, chunk_mask
from talkover.tts.cosyvoice2.hift import Hift
from talkover.tts.cosyvoice2.language_model import LanguageModel, TextSpeechModel, load_text_speech_model
from talkover.tts.cosyvoice2.streaming import IncrementalSound, ReleasedHops, aligned_prompt
from talkover.tts.cosyvoice2.vocoder import CompatibleVocoder, SeamlessVocoder
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt, voice_prompt

BLOCK_ROUNDS, BLOCK_STEPS = 3, 5
PROMPT_IDS, TEXT_IDS, PROMPT_TEXT_IDS = 75, 30, 20
BLOCK_IDS = 25
LM_STEPS = 6
_SHARE_OF_FREE_MEMORY = 0.6
M = TypeVar("M", bound=nn.Module)
_KERNELS = ((3, 7, 11), (7, 7, 11))
_DILATIONS = ((1, 3, 5),) * 3

RELEASED = CosyVoice2Config(
    sample_rate_hz=24_000,
    llm=LlmConfig(
        qwen=QwenConfig(
            vocab_size=151_936,
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            max_position_embeddings=32_768,
            rope_theta=1e6,
            rms_norm_eps=1e-6,
        ),
        speech_token_size=6561,
        mix_ratio=(5, 15),
    ),
    sampling=SamplingConfig(),
    flow=FlowConfig(
        input_size=512,
        output_size=80,
        spk_embed_dim=192,
        vocab_size=6561,
        input_frame_rate=25,
        token_mel_ratio=2,
        pre_lookahead_len=3,
        encoder=EncoderConfig(
            output_size=512, attention_heads=8, linear_units=2048, num_blocks=6, static_chunk_size=BLOCK_IDS
        ),
        estimator=EstimatorConfig(
            in_channels=320,
            out_channels=80,
            channels=(256,),
            attention_head_dim=64,
            n_blocks=4,
            num_mid_blocks=12,
            num_heads=8,
            static_chunk_size=2 * BLOCK_IDS,
        ),
        cfm=CfmConfig(),
    ),
    hift=HiftConfig(
        in_channels=80,
        base_channels=512,
        nb_harmonics=8,
        sampling_rate=24_000,
        nsf_alpha=0.1,
        nsf_sigma=0.003,
        nsf_voiced_threshold=10.0,
        upsample_rates=(8, 5, 3),
        upsample_kernel_sizes=(16, 11, 7),
        istft_n_fft=16,
        istft_hop_len=4,
        resblock_kernel_sizes=_KERNELS[0],
        resblock_dilation_sizes=_DILATIONS,
        source_resblock_kernel_sizes=_KERNELS[1],
        source_resblock_dilation_sizes=_DILATIONS,
        lrelu_slope=0.1,
        audio_limit=0.99,
        f0_cond_channels=512,
    ),
    mel=MelConfig(),
)


def device_and_dtype(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """As asked for; else CUDA with bfloat16 when there is one, a CPU with float32."""
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return chosen, named.get(dtype, torch.bfloat16 if chosen.type == "cuda" else torch.float32)


class Measured:
    """The models, and what their stages cost in seconds."""

    def __init__(self, device: torch.device, dtype: torch.dtype, *, wall: bool = False) -> None:
        """`wall`: on a CPU measure wall time of all cores instead of processor time of one."""
        self._wall = wall or device.type == "cuda"
        if not self._wall:
            torch.set_num_threads(1)
        torch.manual_seed(0)
        self._device, self._dtype = device, dtype
        self.flow = _ready(Flow(RELEASED.flow), device, dtype)
        self._hift = _ready(_calm(Hift(RELEASED.hift)), device, torch.float32)
        self._lm: LanguageModel | None = None
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(0, 6561, (PROMPT_IDS,), generator=generator).tolist()
        mel = torch.randn(1, 2 * PROMPT_IDS, 80, generator=generator)
        self._prompt: VoicePrompt = voice_prompt((), ids, mel, torch.randn(1, 192, generator=generator))
        self._filled: set[int] = set()
        self.threads = torch.get_num_threads()

    @property
    def described(self) -> str:
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else "CPU"
        return f"{name}, {str(self._dtype).removeprefix('torch.')}, torch {torch.__version__}"

    @property
    def unit(self) -> str:
        return "s" if self._wall else "CPU s"

    @property
    def unit_meaning(self) -> str:
        return "wall time" if self._wall else "CPU s: processor time, one thread"

    @property
    def memory_meaning(self) -> str:
        return "of the device" if self._device.type == "cuda" else "resident, of the whole process"

    def peak_memory_gb(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

    def now_s(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() if self._wall else time.process_time()

    def cost(self, work: Callable[[], object]) -> float:
        before_s = self.now_s()
        work()
        return self.now_s() - before_s

    # -------------------------------------------------------------------------------------------------------- flow

    def has_room(self, seconds: int) -> bool:
        """Whether the keys and values of so much speech and the prompt fit into memory with ease."""
        wanted = self.flow.bytes_per_second() * (seconds + PROMPT_IDS / 25)
        return wanted < _SHARE_OF_FREE_MEMORY * _free_memory(self._device)

    @torch.inference_mode()
    def prompt_cost(self) -> float:
        return self.cost(lambda: self.flow.prompt_state(self._prompt))

    @torch.inference_mode()
    def block_costs(self, places: Sequence[int], context_s: float) -> dict[int, float]:
        """Of the blocks that make these seconds: ten times the median step, and the encoder. They take turns."""
        self.flow.limit_context(context_s)
        encoder: dict[int, list[float]] = {place: [] for place in places}
        steps: dict[int, list[float]] = {place: [] for place in places}
        for _ in range(BLOCK_ROUNDS):
            for place in places:
                first, *others = self._some_steps(place)
                steps[place] += others
                encoder[place].append(first - statistics.median(others))
        return {
            place: EULER_STEPS * statistics.median(steps[place]) + max(0.0, statistics.median(encoder[place]))
            for place in places
        }

    def _some_steps(self, at_s: int) -> list[float]:
        """Costs of the first steps of the block that makes second number `at_s`; the first has the encoder in it."""
        state = self.flow.start(self.flow.prompt_state(self._prompt))
        try:
            self._go_to(state, at_s - 1)
            work = self.flow.extend(state, [7] * self.flow.ids_until_block(state))
            return [self.cost(lambda: next(work)) for _ in range(BLOCK_STEPS)]
        finally:
            state.close()

    def _go_to(self, state: FlowState, seconds: int) -> None:
        """As if so much had been spoken: counters set, memory filled."""
        n_ids = seconds * BLOCK_IDS
        state.encoder.reserve(n_ids)
        state.encoder.advance(n_ids)
        state.decoder.skip(2 * n_ids)
        for tensor in (*state.encoder.stores, state.decoder.store):
            if tensor.data_ptr() not in self._filled:  # the first touch of memory is dear
                tensor.fill_(0.1)
        self._filled.add(state.decoder.store.data_ptr())

    @torch.inference_mode()
    def whole_call_cost(self, frames: int) -> float:
        """Of a call that computes so many frames at once, as the released code does for every hop."""
        flow, ids = self.flow, [7] * (frames // 2)
        mask = chunk_mask(frames, 2 * BLOCK_IDS, self._device)
        mu = torch.zeros(1, frames, 80, device=self._device, dtype=self._dtype)
        speaker = flow.speaker(self._prompt.speaker)
        x = torch.randn(1, frames, 80, device=self._device)

        def encode() -> None:
            embedded = flow.input_embedding(torch.tensor([ids], device=self._device))
            flow.encoder_proj(flow.encoder(embedded, embedded[:, :0], WholeInput(), chunked=True))

        def step() -> None:
            flow.decoder.velocity(x, 0.5, mu, speaker, mu, WholeFrames(mask))

        encode()
        repeats = 3 if frames < 400 else 1
        return self.cost(encode) + 10 * statistics.median([self.cost(step) for _ in range(repeats)])

    @torch.inference_mode()
    def incremental_run(self, seconds: int) -> float:
        self.flow.limit_context(seconds)
        prompt = self.flow.prompt_state(self._prompt)

        def run() -> None:
            state = self.flow.start(prompt)
            list(self.flow.extend(state, [7] * (seconds * BLOCK_IDS), last=True))
            state.close()

        return self.cost(run)

    @torch.inference_mode()
    def recomputing_run(self, seconds: int) -> float:
        ids, prompt, hops = [7] * (seconds * BLOCK_IDS), self._prompt, ReleasedHops(PROMPT_IDS)

        def run() -> None:
            for hop in iter(lambda: hops.next(len(ids), ended=True), None):
                self.flow.whole(
                    ids[: hop.end],
                    prompt.flow_speech_ids,
                    prompt.mel,
                    prompt.speaker,
                    streaming=not hop.last,
                    finalize=hop.last,
                )

        return self.cost(run)

    @torch.inference_mode()
    def bounded_deviation(self, context_s: float = 4.0, seconds: int = 12) -> float:
        """Mean difference of the mel from the exact one, in its standard deviation; of a small flow of random weights.

        At the released size this would cost minutes, and weights that were not trained say little about it anyway.
        """
        small = replace(
            RELEASED.flow,
            input_size=64,
            encoder=replace(RELEASED.flow.encoder, output_size=64, attention_heads=4, linear_units=128, num_blocks=2),
            estimator=replace(
                RELEASED.flow.estimator,
                channels=(64,),
                attention_head_dim=24,
                n_blocks=2,
                num_mid_blocks=2,
                num_heads=4,
            ),
        )
        torch.manual_seed(2)
        flow = _ready(Flow(small), self._device, torch.float32)
        ids = torch.randint(0, 6561, (seconds * BLOCK_IDS,), generator=torch.Generator().manual_seed(3)).tolist()
        mels: list[torch.Tensor] = []
        for context in (float(seconds + 1), context_s):
            flow.limit_context(context)
            state = flow.start(flow.prompt_state(self._prompt))
            blocks = [mel for mel in flow.extend(state, ids, last=True) if mel is not None]
            mels.append(torch.cat(blocks, dim=2)[:, :, int(100 * context_s) :])
            state.close()
        exact, bounded = mels
        return float((bounded - exact).abs().mean() / exact.std())

    # ----------------------------------------------------------------------------------------------------- vocoder

    @torch.inference_mode()
    def vocoder_cost(self, *, seamless: bool) -> float:
        vocoder = (SeamlessVocoder if seamless else CompatibleVocoder)(self._hift)
        stream = vocoder.start()
        mel = torch.randn(1, 80, 50, device=self._device)
        stream.extend(mel)
        return statistics.median([self.cost(lambda: stream.extend(mel)) for _ in range(3)])

    # ---------------------------------------------------------------------------------------------- language model

    @property
    def lm(self) -> LanguageModel:
        if self._lm is None:
            with torch.device("meta"):
                model = TextSpeechModel(RELEASED.llm)
            model = model.to_empty(device="cpu")
            for parameter in model.parameters():
                nn.init.normal_(parameter, std=0.02)
            ready = load_text_speech_model(model.state_dict(), RELEASED.llm, self._device, self._dtype)
            self._lm = LanguageModel(ready, RELEASED.llm, RELEASED.sampling, max_requests=16, capacity=512)
        return self._lm

    def lm_step_cost(self, n_requests: int) -> float:
        """Of one step for so many requests that all decode."""
        requests = [
            self.lm.open(UtteranceDecoding(RELEASED.llm, [7], n_ids=(LM_STEPS + 4, LM_STEPS + 4)), seed=n)
            for n in range(n_requests)
        ]
        self.lm.step(requests)
        self.lm.step(requests)
        costs = [self.cost(lambda: self.lm.step(requests)) for _ in range(LM_STEPS)]
        for request in requests:
            self.lm.close(request)
        return statistics.median(costs)

    def first_chunk(self, first_ids: int) -> tuple[float, float, int]:
        """From text to the first samples, for a voice spoken with before: cost, seconds of audio, ids it took."""
        prompt = aligned_prompt(self._prompt, first_ids)
        vocoder = SeamlessVocoder(self._hift, early=True)
        self.flow.limit_context(2)
        with torch.inference_mode():
            state = self.flow.start(self.flow.prompt_state(prompt))
            state.decoder.store[:, :, :, :, :, state.decoder.frames :].fill_(0.1)  # as an utterance before has done
            state.close()
        n_ids = first_ids + 3
        decoding = UtteranceDecoding(
            RELEASED.llm, [7] * TEXT_IDS, [9] * PROMPT_TEXT_IDS, prompt.lm_speech_ids, n_ids=(n_ids, n_ids)
        )
        before_s = self.now_s()
        request, taken = self.lm.open(decoding), 0
        sound = IncrementalSound(self.flow, vocoder, prompt)
        samples = None
        while not request.finished:
            made = [number for number in self.lm.step([request]) if number is not None]
            taken += len(made)
            sound.push(made)
        with torch.inference_mode():
            while samples is None or not samples.size:
                samples = sound.step()
        cost = self.now_s() - before_s
        self.lm.close(request)
        sound.close()
        return cost, samples.size / RELEASED.sample_rate_hz, taken


def _ready(module: M, device: torch.device, dtype: torch.dtype) -> M:
    return module.to(device=device, dtype=dtype).eval().requires_grad_(False)


def _calm(hift: Hift) -> Hift:
    """Small weights, as vocoders are initialised: sines of large arguments cost ten times as much."""
    for parameter in hift.parameters():
        if parameter.dim() == 3:
            nn.init.normal_(parameter, std=0.01)
    return hift


def _free_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(1024.0 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return math.inf
