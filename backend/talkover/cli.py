"""The `talkover` command. Heavy modules are imported inside the commands, so that `talkover --help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from talkover import __version__

if TYPE_CHECKING:
    from talkover.config import Settings
    from talkover.engines import AsrEngine, TtsEngine, VadEngine
    from talkover.messages import Samples
    from talkover.rest.audio_files import FileFormat
    from talkover.rest.offline import TranscribedPiece

CONFIGURATION_FAULT = 2
FAILURE = 1

app = typer.Typer(
    name="talkover",
    help="A voice agent that talks, listens while it talks, and yields.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
screen = Console()
"""results"""
notes = Console(stderr=True)
"""everything else, so that results can be piped"""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="TOML file; `configs/` holds examples.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override one value, e.g. llm.model=qwen3. Repeatable."),
]


def _fail(lines: list[str] | tuple[str, ...] | str, code: int) -> NoReturn:
    for line in [lines] if isinstance(lines, str) else lines:
        notes.print(f"[red]✗[/] {escape(line)}", soft_wrap=True)
    raise typer.Exit(code)


def _settings(config: Path | None, overrides: list[str] | None) -> Settings:
    """The configuration, or an end with every problem of it listed."""
    from talkover.config import ConfigError, load_settings

    try:
        return load_settings(config, overrides or ())
    except ConfigError as error:
        _fail(error.problems, CONFIGURATION_FAULT)


@contextmanager
def _tts_engine(settings: Settings) -> Generator[TtsEngine]:
    from talkover.engines import EngineUnavailable
    from talkover.registry import create_engine

    try:
        engine: TtsEngine = create_engine("tts", settings.tts.engine, settings)
        engine.warmup()
    except EngineUnavailable as error:
        _fail(str(error), FAILURE)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def _recognition(settings: Settings) -> Generator[tuple[VadEngine, AsrEngine]]:
    from talkover.engines import EngineUnavailable
    from talkover.registry import create_engine

    try:
        vad: VadEngine = create_engine("vad", settings.vad.engine, settings)
        asr: AsrEngine = create_engine("asr", settings.asr.engine, settings)
        with notes.status(f"Loading {asr.name}"):
            vad.warmup()
            asr.warmup()
    except EngineUnavailable as error:
        _fail(str(error), FAILURE)
    try:
        yield vad, asr
    finally:
        asr.close()
        vad.close()


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        screen.print(f"talkover {__version__}", highlight=False)
        raise typer.Exit


@app.command()
def serve(
    config: ConfigOption = None,
    overrides: SetOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; the same as server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="0 picks a free one; the same as server.port.")] = None,
    record_events: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A log per session for `talkover replay`, transcripts included."),
    ] = None,
) -> None:
    """Serve the page, the realtime socket and the REST endpoints on one port."""
    all_overrides = [*(overrides or [])]
    all_overrides += [f"server.host={host}"] if host is not None else []
    all_overrides += [f"server.port={port}"] if port is not None else []
    all_overrides += [f"event_log.path={record_events.resolve()}"] if record_events is not None else []
    settings = _settings(config, all_overrides)

    from talkover.config import ConfigError
    from talkover.engines import EngineUnavailable
    from talkover.loading import chosen_engines
    from talkover.registry import unknown_engine
    from talkover.serving import serve as serve_app

    unknown = [unknown_engine(slot, name) for slot, (name, _) in chosen_engines(settings).items()]
    if problems := [problem for problem in unknown if problem is not None]:
        _fail(problems, CONFIGURATION_FAULT)
    try:
        serve_app(settings)
    except ConfigError as error:
        _fail(error.problems, CONFIGURATION_FAULT)
    except EngineUnavailable as error:
        _fail(str(error).splitlines(), FAILURE)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `talkover serve --record-events` writes them.")],
) -> None:
    """Run a recorded session again, without audio and engines. Exit code 1: it decided otherwise."""
    from talkover.realtime.replay import NoEventLog, lines_of, read
    from talkover.realtime.replay import replay as replay_session

    try:
        result = replay_session(read(lines_of(file)))
    except (OSError, NoEventLog) as error:
        _fail(f"{file}: {error}", CONFIGURATION_FAULT)
    end = f"ended: {result.ended}" if result.ended else "ended abruptly"
    screen.print(
        f"session {result.session_id}: {result.steps} steps in {result.duration_s:.1f} s, {result.actions} actions, "
        f"{result.decisions} decisions of turn taking; {end}",
        highlight=False,
        soft_wrap=True,
    )
    for error in result.raised:
        screen.print(f"raised {error}, as it did when it was recorded", highlight=False)
    if (difference := result.difference) is None:
        screen.print("the same decisions")
        return
    for line in difference.context:
        typer.echo(line)
    typer.echo(f"line {difference.step.line}, {difference.step.at_s:.3f} s: {difference.step.what}")
    typer.echo(f"  recorded: {difference.recorded}\n  now:      {difference.replayed}")
    raise typer.Exit(FAILURE)


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    voice: Annotated[str | None, typer.Option("--voice", "-v", help="See `talkover voices`.")] = None,
    speed: Annotated[float, typer.Option(min=0.25, max=1.5)] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="wav, flac, opus or mp3 file; else it is played.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Speak a text."""
    settings = _settings(config, overrides)
    file_format = _file_format(output) if output is not None else None

    from talkover.engines import EngineFailed
    from talkover.messages import VoiceSettings
    from talkover.rest.offline import speak

    words = sys.stdin.read() if text == "-" else text
    chosen = VoiceSettings(voice or settings.session.voice, speed)
    with _tts_engine(settings) as tts:
        speech = speak(words, tts, chosen, lambda: False)
        try:
            if output is None or file_format is None:
                _play(speech)
            else:
                seconds = _write(speech, output, file_format)
                notes.print(f"{escape(str(output))}: {seconds:.1f} s")
        except (EngineFailed, ValueError) as error:
            _fail(str(error), FAILURE)


