"""From speech ids to samples: encoder, estimator, solver, token to mel, vocoder, and the streaming loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from talkover.tts.cosyvoice2.flow_decoder import FrameContext, WholeFrames, time_sinusoids
from talkover.tts.cosyvoice2.flow_encoder import WholeInput, chunk_mask, distance_sinusoids
from talkover.tts.cosyvoice2.flow_matching import NoiseTable
from talkover.tts.cosyvoice2.hift_source import CallNoise, Noise, Silence
from talkover.tts.cosyvoice2.parity_check import Check, Pack
from talkover.tts.cosyvoice2.streaming import IncrementalSound, ReleasedHops, ReleasedSound
from talkover.tts.cosyvoice2.streaming_layers import Passage
from talkover.tts.cosyvoice2.vocoder import CompatibleVocoder, SeamlessVocoder, cross_fade, vocode
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt, speaker_only, voice_prompt

INNER, MEL = 5e-5, 5e-5
F0_HZ, SOURCE = 1e-3, 5e-4
DECODE = 2e-5
WAVE, LONG_WAVE, LOUD = 2e-3, 5e-3, 5e-3
LONG_SAMPLES = 3 * 24_000
"""up to here the tolerance of the wave is the tight one"""
ODD_CUTS = (7, 60, 1, 33)
"""how ids are handed to the incremental computation"""


# ------------------------------------------------------------------------------------------------------------ flow


def encoder(pack: Pack) -> Iterator[Check]:
    g, flow = pack.tensors("flow_cases"), pack.flow
    x = flow.input_embedding(g["enc.tokens"].long())  # (1, N, d)
    ahead = pack.config.flow.pre_lookahead_len
    for mask in ("full", "stream"):
        for end in ("final", "lookahead"):
            n = x.shape[1] - (ahead if end == "lookahead" else 0)
            h = flow.encoder(x[:, :n], x[:, n:], WholeInput(), chunked=mask == "stream")
            yield Check.near("output", h, g[f"enc.{mask}.{end}.h"], INNER)
            yield Check.near("mu", flow.encoder_proj(h), g[f"enc.{mask}.{end}.mu"], INNER)
    table = g["pos_emb_T10"][0]
    yield Check.near("distances", distance_sinusoids(table.shape[0] // 2, table.shape[1]), table, INNER)
    yield from _taps_of_the_encoder(pack)


def _taps_of_the_encoder(pack: Pack) -> Iterator[Check]:
    """Every layer's output for the first ids, which the taps saw with the next three as look-ahead."""
    g, model = pack.tensors("flow_cases"), pack.flow.encoder
    n = g["enc_tap.embed"].shape[1]
    ids = g["enc.tokens"].long()[:, : n + pack.config.flow.pre_lookahead_len]
    seen: dict[str, Tensor] = {}
    watched: dict[str, Any] = {
        "pre_lookahead": model.pre_lookahead_layer,
        "up_layer": model.up_layer,
        "up_embed": model.up_embed,
        **{f"encoders.{n}": layer for n, layer in enumerate(model.encoders)},
        **{f"up_encoders.{n}": layer for n, layer in enumerate(model.up_encoders)},
    }
    with _Watching(watched, seen):
        x = pack.flow.input_embedding(ids)
        seen["embed"] = model.embed(x[:, :n])
        model(x[:, :n], x[:, n:], WholeInput(), chunked=True)
    seen["up_layer"] = seen["up_layer"].mT
    for name, output in seen.items():
        if f"enc_tap.{name}" in g:
            yield Check.near("inner layers", output, g[f"enc_tap.{name}"], INNER)


