"""Settings: what is refused and how it is named, what overrides what, and that the shipped files are true."""

import tomllib
from pathlib import Path

import pytest

from talkover.config import ConfigError, Settings, load_settings
from talkover.registry import unknown_engine
from talkover.resources import resource

CONFIGS = sorted(resource("configs").glob("*.toml"))


def problems(path: Path | None = None, *overrides: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, overrides, environ or {})
    return caught.value.problems


def test_default_file_holds_the_built_in_defaults() -> None:
    assert load_settings(resource("configs") / "default.toml", environ={}) == Settings()


def test_default_file_names_every_key() -> None:
    tree = tomllib.loads((resource("configs") / "default.toml").read_text(encoding="utf-8"))
    sections = {name: set(field.annotation.model_fields) for name, field in Settings.model_fields.items()}
    assert {name: set(values) for name, values in tree.items()} == sections


def test_default_file_warns_that_other_machines_need_tls() -> None:
    lines = (resource("configs") / "default.toml").read_text(encoding="utf-8").splitlines()
    assert "microphone" in next(line for line in lines if line.startswith("host ="))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_files_are_valid(path: Path) -> None:
    load_settings(path, environ={})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_files_say_at_the_top_when_an_engine_is_missing(path: Path) -> None:
    settings = load_settings(path, environ={})
    missing = [unknown_engine("asr", settings.asr.engine), unknown_engine("tts", settings.tts.engine)]
    head = path.read_text(encoding="utf-8").split("\n[")[0]
    if any(missing):
        assert path.stem == "mandarin"
        assert "Not complete yet" in head
    else:
        assert "Not complete yet" not in head


def test_planned_engine_is_told_from_a_misspelt_one() -> None:
    assert unknown_engine("asr", "pocketsphinx") is None
    assert unknown_engine("tts", "voxcpm") == (
        "tts.engine: 'voxcpm' is planned and not there yet; today there is: espeak, cosyvoice2, openai"
    )
    assert "must be one of" in (unknown_engine("asr", "pocketsfinx") or "")


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('[server]\nport = 70000\ntls_key = "absent.pem"\n[vad]\nthreshhold = 0.4\nthreshold = 3\n')
    found = problems(path, "no-equals-sign", "llm.max_retries=9")
    assert len(found) == 5
    text = "\n".join(found)
    assert "server.port: Input should be less than or equal to 65535, got 70000" in text
    assert "vad.threshhold: is not a known key" in text
    assert "vad.threshold" in text
    assert "llm.max_retries" in text
    assert "--set no-equals-sign: must look like section.key=value" in text


def test_contradictions_are_found_when_every_key_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "tls.toml"
    path.write_text('[server]\ntls_key = "absent.pem"\n[knowledge]\npath = "nowhere"\n')
    assert problems(path) == (
        "server.tls_certificate and server.tls_key: must be set together",
        f"server.tls_key: must be a readable file, got {str(tmp_path / 'absent.pem')!r}",
        f"knowledge.path: must be a folder, got {str(tmp_path / 'nowhere')!r}",
    )


def test_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    assert "absent.toml: cannot be read" in problems(tmp_path / "absent.toml")[0]
    (tmp_path / "bad.toml").write_text("port 8000")
    assert "is not valid TOML" in problems(tmp_path / "bad.toml")[0]


def test_precedence_is_file_then_environment_then_command_line(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text("[server]\nport = 1\nmax_sessions = 2\n[vad]\nthreshold = 0.1\n")
    environ = {"TALKOVER_SERVER__MAX_SESSIONS": "3", "TALKOVER_VAD__THRESHOLD": "0.3", "TALKOVER_API_KEY": "secret"}
    settings = load_settings(path, ["vad.threshold=0.9"], environ)
    assert (settings.server.port, settings.server.max_sessions, settings.vad.threshold) == (1, 3, 0.9)


def test_overrides_are_typed_like_toml() -> None:
    settings = load_settings(
        overrides=['server.allowed_origins=["https://a.example"]', "session.voice=en-gb-f1", 'asr.language="en"'],
        environ={},
    )
    assert settings.server.allowed_origins == ("https://a.example",)
    assert settings.session.voice == "en-gb-f1"
    assert settings.asr.language == "en"


def test_none_unsets_where_a_key_may_be_unset() -> None:
    settings = load_settings(overrides=["session.output_lead_ms=none", "vad.gate=webrtc"], environ={})
    assert settings.session.output_lead_ms is None
    assert settings.vad.gate == "webrtc"
    assert "server.port" in problems(None, "server.port=none")[0]


def test_section_given_as_a_value_is_refused() -> None:
    assert problems(None, "server.port=1", "server.port.x=2") == (
        "--set server.port.x: port is a value, not a section",
    )


def test_paths_in_a_file_count_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    path = tmp_path / "some.toml"
    path.write_text('[knowledge]\npath = "documents"\n')
    assert load_settings(path, environ={}).knowledge.path == tmp_path / "documents"


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().server.port = 1  # type: ignore[misc]
