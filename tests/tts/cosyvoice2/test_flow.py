"""The flow: against recorded outputs, and the incremental computation against the whole one."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import SELECTION
from small_flow import numbers, tiny_flow, voice, whole

torch = pytest.importorskip("torch", reason="needs the extra 'full'")

from talkover.tts.cosyvoice2 import parity_sound  # noqa: E402
from talkover.tts.cosyvoice2.configuration import load_configuration, load_golden_configuration  # noqa: E402
from talkover.tts.cosyvoice2.flow import Flow, FlowState  # noqa: E402
from talkover.tts.cosyvoice2.flow_decoder import WholeFrames  # noqa: E402
from talkover.tts.cosyvoice2.flow_encoder import chunk_mask  # noqa: E402
from talkover.tts.cosyvoice2.flow_matching import TABLE_FRAMES, NoiseTable  # noqa: E402
from talkover.tts.cosyvoice2.parity_check import Pack  # noqa: E402

TOLERANCE = 5e-5
BLOCK_IDS, AHEAD = 25, 3


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def flow() -> Flow:
    return tiny_flow()


def made(flow: Flow, state: FlowState, pieces: list[list[int]]) -> torch.Tensor:
    mels = []
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        mels += [mel for mel in flow.extend(state, piece, last=last) if mel is not None]
    return torch.cat(mels, dim=2)


def cut(ids: list[int], sizes: list[int]) -> list[list[int]]:
    """`ids` in pieces of these sizes, the rest at the end."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(ids[at : at + size])
        at += size
    return [*pieces, ids[at:]]


# ------------------------------------------------------------------------------------------------ recorded outputs


class Beginning(Pack):
    """The selection's encoder and first blocks of the estimator; the other weights are random, and so unused here."""

    def __init__(self) -> None:
        super().__init__(SELECTION)
        stored = self.tensors("flow_beginning")
        with torch.random.fork_rng():
            self.flow = Flow(load_golden_configuration(SELECTION).flow).eval()
        state = self.flow.state_dict()
        ids = stored["input_embedding.ids"].long()
        state["input_embedding.weight"][ids] = stored["input_embedding.rows"]
        given = {name: value for name, value in stored.items() if not name.startswith("input_embedding")}
        assert given.keys() <= state.keys()
        self.flow.load_state_dict(state | given)


@pytest.fixture(scope="module")
def beginning() -> Beginning:
    return Beginning()


def test_the_encoder_gives_what_the_released_one_gives(beginning: Beginning) -> None:
    checks = list(parity_sound.encoder(beginning))
    assert {check.quantity for check in checks} >= {"mu", "distances", "inner layers"}
    assert not [check for check in checks if not check.holds]


def test_the_estimators_first_blocks_give_what_the_released_ones_give(beginning: Beginning) -> None:
    g = beginning.tensors("flow_cases")
    stage = beginning.flow.decoder.estimator.down_blocks[0]
    speaker = g["est.in.spks"][:, :, None].expand(-1, -1, 60)
    x = torch.cat((g["est.in.x"], g["est.in.mu"], speaker, g["est.in.cond"]), dim=1).mT  # (2, 60, 320)
    time = torch.nn.functional.mish(g["est_tap.time_mlp"])
    context = WholeFrames(chunk_mask(60, 50))
    residual = stage[0](x, time, context)
    assert (residual.mT - g["est_tap.down0.resnet"]).abs().max() < TOLERANCE
    assert (stage[1][0](residual, context) - g["est_tap.down0.tfm0"]).abs().max() < TOLERANCE


def test_noise_is_that_of_the_released_code_and_has_no_end(beginning: Beginning) -> None:
    before = torch.random.get_rng_state()
    noise = NoiseTable(80)
    head = beginning.tensors("flow_cases")["rand_noise_head"].mT
    assert torch.equal(noise.frames(0, head.shape[1]), head)
    across = noise.frames(TABLE_FRAMES - 3, TABLE_FRAMES + 4)
    assert across.shape == (1, 7, 80)
    assert torch.equal(across[:, :3], noise.frames(TABLE_FRAMES - 3, TABLE_FRAMES))
    assert 0.8 < across[:, 3:].std() < 1.2
    assert torch.equal(torch.random.get_rng_state(), before)


# ------------------------------------------------------------------------------------------------------ incremental


