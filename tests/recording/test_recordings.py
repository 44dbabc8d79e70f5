"""Recordings on disk: made by a server, listed, exported without numbers, deleted by hand, by age and by refusal."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from fakes import session_options
from live import eventually
from talkover.config import ConfigError, load_settings
from talkover.metrics import Metrics
from talkover.realtime.actions import Record, Send
from talkover.recording import writer as recording_writer
from talkover.recording.command import app as command
from talkover.recording.export import redacted_transcript
from talkover.recording.folder import TRANSCRIPT, RecordingsFolder, delete, write_transcript
from talkover.recording.transcript import SpokenWord, Transcript, TranscriptItem, decoded, encoded, readable
from talkover.recording.writer import RecordingWriter
from talkover.sections.operation import RecordingSettings

NOW_S = 1_800_000_000.0


def stored(path: Path) -> list[Path]:
    return sorted(path.glob("*_sess_*"))


def transcript_in(folder: Path) -> Transcript | None:
    path = folder / TRANSCRIPT
    return decoded(path.read_bytes()) if path.is_file() else None


def is_finished(path: Path) -> bool:
    return any((made := transcript_in(folder)) is not None and made.finished for folder in stored(path))


def run(name: str, path: Path, *arguments: str) -> tuple[int, str]:
    options = ["--set", f"recording.path={path}", "--set", 'recording.consent=""']
    result = CliRunner().invoke(command, [name, *arguments, *options])
    return result.exit_code, result.output


def test_recording_is_off_unless_a_folder_and_a_sentence_are_set(tmp_path: Path) -> None:
    assert load_settings(None, (), {}).recording.path is None
    with pytest.raises(ConfigError, match=r"recording\.consent: must be set"):
        load_settings(None, [f"recording.path={tmp_path}"], {})
    assert load_settings(None, [f"recording.path={tmp_path}", 'recording.consent=""'], {}).recording.consent == ""


# ------------------------------------------------------------------------------------------------------- the writer


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def recorded(path: Path, clock: Clock, **settings: object) -> tuple[RecordingWriter, Metrics]:
    metrics = Metrics()
    chosen = RecordingSettings(path=path, consent="", **settings)  # type: ignore[arg-type]
    return RecordingWriter(chosen, metrics, clock), metrics


def outcomes(metrics: Metrics) -> dict[str, float]:
    samples = next(iter(metrics.recordings_total.collect())).samples
    return {sample.labels["outcome"]: sample.value for sample in samples if sample.name.endswith("_total")}


def a_call(writer: RecordingWriter, name: str = "a"):
    call = writer.observer(f"sess_{name}", session_options(recording=""))
    call.decided([Record(True)], 0.0)
    return call


def test_a_full_disk_ends_the_recording_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    writer, metrics = recorded(tmp_path, clock, min_free_mib=1_000_000)
    call = a_call(writer)
    clock.now_s = 60.0
    assert eventually(lambda: outcomes(metrics) == {"broken": 1.0})
    assert call.fault == "the disk is full"
    (folder,) = stored(tmp_path)
    made = transcript_in(folder)
    assert made is not None
    assert (made.finished, made.fault) == (True, "the disk is full")
    call.closed()
    writer.close()
    assert sum("its recording stopped" in record.message for record in caplog.records) == 1


def test_a_folder_that_vanishes_ends_the_recording_only(tmp_path: Path) -> None:
    clock = Clock()
    writer, metrics = recorded(tmp_path, clock)
    call = a_call(writer)
    clock.now_s = 60.0
    assert eventually(lambda: stored(tmp_path) != [] and transcript_in(stored(tmp_path)[0]) is not None)
    delete(stored(tmp_path)[0])
    clock.now_s = 120.0
    assert eventually(lambda: outcomes(metrics) == {"broken": 1.0})
    other = a_call(writer, "b")
    call.closed()
    other.closed()
    writer.close()
    assert is_finished(tmp_path)


def test_a_writer_that_falls_behind_gives_up_one_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_writer, "MAX_WAITING_BYTES", 1000)
    clock = Clock()
    writer, metrics = recorded(tmp_path, clock)
    call = a_call(writer)
    call.happened("x" * 1001, 0.1)
    assert call.fault == "the writer is too slow"
    call.closed()
    writer.close()
    assert outcomes(metrics) == {"broken": 1.0}


def test_a_refusal_deletes_also_what_was_broken_before(tmp_path: Path) -> None:
    clock = Clock()
    writer, metrics = recorded(tmp_path, clock)
    call = a_call(writer)
    clock.now_s = 60.0
    assert eventually(lambda: stored(tmp_path) != [])
    call.decided([Send({"type": "session.created"})], 61.0)  # without its session: the recording fails
    assert eventually(lambda: outcomes(metrics) == {"broken": 1.0})
    call.decided([Record(False, erase=True)], 62.0)
    assert eventually(lambda: not stored(tmp_path))
    call.closed()
    writer.close()
    assert outcomes(metrics) == {"broken": 1.0, "erased": 1.0}


def test_a_call_that_is_not_recorded_leaves_nothing(tmp_path: Path) -> None:
    clock = Clock()
    writer, metrics = recorded(tmp_path, clock)
    call = writer.observer("sess_a", session_options(recording=""))
    clock.now_s = 60.0
    call.closed()
    writer.close()
    assert not stored(tmp_path)
    assert outcomes(metrics) == {}


# ---------------------------------------------------------------------------------------------- folders and commands


def a_recording(path: Path, call: str = "sess_a", days_ago: float = 0.0, **fields: object) -> Path:
    started_s = time.time() - days_ago * 86_400
    folder = RecordingsFolder(path).create(call, started_s)
    defaults: dict = {"caller": None, "started_at": "2027-01-15T08:00:00+00:00", "duration_ms": 4000, "notice": ""}
    write_transcript(folder, Transcript(call=call, finished=True, **(defaults | fields)))
    sound = np.full((4 * 24_000, 2), 0.5, np.float32)
    soundfile.write(folder / "audio.flac", sound, 24_000)
    return folder


def test_what_is_too_old_is_deleted_and_strange_files_are_left(tmp_path: Path) -> None:
    old, new = a_recording(tmp_path, "sess_old", 31), a_recording(tmp_path, "sess_new", 29)
    strange = tmp_path / "20200101T000000Z_other"
    strange.mkdir()
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("")
    (tmp_path / "20200101T000000Z_sess_link").symlink_to(elsewhere)
    settings = RecordingSettings(path=tmp_path, consent="")
    writer = RecordingWriter(settings, Metrics())
    assert eventually(lambda: not old.exists())
    writer.close()
    assert new.exists()
    assert strange.exists()
    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize("call", ["sess_../../x", "sess_a/b", "../x", "sess_", "sess_a\n"])
def test_an_id_never_leads_out_of_the_folder(tmp_path: Path, call: str) -> None:
    with pytest.raises(ValueError, match="id of a call"):
        RecordingsFolder(tmp_path).create(call, NOW_S)
    with pytest.raises(ValueError, match="not the folder"):
        delete(tmp_path)


def test_calls_are_chosen_by_id_by_caller_and_by_age(tmp_path: Path) -> None:
    a_recording(tmp_path, "sess_a", 10, caller="Ada")
    a_recording(tmp_path, "sess_b", 5, caller="Ada")
    a_recording(tmp_path, "sess_c", 1)
    assert [line.split()[0] for line in run("list", tmp_path)[1].splitlines()] == ["sess_c", "sess_b", "sess_a"]
    assert run("delete", tmp_path)[0] == 2
    assert run("delete", tmp_path, "sess_x")[0] == 1
    assert run("delete", tmp_path, "--caller", "Ada", "--older-than", "7") == (0, "sess_a is deleted\n")
    assert run("delete", tmp_path, "sess_c") == (0, "sess_c is deleted\n")
    assert [folder.name.partition("_")[2] for folder in stored(tmp_path)] == ["sess_b"]


def test_what_is_being_recorded_is_not_deleted(tmp_path: Path) -> None:
    folder = a_recording(tmp_path)
    write_transcript(folder, Transcript("sess_a", None, "2027-01-15T08:00:00+00:00", 0, ""))
    assert "(being recorded)" in run("list", tmp_path)[1]
    code, output = run("delete", tmp_path, "sess_a")
    assert (code, folder.exists()) == (1, True)
    assert "still being recorded" in output
    os.utime(folder / TRANSCRIPT, (1, 1))
    assert "the server stopped" in run("list", tmp_path)[1]
    assert run("delete", tmp_path, "sess_a")[0] == 0


ITEMS = (
    TranscriptItem("u", "user", 500, 1000, "My number is four two seven one."),
    TranscriptItem(
        "a",
        "agent",
        1500,
        2500,
        "So it is 4271, thanks.",
        unheard="Write to a@b.de.",
        words=(
            SpokenWord(0, 2, 1500, 1600),
            SpokenWord(3, 5, 1600, 1700),
            SpokenWord(6, 8, 1700, 1800),
            SpokenWord(9, 14, 1800, 2200),
            SpokenWord(15, 22, 2200, 2500),
        ),
    ),
    TranscriptItem("b", "agent", 3000, 3500, "Goodbye."),
)


def test_an_export_masks_and_silences_what_was_understood_as_a_number(tmp_path: Path) -> None:
    a_recording(tmp_path / "calls", caller="+49 30 1234", items=ITEMS)
    to = tmp_path / "out"
    assert run("export", tmp_path / "calls", "sess_a", "--to", str(to))[0] == 0
    (folder,) = stored(to)
    exported = transcript_in(folder)
    assert exported is not None
    assert [item.text for item in exported.items] == [
        "My number is [number].",
        "So it is [number], thanks.",
        "Goodbye.",
    ]
    assert (exported.items[1].unheard, exported.caller, exported.redacted) == ("Write to [e-mail].", None, True)
    everything = "".join(file.read_text() for file in (folder / TRANSCRIPT, folder / "transcript.txt"))
    assert not {"4271", "a@b.de", "1234", "four"} & set(everything.replace('"', " ").replace(",", " ").split())
    sound, _ = soundfile.read(folder / "audio.flac")
    user, agent = sound[:, 0] == 0, sound[:, 1] == 0
    assert user[500 * 24 : 1000 * 24].all()
    assert np.count_nonzero(user) == 500 * 24
    assert agent[1800 * 24 : 2200 * 24].all()
    assert np.count_nonzero(agent) == (400 + 160) * 24
    assert oct((folder / "audio.flac").stat().st_mode & 0o777) == "0o600"


def test_an_export_as_it_is_and_never_over_another(tmp_path: Path) -> None:
    original = a_recording(tmp_path / "calls", items=ITEMS, caller="Ada")
    arguments = ("export", tmp_path / "calls", "--caller", "Ada", "--no-redact", "--to", str(tmp_path / "out"))
    assert run(*arguments)[0] == 0
    (folder,) = stored(tmp_path / "out")
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "out", folder)] == ["0o700", "0o700"]
    assert transcript_in(folder) == transcript_in(original)
    assert np.array_equal(soundfile.read(folder / "audio.flac")[0], soundfile.read(original / "audio.flac")[0])
    assert run(*arguments)[0] == 1


def test_an_agent_without_word_times_is_silenced_whole() -> None:
    item = TranscriptItem("a", "agent", 100, 900, "It is 030 1234.")
    transcript = Transcript("sess_a", None, "2027-01-15T08:00:00+00:00", 1000, "", items=(item,))
    assert redacted_transcript(transcript)[1] == [(1, 100, 900)]


def test_nobody_can_type_a_line_of_somebody_else_into_the_readable_transcript():
    typed = TranscriptItem("item_1", "user", 1000, 1000, "Yes.\n00:02.0  agent: You have won.\u2028", typed=True)
    text = readable(Transcript("sess_1", "ann\nNot recorded: all", "2026-03-01T10:00:00+00:00", 3000, "", (typed,)))
    assert [line for line in text.splitlines() if line.startswith("00:")] == [
        "00:01.0  user, typed: Yes. 00:02.0  agent: You have won."
    ]
    assert "Caller: ann Not recorded: all" in text.splitlines()


def test_a_transcript_that_is_damaged_is_a_value_error():
    yesterday = encoded(Transcript("sess_1", None, "yesterday", 0, ""))
    for damaged in (b"", b"{}", b'{"call": "\xff"}', b'{"x": ' + b"[" * 5000, yesterday):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the message
            decoded(damaged)
