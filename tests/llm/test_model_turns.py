"""Who may use a model next."""

from __future__ import annotations

import threading

from talkover.llm.model_turns import ModelTurns


def never() -> bool:
    return False


def test_conversations_take_turns() -> None:
    turns, order = ModelTurns(), list[str]()
    both = threading.Barrier(2)

    def steps(name: str) -> None:
        both.wait(5)
        for _ in range(50):
            with turns.step(never, in_background=False) as has_model:
                assert has_model
                order.append(name)

    threads = [threading.Thread(target=steps, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(order) == ["a"] * 50 + ["b"] * 50


def test_one_step_at_a_time() -> None:
    turns = ModelTurns()
    with turns.step(never, in_background=False), turns.step(lambda: True, in_background=False) as second:
        assert not second


def test_background_work_rests_while_somebody_waits_for_an_answer() -> None:
    turns = ModelTurns()
    with turns.conversation(), turns.step(lambda: True, in_background=True) as has_model:
        assert not has_model
    with turns.step(never, in_background=True) as has_model:
        assert has_model


def test_background_work_goes_on_when_the_answer_is_made() -> None:
    turns, resumed = ModelTurns(), threading.Event()

    def background() -> None:
        with turns.step(never, in_background=True) as has_model:
            assert has_model
            resumed.set()

    thread = threading.Thread(target=background)
    with turns.conversation():
        thread.start()
        assert not resumed.wait(0.1)
    assert resumed.wait(5)
    thread.join()


def test_a_step_that_fails_gives_the_model_back() -> None:
    turns = ModelTurns()
    try:
        with turns.step(never, in_background=False):
            raise RuntimeError
    except RuntimeError:
        pass
    with turns.step(never, in_background=False) as has_model:
        assert has_model
