"""Fuzz one parser: `python tests/fuzz/run.py wire_events --minutes 10`, or look at one input: `--input FILE`.

Guided by coverage, through atheris (`pip install 'talkover[fuzz]'`). What is found goes on being looked for: each
defect is kept once, by what was raised and where, and the run goes on to its end. A fuzzer that crashes, or hangs
outside of Python, is started anew.

Below the folder of the run (`test-artefacts/fuzz/NAME`): `corpus/`, inputs that reached something new, from which a
later run goes on; `findings/`, inputs with their tracebacks. Exit status 1 when there are findings.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.fuzzers import NAMES, fuzzer
from fuzz.harness import Fuzzer, signature

ARTEFACTS = Path(__file__).parent.parent.parent / "test-artefacts" / "fuzz"
HANG_S = 120
"""of wall clock, after which code that does not return to Python is ended; Python itself has `CPU_LIMIT_S`"""
RSS_LIMIT_MB = 4096
_STATUS = re.compile(r"^#(\d+)\t.*?cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


def main() -> int:
    arguments = _arguments()
    if arguments.input:
        fuzzer(arguments.name).run(arguments.input.read_bytes())
        return 0
    if arguments.seconds is not None:
        return _guided(arguments.name, arguments.folder, arguments.seconds)
    return _supervised(arguments.name, arguments.folder or ARTEFACTS / arguments.name, arguments.minutes * 60)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--input", type=Path, help="run this one input and show what it raises")
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)  # set for the process that fuzzes
    return parser.parse_args()


def _supervised(name: str, folder: Path, duration_s: float) -> int:
    """Fuzz in processes of their own until the time is over, and tell what came of it."""
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    (folder / "findings").mkdir(exist_ok=True)
    started_s = time.monotonic()
    executed = starts = coverage = features = 0
    while (left_s := round(duration_s - (time.monotonic() - started_s))) > 0:
        log = folder / f"log{starts}.txt"
        with log.open("wb") as output:
            command = [sys.executable, __file__, name, "--folder", str(folder), "--seconds", str(left_s)]
            ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        text = log.read_text(encoding="utf-8", errors="replace")
        statuses = _STATUS.findall(text)
        counts = _EXECUTED.findall(text) or [status[0] for status in statuses]
        executed += int(counts[-1]) if counts else 0
        if statuses:
            coverage, features = int(statuses[-1][1]), int(statuses[-1][2])
        starts += 1
        if ended.returncode != 0 and not counts:  # it does not even begin
            print(text[-2000:], file=sys.stderr)
            return 2
    findings = [path for path in sorted((folder / "findings").iterdir()) if path.suffix != ".txt"]
    n_corpus = sum(1 for _ in (folder / "corpus").iterdir())
    print(
        f"{name}: {executed} executions in {time.monotonic() - started_s:.0f} s, {coverage} edges, "
        f"{features} features, {n_corpus} inputs in the corpus, {starts - 1} restarts, {len(findings)} findings"
    )
    for path in findings:
        print(f"  {path}")
    return 1 if findings else 0


def _guided(name: str, folder: Path, duration_s: int) -> int:
    """The process that fuzzes; libFuzzer ends it."""
    try:
        import atheris
    except ImportError:
        print("the fuzzers need atheris: pip install 'talkover[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["talkover", "fuzz", "pypdf", "mammoth", "markdown_it", "yaml", "csv"]):
        target = fuzzer(name)
    words = target.words
    known: set[str] = set()

    def one_input(data: bytes) -> None:
        try:
            target.run(data)
        except KeyboardInterrupt:
            raise
        except BaseException as defect:
            if (found := signature(defect)) not in known:
                known.add(found)
                _keep(folder / "findings", data, defect, found)

    def other_input(data: bytes, max_bytes: int, seed: int) -> bytes:
        random = Random(seed)
        if target.mutate.__name__ == "mutated" and random.random() < 0.5:
            return atheris.Mutate(data, max_bytes)
        return target.mutate(data, random, words, max_bytes)[:max_bytes]

    options = [
        *(f"-max_total_time={duration_s}", f"-max_len={target.max_bytes}", f"-timeout={HANG_S}"),
        *(
            f"-rss_limit_mb={RSS_LIMIT_MB}",
            f"-artifact_prefix={folder / 'findings'}/",
            "-print_final_stats=1",
            "-report_slow_units=1000000",
        ),
        *(str(folder / "corpus"), *_seeds(target)),
    ]
    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=other_input)
    atheris.Fuzz()
    return 0


def _seeds(target: Fuzzer) -> Iterator[str]:
    if files := target.corpus():
        yield str(files[0].parent)


def _keep(folder: Path, data: bytes, defect: BaseException, found: str) -> None:
    name = hashlib.sha256(found.encode()).hexdigest()[:12]
    (folder / name).write_bytes(data)
    (folder / f"{name}.txt").write_text(f"{found}\n{''.join(traceback.format_exception(defect))}", encoding="utf-8")
    print(f"FOUND {name}: {found}: {str(defect)[:200]}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
