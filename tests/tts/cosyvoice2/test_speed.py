"""Speech at another speed: the same frames however they come, and those of the released code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the extra 'full'")

import torch

from talkover.tts.cosyvoice2.speed import MelSpeed


def mel(n_frames: int) -> torch.Tensor:
    return torch.randn(1, 80, n_frames, generator=torch.Generator().manual_seed(n_frames))


@settings(deadline=None)
@given(pieces=st.lists(st.integers(0, 60), min_size=1, max_size=6), speed=st.floats(0.5, 2.0))
def test_frames_do_not_depend_on_how_they_come(pieces: list[int], speed: float) -> None:
    whole = mel(sum(pieces))
    stream, made, at = MelSpeed(speed), [], 0
    for index, n_frames in enumerate(pieces):
        made.append(stream.feed(whole[:, :, at : at + n_frames], last=index == len(pieces) - 1))
        at += n_frames
    joined = torch.cat(made, dim=2)
    assert joined.shape[2] == int(sum(pieces) / speed)
    assert torch.allclose(joined, MelSpeed(speed).feed(whole, last=True), atol=1e-5)


@pytest.mark.parametrize(("n_frames", "speed"), [(100, 1.25), (90, 1.5), (50, 0.5), (64, 0.8)])
def test_frames_are_those_of_the_released_code_where_lengths_divide(n_frames: int, speed: float) -> None:
    whole = mel(n_frames)
    wanted = torch.nn.functional.interpolate(whole, size=int(n_frames / speed), mode="linear")
    got = MelSpeed(speed).feed(whole, last=True)
    assert np.abs(got.numpy() - wanted.numpy()).max() < 1e-4
