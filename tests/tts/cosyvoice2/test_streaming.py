"""From ids to samples: hops of the released code, the incremental sound, and how soon the first chunk comes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import SELECTION, on_every_pack, read_json
from small_flow import numbers, tiny_flow, voice, whole

torch = pytest.importorskip("torch", reason="needs the extra 'full'")

from talkover.tts.cosyvoice2.flow import Flow  # noqa: E402
from talkover.tts.cosyvoice2.hift import Hift  # noqa: E402
from talkover.tts.cosyvoice2.parity_check import Pack  # noqa: E402
from talkover.tts.cosyvoice2.streaming import (  # noqa: E402
    IncrementalSound,
    ReleasedHops,
    ReleasedSound,
    aligned_prompt,
    first_block_ids,
)
from talkover.tts.cosyvoice2.vocoder import CompatibleVocoder, SeamlessVocoder, drawn_noise, vocode  # noqa: E402

WAVE = 2e-3


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def flow() -> Flow:
    return tiny_flow()


@pytest.fixture(scope="module")
def hift() -> Hift:
    return Pack(SELECTION).hift


@on_every_pack
def test_calls_are_those_of_the_released_loop(golden) -> None:
    for case in read_json(golden / "stream_cases.json")["schedules"]:
        hops = ReleasedHops(case["prompt"], case["hop_at_start"])
        calls = iter(lambda hops=hops, case=case: hops.next(case["tokens"], ended=True), None)
        assert [[call.start, call.end, call.last] for call in calls] == case["calls"], case
        assert hops.hop == case["hop_at_end"]


def spoken(sound: IncrementalSound, ids: list[int], pushes: list[int]) -> np.ndarray:
    """All samples, with ids pushed in the given numbers whenever there is nothing else to do."""
    parts, left, sizes = [], list(ids), iter(pushes)
    while not sound.finished:
        if sound.ready:
            samples = sound.step()
            if samples is not None:
                parts.append(samples)
        elif left:
            n = next(sizes, 30)
            sound.push(left[:n])
            left = left[n:]
        else:
            sound.end()
            assert sound.ready
    assert not sound.ready
    assert sound.step() is None
    assert sound.unspoken_ids == 0
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


@settings(max_examples=6, deadline=None)
@given(
    n_ids=st.integers(1, 70), prompt_ids=st.sampled_from([0, 20, 53]), pushes=st.lists(st.integers(1, 30), max_size=9)
)
def test_samples_do_not_depend_on_when_ids_come(
    flow: Flow, hift: Hift, n_ids: int, prompt_ids: int, pushes: list[int]
) -> None:
    ids, prompt = numbers(n_ids, 9), voice(prompt_ids)
    wanted, _ = vocode(hift, whole(flow, prompt, ids), drawn_noise(hift, 5))
    sound = IncrementalSound(flow, SeamlessVocoder(hift), prompt, seed=5)
    samples = spoken(sound, ids, pushes)
    sound.close()
    assert samples.size == 960 * n_ids
    # a pitch that differs in the last digit is heard in the phase: see the vocoder's tests for what is exact
    assert np.abs(samples - wanted.numpy()).max() < 5 * WAVE
    assert np.abs(samples - wanted.numpy()).mean() < WAVE / 4


def test_without_ids_there_is_no_sound_and_no_work(flow: Flow, hift: Hift) -> None:
    sound = IncrementalSound(flow, SeamlessVocoder(hift), voice(53))
    flow.prompt_state(voice(53))
    assert spoken(sound, [], []).size == 0


@settings(max_examples=7, deadline=None)
@given(steps=st.integers(0, 45))
def test_a_sound_closed_at_any_step_leaves_nothing_behind(flow: Flow, hift: Hift, steps: int) -> None:
    sound = IncrementalSound(flow, SeamlessVocoder(hift), voice(53))
    sound.push(numbers(60, 10))
    for _ in range(steps):
        sound.step()
    idle = 0 if flow.pool is None else len(flow.pool)
    begun = steps > 0
    sound.close()
    sound.close()
    assert not sound.ready
    assert sound.step() is None
    assert flow.pool is None or len(flow.pool) in ({idle, idle + 1} if begun else {idle})
    fresh = IncrementalSound(flow, SeamlessVocoder(hift), voice(53), seed=1)
    again = IncrementalSound(flow, SeamlessVocoder(hift), voice(53), seed=1)
    ids = numbers(30, 11)
    assert np.array_equal(spoken(fresh, ids, []), spoken(again, ids, [4]))
    fresh.close()
    again.close()


def test_the_compatible_vocoder_can_follow_the_incremental_flow(flow: Flow, hift: Hift) -> None:
    sound = IncrementalSound(flow, CompatibleVocoder(hift), voice(20))
    assert spoken(sound, numbers(64, 12), [64]).size == 960 * 64
    sound.close()


def test_the_released_way_waits_for_its_hops(flow: Flow, hift: Hift) -> None:
    sound = ReleasedSound(flow, CompatibleVocoder(hift), voice(20))
    sound.push(numbers(32, 13))
    assert not sound.ready
    sound.push([3])
    assert sound.ready  # 25 + 5 of padding + 3 ahead
    samples = sound.step()
    assert samples is not None
    assert samples.size == 960 * 30 - 8 * 480
    assert not sound.ready
    sound.end()
    rest = sound.step()
    assert rest is not None
    assert samples.size + rest.size == 960 * 33
    assert sound.finished
    assert sound.unspoken_ids == 0


# ------------------------------------------------------------------------------------------------- the first chunk


@given(n=st.integers(1, 120), first=st.integers(1, 25))
def test_an_aligned_prompt_leaves_room_for_so_many_ids(n: int, first: int) -> None:
    prompt = voice(n)
    aligned = aligned_prompt(prompt, first)
    kept = len(aligned.flow_speech_ids)
    assert aligned.flow_speech_ids == prompt.flow_speech_ids[n - kept :]
    assert torch.equal(aligned.mel, prompt.mel[:, 2 * (n - kept) :])
    assert aligned.lm_speech_ids == prompt.lm_speech_ids
    if n >= 49:
        assert (kept + first) % 25 == 0
    assert (aligned.key == prompt.key) is (kept == n)
    assert kept > n - 25


def test_the_first_chunk_comes_as_soon_as_its_prompt_allows(flow: Flow, hift: Hift) -> None:
    sound = IncrementalSound(flow, SeamlessVocoder(hift), aligned_prompt(voice(60), 12))
    while sound.ready:
        sound.step()  # the prompt
    sound.push(numbers(14, 14))
    assert not sound.ready
    sound.push([1])
    first = [samples for samples in (sound.step() for _ in range(11)) if samples is not None]
    assert sum(len(samples) for samples in first) >= 480 * (24 - 20)
    sound.close()


@given(ids_per_s=st.floats(5, 400), block_s=st.floats(0, 2), lag=st.integers(0, 20))
def test_the_first_block_lasts_until_the_second_is_made_where_it_can(
    ids_per_s: float, block_s: float, lag: int
) -> None:
    first = first_block_ids(ids_per_s, block_s, lag)
    wait_s = 25 / ids_per_s + block_s
    audio_s = (2 * first - lag) / 50
    assert 1 <= first <= 22
    assert first == 22 or audio_s >= wait_s
    assert first <= lag / 2 + 2 or first == 22 or (2 * (first - 1) - lag) / 50 < wait_s


@pytest.mark.parametrize(("n", "first"), [(60, 12), (75, 22), (75, 1)])
def test_an_aligned_prompt_is_computed_with_the_voice_but_for_the_first_block(flow: Flow, n: int, first: int) -> None:
    """Nothing of the prompt but what shares a block with generated ids is left for the utterance."""
    state = flow.prompt_state(aligned_prompt(voice(n), first))
    assert len(state.remaining) + first == 25