@settings(max_examples=14, deadline=None)
@given(
    prompt_ids=st.sampled_from([0, 1, 13, 24, 25, 27, 28, 40, 52, 53, 78]),
    n_ids=st.integers(1, 140),
    sizes=st.lists(st.integers(0, 60), max_size=6),
)
def test_however_ids_arrive_the_mel_is_that_of_the_streaming_mask(
    flow: Flow, prompt_ids: int, n_ids: int, sizes: list[int]
) -> None:
    prompt, ids = voice(prompt_ids), numbers(n_ids, seed=2)
    state = flow.start(flow.prompt_state(prompt))
    mel = made(flow, state, cut(ids, sizes))
    state.close()
    assert mel.shape == (1, 80, 2 * n_ids)
    assert (mel - whole(flow, prompt, ids)).abs().max() < TOLERANCE


def test_a_block_is_made_as_soon_as_what_it_needs_is_known(flow: Flow) -> None:
    """25 ids counted from the prompt's first, and three more; ten steps each, then its frames and no others."""
    state = flow.start(flow.prompt_state(voice(35)))
    assert flow.ids_until_block(state) == 18
    assert list(flow.extend(state, numbers(17, 3))) == []
    steps = list(flow.extend(state, [5]))
    assert [mel is None for mel in steps] == [True] * 9 + [False]
    assert steps[-1].shape == (1, 80, 30)
    assert flow.ids_until_block(state) == 25
    state.close()


def test_the_prompt_is_computed_once_per_voice() -> None:
    flow = tiny_flow()
    first = list(flow.prompt_steps(voice(60)))
    assert len(first) == 20  # two blocks of ten steps; the last one gives the state
    assert list(flow.prompt_steps(voice(60))) == first[-1:]
    assert flow.prompt_state(voice(60)) is first[-1]
    for seed in range(2, 12):
        flow.prompt_state(voice(1, seed))
    assert flow.prompt_state(voice(60)) is not first[-1], "prompt states are bounded"


def test_prompts_of_other_length_than_twice_the_ids_are_cut_off_where_the_released_code_does(flow: Flow) -> None:
    prompt = voice(30)
    ragged = replace(prompt, mel=torch.cat((prompt.mel, prompt.mel[:, :3]), dim=1), key="ragged")
    ids = numbers(40, 4)
    state = flow.start(flow.prompt_state(ragged))
    mel = made(flow, state, [ids])
    state.close()
    assert mel.shape == (1, 80, 77)
    assert (mel - whole(flow, ragged, ids)).abs().max() < TOLERANCE


VOICES = (0, 13, 53)


@pytest.fixture(scope="module")
def alone(flow: Flow) -> dict[int, torch.Tensor]:
    with torch.inference_mode():
        return {n: whole(flow, voice(n), numbers(33, n)) for n in VOICES}


@settings(max_examples=9, deadline=None)
@given(data=st.data())
def test_utterances_taking_turns_or_cancelled_anywhere_do_not_touch_each_other(
    flow: Flow, alone: dict[int, torch.Tensor], data: st.DataObject
) -> None:
    """Steps of several utterances in any order, some dropped midway: the others are what they are alone."""
    states: dict[int, FlowState] = {}
    steps: dict[int, object] = {}
    mels: dict[int, list[torch.Tensor]] = {}
    for turn in range(data.draw(st.integers(20, 60))):
        n = data.draw(st.sampled_from(VOICES))
        if n not in states:
            states[n] = flow.start(flow.prompt_state(voice(n)))
            steps[n], mels[n] = flow.extend(states[n], numbers(33, n), last=True), []
        for _ in range(data.draw(st.integers(1, 9))):
            mel = next(steps[n], StopIteration)
            if mel is StopIteration:
                assert (torch.cat(mels[n], dim=2) - alone[n]).abs().max() < TOLERANCE
                states.pop(n).close()
                break
            if mel is not None:
                mels[n].append(mel)
        if n in states and turn % 7 == data.draw(st.integers(0, 6)):
            states.pop(n).close()
            assert next(steps[n], None) is None
    for state in states.values():
        state.close()
        state.close()
    assert flow.pool is not None
    assert 0 < len(flow.pool) <= 4  # given back, and not piled up
    for n in VOICES:  # in buffers others have left
        state = flow.start(flow.prompt_state(voice(n)))
        assert (made(flow, state, [numbers(33, n)]) - alone[n]).abs().max() < TOLERANCE
        state.close()