def decoder(pack: Pack) -> Iterator[Check]:
    g, model = pack.tensors("flow_cases"), pack.flow.decoder.estimator
    block = pack.config.flow.estimator.static_chunk_size
    x, mu, t, speaker, cond = (g[f"est.in.{name}"] for name in ("x", "mu", "t", "spks", "cond"))

    def velocity(rows: slice, frames: int, context: FrameContext) -> Tensor:
        parts = [part[rows, :, :frames].mT for part in (x, mu, cond)]
        return model(parts[0], parts[1], t[rows], speaker[rows], parts[2], context).mT

    both, frames = slice(None), x.shape[2]
    yield Check.near("velocity, all see all", velocity(both, frames, WholeFrames()), g["est.out.full"], INNER)
    in_chunks = WholeFrames(chunk_mask(frames, block))
    yield Check.near("velocity, in chunks", velocity(both, frames, in_chunks), g["est.out.stream"], INNER)
    for row, valid in enumerate(g["est.in.mask_padded"][:, 0].sum(dim=1).int().tolist()):
        wanted = g["est.out.full_padded"][row : row + 1, :, :valid]
        got = velocity(slice(row, row + 1), valid, WholeFrames())
        yield Check.near("velocity, a padded batch", got, wanted, INNER)

    seen: dict[str, Tensor] = {}
    down, up, mid = model.down_blocks[0], model.up_blocks[0], model.mid_blocks
    watched: dict[str, Any] = {
        "time_mlp": model.time_mlp,
        "down0.resnet": down[0],  # pyright: ignore[reportIndexIssue]
        "down0.tfm0": down[1][0],  # pyright: ignore[reportIndexIssue]
        "down0.conv": down[2],  # pyright: ignore[reportIndexIssue]
        "mid0.resnet": mid[0][0],  # pyright: ignore[reportIndexIssue]
        "mid_last.tfm_last": mid[-1][1][-1],  # pyright: ignore[reportIndexIssue]
        "up0.resnet": up[0],  # pyright: ignore[reportIndexIssue]
        "up0.conv": up[2],  # pyright: ignore[reportIndexIssue]
        "final_block": model.final_block,
    }
    n = g["est_tap.final_block"].shape[2]
    with _Watching(watched, seen):
        velocity(both, n, WholeFrames(chunk_mask(n, block)))
    seen["time_embeddings"] = time_sinusoids(t, x.shape[1] * 4)
    for name, output in seen.items():
        wanted = g[f"est_tap.{name}"]
        in_channels_first = output.dim() == 3 and not name.startswith(("down0.tfm", "mid_last"))
        yield Check.near("inner layers", output.mT if in_channels_first else output, wanted, INNER)


def solver(pack: Pack) -> Iterator[Check]:
    g, document, matching = pack.tensors("flow_cases"), pack.document("flow_cases"), pack.flow.decoder
    noise = NoiseTable(pack.config.flow.output_size)
    head = g["rand_noise_head"]
    yield Check.near("noise", noise.frames(0, head.shape[2]).mT, head, 0.0)
    yield Check.near(
        "noise", noise.frames(14_999, 15_000).flatten()[-1], torch.tensor(document["rand_noise"]["last8"][-1]), 0.0
    )
    times = torch.tensor([t for t, _ in matching.grid])
    yield Check.near("times", times, torch.tensor(document["cfm_t_seen_by_estimator"]), 0.0)
    mu, cond, speaker = g["cfm.mu"].mT, g["cfm.cond"].mT, g["cfm.spks"]
    frames, block = mu.shape[1], pack.config.flow.estimator.static_chunk_size
    for name, mask in (("full", None), ("stream", chunk_mask(frames, block))):
        mel = matching.solve(mu, speaker, cond, mask)
        yield Check.near(f"ten steps, {name}", mel.mT, g[f"cfm.{name}.out"], MEL)