def _file_format(path: Path) -> FileFormat:
    suffix = path.suffix.lower().removeprefix(".")
    formats: dict[str, FileFormat] = {
        "wav": "wav",
        "flac": "flac",
        "opus": "opus",
        "ogg": "opus",
        "mp3": "mp3",
        "pcm": "pcm",
    }
    if suffix not in formats:
        _fail(f"--output must end in {', '.join('.' + name for name in formats)}, got {path.name!r}", FAILURE)
    return formats[suffix]


def _write(speech: Iterator[Samples], path: Path, file_format: FileFormat) -> float:
    """Seconds written. Raises ValueError when there is nothing to say or the file cannot be written."""
    from talkover.audio import OUTPUT_RATE_HZ
    from talkover.rest.audio_files import StreamEncoder, wav_header

    first = next(speech, None)  # what goes wrong until here leaves no file behind
    if first is None:
        raise ValueError("the text holds nothing that can be spoken")
    encoder = StreamEncoder(file_format)
    n_samples = 0
    try:
        with path.open("wb") as file, closing(encoder):
            for samples in chain([first], speech):
                n_samples += samples.size
                file.write(encoder.feed(samples))
            file.write(encoder.finish())
            if file_format == "wav":  # unlike a stream, a file can be told its length afterwards
                file.seek(0)
                file.write(wav_header(OUTPUT_RATE_HZ, n_samples * 2))
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from error
    return n_samples / OUTPUT_RATE_HZ


def _play(speech: Iterator[Samples]) -> None:
    from talkover.audio import OUTPUT_RATE_HZ

    try:
        import sounddevice
    except OSError:
        _fail("Playing needs PortAudio (Debian: sudo apt-get install libportaudio2); or --output speech.wav", FAILURE)
    try:
        with sounddevice.OutputStream(samplerate=OUTPUT_RATE_HZ, channels=1, dtype="float32") as stream:
            for samples in speech:
                stream.write(samples)
    except sounddevice.PortAudioError as error:
        _fail(f"There is no loudspeaker to play on ({error}); write a file instead: --output speech.wav", FAILURE)


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="wav, flac, ogg or mp3.")],
    language: Annotated[str | None, typer.Option(help="e.g. en; else what the engine prefers.")] = None,
    style: Annotated[
        Literal["text", "srt", "vtt"], typer.Option("--format", "-f", help="Text, or subtitles with times.")
    ] = "text",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Write down what recordings say."""
    settings = _settings(config, overrides)
    failed = False
    with _recognition(settings) as (vad, asr):
        for path in files:
            try:
                pieces = _transcribed(path, vad, asr, language or settings.asr.language)
            except ValueError as error:
                notes.print(f"[red]✗[/] {escape(f'{path}: {error}')}", soft_wrap=True)
                failed = True
                continue
            if len(files) > 1:
                notes.print(f"[bold]{escape(str(path))}[/]")
            typer.echo(_rendered(pieces, style))
    if failed:
        raise typer.Exit(FAILURE)


def _transcribed(path: Path, vad: VadEngine, asr: AsrEngine, language: str | None) -> list[TranscribedPiece]:
    """Raises ValueError with what is wrong with the file or what failed."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from talkover.audio import INPUT_RATE_HZ
    from talkover.engines import EngineFailed
    from talkover.rest.audio_files import read_audio
    from talkover.rest.offline import transcribe_pieces

    try:
        samples = read_audio(path.read_bytes(), max_duration_s=24 * 3600)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    found: list[TranscribedPiece] = []
    with Progress(*columns, TimeRemainingColumn(), console=notes, transient=True) as progress:
        task = progress.add_task(path.name, total=samples.size / INPUT_RATE_HZ)
        try:
            for piece in transcribe_pieces(samples, vad, asr, language=language):
                found.append(piece)
                progress.update(task, completed=piece.end_s)
        except EngineFailed as error:
            raise ValueError(str(error)) from error
    return found


