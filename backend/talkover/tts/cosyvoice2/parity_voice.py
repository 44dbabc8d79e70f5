"""From a clip to what the models get, and seeded syntheses from text to samples in every mode."""

from __future__ import annotations

from collections.abc import Iterator

import soundfile
import torch
from torch import Tensor

from talkover.messages import Samples
from talkover.tts.cosyvoice2 import features as spectra
from talkover.tts.cosyvoice2.decoding import UtteranceDecoding
from talkover.tts.cosyvoice2.hift_source import CallNoise
from talkover.tts.cosyvoice2.onnx_models import SpeakerEncoder, SpeechTokenizer
from talkover.tts.cosyvoice2.parity_check import Check, Pack
from talkover.tts.cosyvoice2.vocoder import vocode

FEATURE, RESAMPLED, WAVE = 5e-4, 5e-6, 2e-3
_RATES_HZ = {"44k1": 44_100, "24k": 24_000, "16k": 16_000}


def features(pack: Pack) -> Iterator[Check]:
    g = {name: tensor.numpy() for name, tensor in pack.tensors("features").items()}
    yield Check.near("prompt mel", spectra.mel_spectrogram(g["wav24k"][0]), g["mel24k"], FEATURE)
    yield Check.near("filter bank", spectra.fbank(g["wav16k"][0])[0], g["fbank_mean_removed"], FEATURE)
    yield Check.near("log mel", spectra.log_mel(g["wav16k"][0]), g["whisper_logmel128"], FEATURE)
    for name in (name for name in g if name.startswith("resample_")):
        wanted = g[name][0]
        source, target = name.removeprefix("resample_").split("_to_")
        from_hz, to_hz = _RATES_HZ[source], _RATES_HZ[target]
        # how much of the wave was resampled is not recorded: these lengths give as many samples
        lengths = range((wanted.size - 1) * from_hz // to_hz + 1, wanted.size * from_hz // to_hz + 1)
        wave = g[f"wav{source}"][0]
        found = [
            Check.near("resampled", spectra.resample(wave[:length], from_hz, to_hz), wanted, RESAMPLED)
            for length in lengths
        ]
        yield min(found, key=lambda check: check.difference)


def models(pack: Pack) -> Iterator[Check]:
    g, folder = pack.tensors("frontend_cases"), pack.folder / "model_dir"
    clip: Samples
    clip, rate_hz = soundfile.read(folder / "prompt.wav", dtype="float32")  # pyright: ignore[reportAssignmentType]
    at_16k = spectra.resample(clip, rate_hz, 16_000)
    mel = spectra.mel_spectrogram(spectra.resample(clip, rate_hz, 24_000))
    yield Check.near("clip at 16 kHz", at_16k, g["intermediate.prompt_16k"][0], RESAMPLED)
    yield Check.near("clip's mel", mel, g["intermediate.mel_untrimmed"], FEATURE)
    ids = SpeechTokenizer(folder / "speech_tokenizer_v2.onnx").ids(at_16k)
    yield Check.equal("clip's speech ids", list(ids), g["intermediate.speech_token_untrimmed"][0].tolist())
    vector = SpeakerEncoder(folder / "campplus.onnx").vector(at_16k)
    yield Check.near("speaker", vector, g["zero_shot.flow_embedding"], FEATURE)


def end_to_end(pack: Pack) -> Iterator[Check]:
    g, lm = pack.tensors("frontend_cases"), pack.lm
    for mode, run in pack.document("frontend_cases")["end_to_end"].items():

        def part(name: str, missing: Tensor, mode: str = mode) -> Tensor:
            return g.get(f"{mode}.{name}", missing)

        nothing = torch.zeros(1, 0, dtype=torch.int32)
        generator = torch.Generator().manual_seed(run["manual_seed"])
        if mode == "vc":  # no language model: the ids are those of the source
            ids = g["vc.source_speech_token"][0].tolist()
        else:
            text, prompt_text = part("text", nothing)[0].tolist(), part("prompt_text", nothing)[0].tolist()
            speech = part("llm_prompt_speech_token", nothing)[0].tolist()
            decoding = UtteranceDecoding(lm.config, text, prompt_text, speech, as_released=True)
            request = lm.open(decoding, released_generator=generator)
            ids = list[int]()
            while not request.finished:
                ids += [number for number in lm.step([request]) if number is not None]
            lm.close(request)
            yield Check.equal("speech ids", ids, run["speech_tokens"])
        mel = pack.flow.whole(
            ids,
            part("flow_prompt_speech_token", nothing)[0].tolist(),
            part("prompt_speech_feat", torch.zeros(1, 0, pack.config.flow.output_size)),
            g[f"{mode}.flow_embedding"],
            streaming=False,
            finalize=True,
        )
        wave, _ = vocode(pack.hift, mel, CallNoise(pack.hift.m_source.harmonics, generator))
        yield Check.near("wave", wave[None], g[f"e2e.{mode}.wav"], WAVE)