def test_an_utterance_that_is_over_is_not_extended(flow: Flow) -> None:
    state = flow.start(flow.prompt_state(voice(0)))
    steps = flow.extend(state, numbers(30, 5))
    next(steps)
    with pytest.raises(RuntimeError, match="being extended"):
        flow.extend(state, [1])
    assert [mel for mel in steps if mel is not None]
    list(flow.extend(state, (), last=True))
    with pytest.raises(RuntimeError, match="over"):
        flow.extend(state, [1])
    state.close()


# --------------------------------------------------------------------------------------------------------- memory


def test_bounded_context_is_exact_until_it_is_full_and_then_forgets(flow: Flow) -> None:
    bounded = tiny_flow()
    with pytest.raises(ValueError, match=r"at least one block, 1\.0 s, got 0\.5"):
        bounded.limit_context(0.5)
    bounded.limit_context(2.9)  # two blocks
    prompt, ids = voice(40), numbers(35 + 25 * 4 + 7, 6)
    exact = whole(flow, prompt, ids)
    state = bounded.start(bounded.prompt_state(prompt))
    store = state.decoder.room
    assert store == 50 + 100  # the prompt's block, and the last two
    mel = made(bounded, state, [ids])
    assert state.decoder.forgetful
    assert state.decoder.room == store
    state.close()
    difference = (mel - exact).abs().amax(dim=(0, 1))
    same = 2 * (10 + 25)  # what is left of the prompt's last block, and one more
    assert difference[:same].max() < TOLERANCE
    assert difference[same:].max() > 1e-3
    assert difference.mean() < 0.5 * exact.std()


def test_memory_is_what_is_stated(flow: Flow) -> None:
    e = flow.config.estimator
    blocks = (2 + e.num_mid_blocks) * e.n_blocks
    per_frame = 10 * 2 * blocks * 2 * e.num_heads * e.attention_head_dim * 4
    assert flow.bytes_per_second() == 50 * per_frame
    state = flow.start(flow.prompt_state(voice(40)))
    assert state.buffer_bytes == per_frame * 500  # 50 of the prompt, 400, in steps of 250
    state.close()
    assert state.buffer_bytes == 0


def test_the_released_size_takes_229_megabytes_per_second() -> None:
    config = load_configuration(SELECTION / "model_dir").flow
    real = replace(config.estimator, channels=(256,), attention_head_dim=64, n_blocks=4, num_mid_blocks=12, num_heads=8)
    with torch.device("meta"):
        from talkover.tts.cosyvoice2.flow_decoder import VelocityEstimator
        from talkover.tts.cosyvoice2.flow_memory import DecoderShape

        slots = VelocityEstimator(real).slots
    shape = DecoderShape.of(real, slots.attentions, slots.conv_channels)
    assert math.isclose(shape.values_per_frame * 50 * 4, 229e6, rel_tol=2e-3)


def test_an_encoder_that_outgrows_its_room_goes_on() -> None:
    flow, ids = tiny_flow(), numbers(540, 7)
    flow.limit_context(22)
    state = flow.start(flow.prompt_state(voice(0)))
    mel = made(flow, state, [ids])
    state.close()
    assert (mel - whole(flow, voice(0), ids)).abs().max() < TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype: torch.dtype, flow: Flow) -> None:
    half = tiny_flow(dtype=dtype)
    prompt, ids = voice(30), numbers(60, 8)
    state = half.start(half.prompt_state(prompt))
    mel = made(half, state, cut(ids, [20, 20]))
    state.close()
    assert mel.dtype is torch.float32
    exact = whole(flow, prompt, ids)
    assert (mel - exact).abs().mean() < 0.05 * exact.std()
    assert half.bytes_per_second() * 2 == flow.bytes_per_second()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_cuda(flow: Flow, dtype: torch.dtype) -> None:
    gpu = tiny_flow().to(device="cuda", dtype=dtype)
    prompt, ids = voice(30), numbers(60, 8)
    state = gpu.start(gpu.prompt_state(prompt))
    mel = made(gpu, state, cut(ids, [20, 20])).cpu()
    state.close()
    exact = whole(flow, prompt, ids)
    assert (mel - exact).abs().mean() < (1e-3 if dtype is torch.float32 else 0.05) * exact.std()
