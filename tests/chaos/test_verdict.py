"""What is good enough, and what is not."""

from __future__ import annotations

from dataclasses import replace

from talkover.chaos.verdict import Heard, Limits, Outcome, Witness, violations

WELL = Outcome(
    heard=Heard(said="Sorry.", silence_s=1.0, is_spoken=True),
    listens_after_ms=200,
    witness=Witness((500.0, 520.0), (510.0, 900.0, 505.0), (500.0,)),
)


def found(limits: Limits | None = None, **changes: object) -> list[str]:
    return violations(replace(WELL, **changes), limits or Limits())  # type: ignore[arg-type]


def test_what_went_well_violates_nothing() -> None:
    assert found() == []


def test_nobody_may_be_left_without_a_word() -> None:
    assert found(heard=Heard()) == ["nothing was heard and nothing shown"]
    assert found(heard=Heard(told="failed", silence_s=13.0)) == ["13.0 s of silence, more than 12 s"]
    assert found(Limits(must_reply=False), heard=Heard()) == []


def test_the_session_must_listen_again_and_be_the_same_unless_it_may_end() -> None:
    assert found(listens_after_ms=None) == ["it did not listen again"]
    assert found(reconnected=True) == ["the session was lost"]
    assert found(Limits(may_end=True), reconnected=True) == []


def test_the_process_must_live() -> None:
    assert found(server_died="code -9") == ["the server's process ended: code -9"]


def test_the_witness_must_not_notice() -> None:
    assert found(witness=Witness((500.0,), (1100.0,))) == ["the witness was answered after 1100 ms instead of 500 ms"]
    assert found(Limits(witness_ms=700), witness=Witness((500.0,), (1100.0,))) == []
    assert found(witness=Witness((500.0,), (None, 500.0))) == ["the witness got no answer to 1 of 3 questions"]
    assert found(witness=Witness((500.0,), ())) == ["the witness asked nothing meanwhile"]
    assert found(witness=Witness(failure="closed")) == ["the witness was cut off: closed"]