def token_to_mel(pack: Pack) -> Iterator[Check]:
    g, flow = pack.tensors("flow_cases"), pack.flow
    prompt, ids = _prompt(pack), _ids(pack)
    for name, n in (("", 80), (".all", len(ids))):
        for end in ("final", "lookahead"):
            for mask in ("full", "stream"):
                wanted = g.get(f"t2m{name}.{end}.{mask}")
                if wanted is not None:
                    mel = flow.whole(
                        ids[:n],
                        prompt.flow_speech_ids,
                        prompt.mel,
                        prompt.speaker,
                        streaming=mask == "stream",
                        finalize=end == "final",
                    )
                    yield Check.near("whole call", mel, wanted, MEL)
    wanted = g["t2m.no_prompt.final.full"]
    mel = flow.whole(ids[: wanted.shape[2] // 2], (), prompt.mel[:, :0], prompt.speaker, streaming=False, finalize=True)
    yield Check.near("whole call", mel, wanted, MEL)
    yield Check.near("speaker", flow.speaker(prompt.speaker), g["spk"], INNER)

    state = flow.start(flow.prompt_state(prompt))
    made: list[Tensor] = []
    at = 0
    while at < len(ids):
        end = at + ODD_CUTS[len(made) % len(ODD_CUTS)]
        made += [mel for mel in flow.extend(state, ids[at:end], last=end >= len(ids)) if mel is not None]
        at = end
    state.close()
    yield Check.near("incremental, every frame once", torch.cat(made, dim=2), g["t2m.all.final.stream"], MEL)


# --------------------------------------------------------------------------------------------------------- vocoder


def vocoder(pack: Pack) -> Iterator[Check]:
    g, document, hift = pack.tensors("hift_cases"), pack.document("hift_cases"), pack.hift
    mel, f0, zero = g["mel"], g["f0"], g["source.zero_noise"]
    silence = _silence(pack)
    yield Check.near("inverse transform", hift.samples(g["istft.in"], _once()), g["istft.out"], DECODE)
    yield Check.near("f0 (Hz)", hift.pitch(mel, _once()), f0, F0_HZ)
    yield Check.near("source from the pitch", hift.source(f0, silence, _once()), zero, SOURCE)
    n = g["source.seeded_f12"].shape[2] // 480
    drawn = _drawn(pack, document["source_seed"])
    yield Check.near("source, noise drawn", hift.source(f0[:, :n], drawn, _once()), g["source.seeded_f12"], SOURCE)
    spectrum = hift.stft.spectrum(zero, _once())
    bins, head = spectrum.shape[1] // 2, g["source_stft_real_head"].shape[2]
    yield Check.near("source spectrum", spectrum[:, :bins, :head], g["source_stft_real_head"], DECODE)
    yield Check.near("source spectrum", spectrum[:, bins:, :head], g["source_stft_imag_head"], DECODE)
    yield Check.near("decode of a given source", hift.decode(mel, zero, _once()), g["wav.zero_noise"], DECODE)
    yield from _taps_of_the_vocoder(pack)

    yield Check.near("wave", vocode(hift, mel, silence)[0][None], g["wav.zero_noise"], WAVE)
    cached = vocode(hift, mel, silence, g["cache_source"])[0]
    yield Check.near("wave", cached[None], g["wav.with_cache_source"], WAVE)
    wave, source = vocode(hift, mel, _drawn(pack, document["wav_seed"]))
    yield Check.near("wave, noise drawn", wave[None], g["wav.seeded"], WAVE)
    yield Check.near("source, noise drawn", source, g["source.seeded"], SOURCE)
    loud = g["wav.loud_mel_x12_first24"]
    wave, _ = vocode(hift, 12 * mel[:, :, : loud.shape[1] // 480], silence)
    yield Check.near("wave, too loud", wave[None], loud, LOUD)
    yield Check.near("cross-fade", cross_fade(g["fade.new"][0], g["fade.old"][0]), g["fade.out"][0], 1e-7)

    passage, parts = Passage(), list[Tensor]()
    for at in range(0, mel.shape[2], 7):
        passage.last = at + 7 >= mel.shape[2]
        ready = zero[:, :, 480 * at : 480 * (at + 7)]
        parts.append(hift.decode(mel[:, :, at : at + 7], ready, passage))
    yield Check.near("decode in pieces, seamless", torch.cat(parts, dim=1), g["wav.zero_noise"], DECODE)


def _taps_of_the_vocoder(pack: Pack) -> Iterator[Check]:
    g, hift = pack.tensors("hift_cases"), pack.hift
    seen: dict[str, Tensor] = {}
    watched: dict[str, Any] = {
        "conv_pre": hift.conv_pre,
        "conv_post": hift.conv_post,
        **{f"ups.{n}": layer for n, layer in enumerate(hift.ups)},
        "source_downs.0": hift.source_downs[0],
        "source_resblocks.0": hift.source_resblocks[0],
        **{f"resblocks.{n}": hift.resblocks[n] for n in range(len(hift.config.resblock_kernel_sizes))},
    }
    with _Watching(watched, seen):
        hift.decode(g["mel"], g["source.zero_noise"], _once())
    # the released code adds the others to what the first one gave, in place, and that is what was recorded
    for n in range(1, len(hift.config.resblock_kernel_sizes)):
        seen["resblocks.0"] = seen["resblocks.0"] + seen.pop(f"resblocks.{n}")
    for name, output in seen.items():
        wanted = g[f"tap.{name}"]
        yield Check.near("inner layers", output[:, :, : wanted.shape[2]], wanted, INNER)


# ------------------------------------------------------------------------------------------------------- streaming


def streaming(pack: Pack) -> Iterator[Check]:
    g, document = pack.tensors("stream_cases"), pack.document("stream_cases")
    prompt, ids = _prompt(pack), _ids(pack)
    for case in document["schedules"]:
        hops = ReleasedHops(case["prompt"], case["hop_at_start"])
        calls = list(iter(lambda hops=hops, case=case: hops.next(case["tokens"], ended=True), None))
        yield Check.equal("calls", [[hop.start, hop.end, hop.last] for hop in calls], case["calls"])
    silence, drawn = _silence(pack), _Redrawn(pack.hift.m_source.harmonics)
    nobody = speaker_only(prompt.speaker)
    runs: tuple[tuple[str, VoicePrompt, Noise], ...] = (
        ("zero_noise", prompt, silence),
        ("short", prompt, silence),
        ("no_prompt", nobody, silence),
        ("seeded", prompt, drawn),
    )
    for name, voice, noise in runs:
        n = document[name]["calls"][-1]["tokens_passed"]
        drawn.seed = int(document["seeded"]["manual_seed_before_hift_call_i"].split()[0])
        sound = ReleasedSound(pack.flow, CompatibleVocoder(pack.hift), voice, noise=noise)
        sound.push(ids[:n])
        sound.end()
        for index in range(len(document[name]["calls"])):
            yield _wave_check("released loop, chunks", sound.step(), g[f"{name}.{index}.wav"][0])

    whole = g["nonstream.zero_noise.wav"][0]
    mel = _whole_mel(pack, ids)
    yield _wave_check("one call", vocode(pack.hift, mel, silence)[0], whole)
    faster = document["speed"]
    mel = _whole_mel(pack, ids[: faster["tokens"]])
    size = int(mel.shape[2] / faster["speed"])
    mel = torch.nn.functional.interpolate(mel, size=size, mode="linear")
    yield _wave_check("one call, faster", vocode(pack.hift, mel, silence)[0], g["speed_1.25.wav"][0])

    sound = IncrementalSound(pack.flow, SeamlessVocoder(pack.hift), prompt, noise=silence)
    sound.push(ids)
    sound.end()
    made: list[Tensor] = []
    while not sound.finished:
        if (samples := sound.step()) is not None:
            made.append(torch.from_numpy(samples))
    sound.close()
    seamless, _ = vocode(pack.hift, pack.tensors("flow_cases")["t2m.all.final.stream"], silence)
    yield _wave_check("incremental and seamless", torch.cat(made), seamless)


def _whole_mel(pack: Pack, ids: list[int]) -> Tensor:
    prompt = _prompt(pack)
    return pack.flow.whole(ids, prompt.flow_speech_ids, prompt.mel, prompt.speaker, streaming=False, finalize=True)


def _wave_check(quantity: str, got: Any, wanted: Tensor) -> Check:
    return Check.near(quantity, got, wanted, WAVE if wanted.numel() <= LONG_SAMPLES else LONG_WAVE)


# ------------------------------------------------------------------------------------------------------------ both


def _prompt(pack: Pack) -> VoicePrompt:
    g = pack.tensors("flow_cases")
    return voice_prompt((), g["prompt_token"][0].tolist(), g["prompt_feat"], g["embedding"])


def _ids(pack: Pack) -> list[int]:
    return pack.tensors("flow_cases")["token"][0].tolist()


def _once() -> Passage:
    """For one piece that is the whole."""
    passage = Passage()
    passage.last = True
    return passage


def _silence(pack: Pack) -> Silence:
    return Silence(pack.hift.m_source.harmonics)


def _drawn(pack: Pack, seed: int) -> CallNoise:
    return CallNoise(pack.hift.m_source.harmonics, torch.Generator().manual_seed(seed))


class _Redrawn:
    """Noise with a seed of its own for each call, one more each time."""

    def __init__(self, harmonics: int) -> None:
        self._harmonics = harmonics
        self.seed = 0

    def __call__(self, n: int) -> Tensor:
        noise = CallNoise(self._harmonics, torch.Generator().manual_seed(self.seed))(n)
        self.seed += 1
        return noise

    def copy(self) -> _Redrawn:
        other = _Redrawn(self._harmonics)
        other.seed = self.seed
        return other


class _Watching:
    """Notes what modules give, by name."""

    def __init__(self, modules: dict[str, Any], seen: dict[str, Tensor]) -> None:
        def note(name: str) -> Callable[[Any, Any, Tensor], None]:
            return lambda _module, _inputs, output: seen.__setitem__(name, output)

        self._hooks = [module.register_forward_hook(note(name)) for name, module in modules.items()]

    def __enter__(self) -> None:
        """Noting began when this was made."""

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
