"""Which endpoint is asked when, on virtual time."""

from talkover.llm.endpoint_race import EndpointHealth, Race


def started(race: Race, now_s: float) -> list[int]:
    found: list[int] = []
    while (index := race.start(now_s)) is not None:
        found.append(index)
    return found


def test_the_first_is_asked_alone_and_joined_when_it_stays_silent() -> None:
    race = Race((0, 1, 2), hedge_after_s=1.0)
    assert started(race, 0.0) == [0]
    assert race.next_at_s(0.5) == 1.0
    assert started(race, 0.99) == []
    assert started(race, 1.0) == [1]
    assert started(race, 2.0) == [2]
    assert race.next_at_s(2.0) is None


def test_a_failure_is_followed_by_the_next_at_once() -> None:
    race = Race((0, 1), hedge_after_s=1.0)
    started(race, 0.0)
    race.failed(0, "HTTP 500")
    assert race.next_at_s(0.1) == 0.1
    assert started(race, 0.1) == [1]
    race.failed(1, "HTTP 429")
    assert race.is_lost
    assert started(race, 9.0) == []


def test_a_failure_beside_one_that_still_may_speak_does_not_hurry() -> None:
    race = Race((0, 1, 2), hedge_after_s=1.0)
    started(race, 0.0)
    started(race, 1.0)
    race.failed(1, "HTTP 500")
    assert started(race, 1.5) == []
    assert started(race, 2.0) == [2]


def test_whoever_speaks_first_ends_the_race() -> None:
    race = Race((0, 1, 2), hedge_after_s=1.0)
    started(race, 0.0)
    started(race, 1.0)
    assert race.spoke(1) == {0}
    assert race.spoke(0) == frozenset()
    assert race.winner == 1
    assert started(race, 5.0) == []


def test_endpoints_that_failed_are_asked_last_until_they_have_rested() -> None:
    health = EndpointHealth(3, rest_s=30.0)
    health.failed((0,), 100.0)
    assert health.order(101.0) == (1, 2, 0)
    health.failed((1,), 101.0)
    assert health.order(102.0) == (2, 0, 1)
    assert health.order(130.5) == (0, 2, 1)
    health.spoke(1)
    assert health.order(130.5) == (0, 1, 2)