def _rendered(pieces: list[TranscribedPiece], style: Literal["text", "srt", "vtt"]) -> str:
    from talkover.rest.offline import subtitles

    if style == "text":
        return " ".join(piece.text for piece in pieces)
    return subtitles(pieces, ",") if style == "srt" else "WEBVTT\n\n" + subtitles(pieces, ".")


@app.command()
def voices(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """List the voices to speak with."""
    settings = _settings(config, overrides)
    with _tts_engine(settings) as tts:
        aliases = dict(tts.aliases())
        table = Table("id", "name", "language", "gender", "also called", title=f"Voices of {tts.name}")
        for voice in tts.voices():
            also = ", ".join(alias for alias, target in aliases.items() if target == voice.id)
            table.add_row(voice.id, voice.name, voice.language, voice.gender, also)
        screen.print(table)


@app.command()
def key(name: Annotated[str, typer.Argument(help="What it is called in the configuration.")]) -> None:
    """Make a key: it is shown once, and only its digest goes into the configuration."""
    from talkover.access.keys import digest_of, new_key

    made = new_key()
    notes.print("The key, for whoever is to use it. It is kept nowhere:", highlight=False)
    screen.print(made, highlight=False, soft_wrap=True)
    notes.print("\nFor the configuration:", highlight=False)
    lines = ["[[access.keys]]", f'name = "{name}"', f'key_sha256 = "{digest_of(made).hex()}"', 'scopes = ["realtime"]']
    notes.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


@app.command()
def doctor(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Check what is installed and reachable; say how to mend what is not. Exit code 0: the configured engines start."""
    settings = _settings(config, overrides)

    from talkover.doctor import examine, print_report

    with notes.status("Looking"):
        checks = examine(settings)
    print_report(checks, screen)
    if any(check.fatal for check in checks):
        raise typer.Exit(FAILURE)


@app.command()
def ingest(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="Of documents; else knowledge.path.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Read a folder of documents into its index ahead of a start: Markdown, text, HTML, PDF, DOCX, CSV.

    What has not changed is not read again. A file that cannot be used is named, and the others are indexed.
    """
    settings = _settings(config, [*(overrides or []), *([f"knowledge.path={folder.resolve()}"] if folder else [])])
    if settings.knowledge.path is None:
        _fail("FOLDER or knowledge.path must name the folder of documents", CONFIGURATION_FAULT)

    from talkover.engines import EngineFailed, EngineUnavailable
    from talkover.knowledge.command import ingest_folder, print_refreshed

    try:
        name, refreshed = ingest_folder(settings, notes)
    except (EngineUnavailable, EngineFailed) as error:
        _fail(str(error).splitlines(), FAILURE)
    print_refreshed(name, refreshed, screen, notes)
    if refreshed.files and not refreshed.chunks:
        raise typer.Exit(FAILURE)


_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_PASSED_ON)
def talk(context: typer.Context) -> None:
    """Hold a conversation from the terminal, by microphone or with a recording."""
    _delegate("talkover.talk", context)


@app.command(context_settings=_PASSED_ON)
def top(context: typer.Context) -> None:
    """Watch a running server: sessions, latencies, queues, load."""
    _delegate("talkover.top", context)


@app.command(context_settings=_PASSED_ON)
def bench(context: typer.Context) -> None:
    """Measure latency, barge-in and capacity over the real socket; `bench asr`: a recogniser on recordings; `bench
    duplex`: who yields to whom, and how soon; `bench retrieval`: how often the right passage is found; `bench soak`:
    what grows in a long run."""
    module = {
        "asr": "talkover.bench.asr",
        "duplex": "talkover.bench.duplex.run",
        "retrieval": "talkover.bench.retrieval",
        "soak": "talkover.bench.soak",
    }.get(" ".join(context.args[:1]))
    if module is None:
        _delegate("talkover.bench", context)
    else:
        context.args.pop(0)
        _delegate(module, context)


@app.command(context_settings=_PASSED_ON)
def chaos(context: typer.Context) -> None:
    """Do faults to a server: broken engines, networks, clients and machines; tell what the user heard of each."""
    _delegate("talkover.chaos.command", context)


@app.command(context_settings=_PASSED_ON)
def models(context: typer.Context) -> None:
    """Model files: what is known and what is here; download, verify."""
    import_module("talkover.models.command").app(context.args, prog_name=f"talkover {context.info_name}")


@app.command(context_settings=_PASSED_ON)
def memory(context: typer.Context) -> None:
    """What callers agreed to have remembered: list, export, delete."""
    import_module("talkover.memory.command").app(context.args, prog_name=f"talkover {context.info_name}")


@app.command(context_settings=_PASSED_ON)
def recordings(context: typer.Context) -> None:
    """Recordings of calls: list, export, delete."""
    import_module("talkover.recording.command").app(context.args, prog_name=f"talkover {context.info_name}")


def _delegate(module: str, context: typer.Context) -> None:
    """Run `command` of `module`, which has options of its own, with the arguments that are left."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command()(import_module(module).command)
    single(context.args, prog_name=f"talkover {context.info_name}")
