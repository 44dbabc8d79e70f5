"""From the name in the configuration to a folder with every file in it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from talkover.engines import EngineUnavailable
from talkover.extras import install_command
from talkover.models.catalogue import CATALOGUE, KnownModel, Source, model_called
from talkover.models.download import DownloadFailed, Patience, Progress, download, endpoint_of
from talkover.models.local import candidate_folders, faults, is_whole, own_folder
from talkover.resources import cache_folder
from talkover.sections.engines import ModelsSettings

log = logging.getLogger(__name__)

PULL = "talkover models pull"
LOG_EVERY_S = 10.0
"""how often a server that downloads says how far it is"""

OnProgress = Callable[[Progress], None]


def model_folders(settings: ModelsSettings) -> Path:
    """The folder in which each downloaded model has one of its own; made when missing."""
    folder = settings.folder if settings.folder is not None else cache_folder() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find_model(
    name_or_path: str,
    settings: ModelsSettings,
    needed: Sequence[str] = (),
    *,
    on_progress: OnProgress | None = None,
    environ: Mapping[str, str] | None = None,
    patience: Patience | None = None,
) -> Path:
    """The folder of a model, downloaded first if it must be and may be.

    `name_or_path`: a folder, a name of `talkover models list`, or a hub name (owner/name). `needed`: files the caller
    is going to open; for a listed model those of the list are added. Raises EngineUnavailable with what is missing and
    the command that mends it.
    """
    environ = os.environ if environ is None else environ
    if looks_like_path(name_or_path):
        return _named_folder(Path(name_or_path).expanduser(), needed)
    model = model_called(name_or_path)
    if model is None:
        names = ", ".join(known.name for known in CATALOGUE)
        raise EngineUnavailable(
            f"model {name_or_path!r} must be a folder that exists, a hub name (owner/name), or one of {names}"
        )
    needed = tuple(dict.fromkeys((*model.files, *needed)))
    if (found := local_folder(model, settings, needed, environ)) is not None:
        return found
    if not settings.download:
        raise EngineUnavailable(f"model {model.name} is not here (about {model.size_mb} MB): {PULL} {model.name}")
    return pull(model, settings, needed, on_progress or _logged(model.name), environ, patience)


def looks_like_path(name_or_path: str) -> bool:
    """Whether a folder is meant, existing or not; `owner/name` alone is a hub name unless there is such a folder."""
    named = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1
    return named or (bool(name_or_path) and Path(name_or_path).is_dir())


def local_folder(
    model: KnownModel, settings: ModelsSettings, needed: Sequence[str], environ: Mapping[str, str]
) -> Path | None:
    """Where a model lies complete on this machine, without looking at the network."""
    folders = candidate_folders(model_folders(settings), model.repos, environ)
    return next((folder for folder in folders if is_whole(folder, needed)), None)


def pull(
    model: KnownModel,
    settings: ModelsSettings,
    needed: Sequence[str],
    on_progress: OnProgress,
    environ: Mapping[str, str],
    patience: Patience | None = None,
) -> Path:
    """Download from the first hub that gives the model. Raises EngineUnavailable, naming what each hub said."""
    refused: list[str] = []
    said: list[str] = []
    reasons: set[str] = set()
    for source in _sources(model, settings):
        if not (source.is_free or settings.accept_other_licences):
            refused.append(f"{source.licence or 'unknown licence'} on {source.hub}")
            continue
        folder = own_folder(model_folders(settings), source.repo)
        try:
            download(source, model.wanted, folder, on_progress, environ, patience)
        except DownloadFailed as error:
            said.append(f"{source.hub}: {error}")
            reasons.add(error.reason)
            continue
        if missing := faults(folder, needed):
            said.append(f"{source.hub}: {source.repo}: {', '.join(missing)}")
            continue
        return folder
    raise EngineUnavailable(_why_not(model, settings, said, refused, reasons, environ))


def _why_not(
    model: KnownModel,
    settings: ModelsSettings,
    said: Sequence[str],
    refused: Sequence[str],
    reasons: set[str],
    environ: Mapping[str, str],
) -> str:
    why = f"model {model.name} cannot be downloaded: " + "; ".join(said)
    if said and refused:
        why += f" ({'; '.join(refused)} only with --accept-licence)"
    if not said:
        return (
            f"model {model.name} is neither Apache-2.0 nor MIT ({'; '.join(refused)}): read its licence, then "
            f"{PULL} {model.name} --accept-licence"
        )
    if "package" in reasons:
        return f"{why}: {install_command('models')}"
    if reasons == {"unreachable"}:
        hosts = " or ".join(endpoint_of(source.hub, environ) for source in _sources(model, settings))
        own = own_folder(model_folders(settings), model.sources[0].repo)
        return f"{why}. With a connection to {hosts}: {PULL} {model.name}; or copy its files to {own}"
    return f"{why}. To try again: {PULL} {model.name}"


def _sources(model: KnownModel, settings: ModelsSettings) -> Iterator[Source]:
    return (source for source in model.sources if settings.hub in ("auto", source.hub))


def _named_folder(folder: Path, needed: Sequence[str]) -> Path:
    if not folder.is_dir():
        raise EngineUnavailable(f"model folder {str(folder)!r} does not exist; talkover models list shows known names")
    if wrong := faults(folder, needed):
        raise EngineUnavailable(f"model folder {str(folder)!r}: {', '.join(wrong)}")
    return folder


def _logged(name: str) -> OnProgress:
    """Progress for a server's log."""
    last_s = -LOG_EVERY_S

    def on_progress(progress: Progress) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if progress.total and (now_s - last_s >= LOG_EVERY_S or progress.done == progress.total):
            last_s = now_s
            log.info("downloading %s: %d of %d MB", name, progress.done // 10**6, progress.total // 10**6)

    return on_progress
