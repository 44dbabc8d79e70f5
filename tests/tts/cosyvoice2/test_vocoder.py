"""The vocoder: against recorded outputs, and piece by piece against the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import SELECTION

torch = pytest.importorskip("torch", reason="needs the extra 'full'")

from talkover.tts.cosyvoice2.hift import Hift  # noqa: E402
from talkover.tts.cosyvoice2.hift_source import CallNoise, FrameNoise, HarmonicSource, Silence  # noqa: E402
from talkover.tts.cosyvoice2.parity_check import Pack  # noqa: E402
from talkover.tts.cosyvoice2.streaming_layers import (  # noqa: E402
    Passage,
    StreamedConv,
    StreamedTransposedConv,
    fused_weight_norm,
    mirrored_start,
)
from talkover.tts.cosyvoice2.vocoder import (  # noqa: E402
    EARLY_LAG_FRAMES,
    LAG_FRAMES,
    CompatibleVocoder,
    SeamlessVocoder,
    cross_fade,
    vocode,
)

FRAME = 480
HARMONICS = 9
DECODE, SOURCE, F0_HZ, WAVE = 2e-5, 5e-4, 1e-3, 2e-3


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def pack() -> Pack:
    return Pack(SELECTION)


@pytest.fixture(scope="module")
def hift(pack: Pack) -> Hift:
    return pack.hift


@pytest.fixture(scope="module")
def mel(pack: Pack):
    """(1, 80, 176)"""
    g = pack.tensors("stream_cases")
    return torch.cat((g["zero_noise.0.mel"], g["zero_noise.1.mel"]), dim=2)


def once() -> Passage:
    passage = Passage()
    passage.last = True
    return passage


def pieces_of(n: int, sizes: list[int]) -> list[slice]:
    """Slices that cover n elements: of these sizes, then the rest."""
    edges = [0]
    for size in sizes:
        edges.append(min(n, edges[-1] + size))
    return [slice(a, b) for a, b in zip(edges, [*edges[1:], n], strict=True)]


def streamed(layer, x, slices):
    passage, parts = Passage(), []
    for index, piece in enumerate(slices):
        passage.last = index == len(slices) - 1
        parts.append(layer(x[:, :, piece], passage))
    return torch.cat(parts, dim=2)


SIZES = st.lists(st.integers(0, 40), max_size=8)


# ------------------------------------------------------------------------------------------------ recorded outputs


def test_every_stage_gives_what_the_released_one_gives(pack: Pack, hift: Hift) -> None:
    g, seed = pack.tensors("hift_cases"), pack.document("hift_cases")["source_seed"]
    assert (hift.pitch(g["mel"], once()) - g["f0"]).abs().max() < F0_HZ
    silent = hift.source(g["f0"], Silence(HARMONICS), once())
    assert (silent - g["source.zero_noise"]).abs().max() < SOURCE
    drawn = CallNoise(HARMONICS, torch.Generator().manual_seed(seed))
    assert (hift.source(g["f0"][:, :12], drawn, once()) - g["source.seeded_f12"]).abs().max() < SOURCE
    assert (hift.samples(g["istft.in"], once()) - g["istft.out"]).abs().max() < DECODE
    decoded = hift.decode(g["mel"], g["source.zero_noise"], once())
    assert (decoded - g["wav.zero_noise"]).abs().max() < DECODE
    assert torch.equal(cross_fade(g["fade.new"][0], g["fade.old"][0]), g["fade.out"][0])


def test_the_released_chunks_come_out_with_their_seams(pack: Pack, hift: Hift) -> None:
    g = pack.tensors("stream_cases")
    stream = CompatibleVocoder(hift).start(Silence(HARMONICS))
    for index in range(2):
        got = stream.extend(g[f"zero_noise.{index}.mel"])
        assert np.abs(got - g[f"zero_noise.{index}.wav"][0].numpy()).max() < WAVE


# ---------------------------------------------------------------------------------------------------------- layers


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    sizes=SIZES,
    shape=st.sampled_from([(3, 1, 1, 1), (7, 3, 1, 1), (11, 25, 1, 5), (6, 1, 3, 1), (30, 7, 15, 1), (1, 0, 1, 1)]),
)
def test_a_convolution_in_pieces_is_the_padded_one(n: int, sizes: list[int], shape: tuple[int, int, int, int]) -> None:
    kernel, padding, stride, dilation = shape
    layer = StreamedConv(2, 3, kernel, padding=padding, stride=stride, dilation=dilation)
    n = max(n, (kernel - 1) * dilation + 1)
    x = torch.randn(1, 2, n, generator=torch.Generator().manual_seed(n))
    wanted = torch.conv1d(x, layer.weight, layer.bias, stride=stride, padding=padding, dilation=dilation)
    got = streamed(layer, x, pieces_of(n, sizes))
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() < 1e-5


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), sizes=SIZES, shape=st.sampled_from([(16, 8), (11, 5), (7, 3)]))
def test_a_transposed_convolution_in_pieces_is_the_cut_one(n: int, sizes: list[int], shape: tuple[int, int]) -> None:
    kernel, stride = shape
    layer = StreamedTransposedConv(2, 3, kernel, stride=stride)
    x = torch.randn(1, 2, n, generator=torch.Generator().manual_seed(n))
    padding = (kernel - stride) // 2
    wanted = torch.conv_transpose1d(x, layer.weight, layer.bias, stride=stride, padding=padding)
    got = streamed(layer, x, pieces_of(n, sizes))
    assert got.shape == (1, 3, n * stride) == wanted.shape
    assert (got - wanted).abs().max() < 1e-5


@settings(deadline=None)
@given(n=st.integers(10, 40), sizes=SIZES, mirrored=st.integers(1, 8))
def test_a_mirrored_start_waits_for_what_it_mirrors(n: int, sizes: list[int], mirrored: int) -> None:
    x = torch.arange(float(n))[None, None]
    got = streamed(lambda piece, passage: mirrored_start(piece, mirrored, "key", passage), x, pieces_of(n, sizes))
    assert torch.equal(got, torch.nn.functional.pad(x, (mirrored, 0), mode="reflect"))


def test_signals_of_different_lag_wait_for_each_other() -> None:
    passage, x = Passage(), torch.arange(5.0)[None, None]
    a, b = passage.together("key", x, x[:, :, :2])
    assert a.shape == b.shape == (1, 1, 2)
    a, b = passage.together("key", x[:, :, :0], x[:, :, 2:4])
    assert a.tolist() == b.tolist() == [[[2.0, 3.0]]]


@settings(deadline=None)
@given(f0=st.lists(st.sampled_from([0.0, 5.0, 80.0, 213.7, 399.0]), min_size=1, max_size=12), sizes=SIZES)
def test_the_phase_goes_on_across_pieces(pack: Pack, f0: list[float], sizes: list[int]) -> None:
    source = HarmonicSource(pack.config.hift)
    track = torch.tensor([f0])
    whole = source(track, FrameNoise(HARMONICS, torch.Generator().manual_seed(1)), once())
    noise = FrameNoise(HARMONICS, torch.Generator().manual_seed(1))
    got = streamed(lambda piece, passage: source(piece[:, 0], noise, passage), track[None], pieces_of(len(f0), sizes))
    assert whole.shape == (1, 1, FRAME * len(f0))
    assert (got - whole).abs().max() < 1e-6


@given(sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=6))
def test_noise_of_a_sample_does_not_depend_on_how_it_is_asked_for(sizes: list[int]) -> None:
    noise = FrameNoise(2, torch.Generator().manual_seed(4))
    at_once = FrameNoise(2, torch.Generator().manual_seed(4))(sum(sizes))
    assert torch.equal(torch.cat([noise(n) for n in sizes], dim=1), at_once)
    assert torch.equal(noise.copy()(700), noise(700))


def test_weights_of_both_ages_are_fused() -> None:
    g, v = torch.rand(3, 1, 1), torch.randn(3, 2, 5)
    wanted = g * v / v.flatten(1).norm(dim=1)[:, None, None]
    for names in (("parametrizations.weight.original0", "parametrizations.weight.original1"), ("weight_g", "weight_v")):
        fused = fused_weight_norm({f"conv.{names[0]}": g, f"conv.{names[1]}": v, "conv.bias": g[:, 0, 0]})
        assert fused.keys() == {"conv.weight", "conv.bias"}
        assert (fused["conv.weight"] - wanted).abs().max() < 1e-6
    assert "conv.weight_g" in fused_weight_norm({"conv.weight_g": g}), "half a pair is left for the check of the keys"


# -------------------------------------------------------------------------------------------------------- seamless


@settings(max_examples=6, deadline=None)
@given(sizes=SIZES)
def test_decoding_in_pieces_gives_the_samples_of_one_piece(pack: Pack, hift: Hift, sizes: list[int]) -> None:
    g = pack.tensors("hift_cases")
    source = g["source.zero_noise"]
    passage, parts = Passage(), []
    slices = pieces_of(g["mel"].shape[2], sizes)
    for piece in slices:
        passage.last = piece is slices[-1]
        ready = source[:, :, FRAME * piece.start : FRAME * piece.stop]
        parts.append(hift.decode(g["mel"][:, :, piece], ready, passage))
    assert (torch.cat(parts, dim=1) - g["wav.zero_noise"]).abs().max() < DECODE


@settings(max_examples=6, deadline=None)
@given(sizes=SIZES)
def test_seamless_samples_are_those_of_one_piece_and_at_most_20_frames_behind(
    hift: Hift, mel, sizes: list[int]
) -> None:
    whole, _ = vocode(hift, mel, FrameNoise(HARMONICS, torch.Generator().manual_seed(7)))
    stream = SeamlessVocoder(hift).start(seed=7)
    slices, parts, n = pieces_of(mel.shape[2], sizes), [], 0
    for piece in slices:
        last = piece is slices[-1]
        parts.append(stream.extend(mel[:, :, piece], last=last))
        n += len(parts[-1])
        assert n == FRAME * piece.stop if last else n >= FRAME * (piece.stop - LAG_FRAMES)
    assert np.abs(np.concatenate(parts) - whole.numpy()).max() < WAVE


def test_an_early_first_chunk_deviates_little_and_only_there(hift: Hift, mel) -> None:
    whole, _ = vocode(hift, mel, Silence(HARMONICS))
    vocoder = SeamlessVocoder(hift, early=True)
    stream = vocoder.start(Silence(HARMONICS))
    first = stream.extend(mel[:, :, :30])
    assert len(first) == FRAME * (30 - EARLY_LAG_FRAMES)
    assert vocoder.lag_frames == EARLY_LAG_FRAMES
    rest = [stream.extend(mel[:, :, 30:33]), stream.extend(mel[:, :, 33:34]), stream.extend(mel[:, :, 34:], last=True)]
    samples = np.concatenate([first, *rest])
    difference = np.abs(samples - whole.numpy())
    begins, ends = FRAME * (30 - LAG_FRAMES), FRAME * (30 - EARLY_LAG_FRAMES + 1)
    assert len(samples) == len(whole)
    assert difference[:begins].max() < WAVE
    assert difference[ends:].max() < WAVE
    assert difference[begins:ends].max() < 0.1 * float(whole.std())


def test_nothing_gives_nothing(hift: Hift) -> None:
    assert SeamlessVocoder(hift).start().extend(torch.zeros(1, 80, 0), last=True).size == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(pack: Pack, hift: Hift, dtype: torch.dtype) -> None:
    """Of the generator; a pitch in half precision is another pitch, and soon another phase."""
    g = pack.tensors("hift_cases")
    half = Hift(pack.config.hift).eval()
    half.load_state_dict(hift.state_dict())
    samples = half.to(dtype).decode(g["mel"], g["source.zero_noise"], once())
    assert samples.dtype is torch.float32
    assert (samples - g["wav.zero_noise"]).abs().mean() < 0.1 * g["wav.zero_noise"].std()
