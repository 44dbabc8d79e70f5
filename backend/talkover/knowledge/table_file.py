"""CSV and TSV: a FAQ, one section for each question, or any table, one spoken sentence for each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from talkover.knowledge.documents import Document, Outline, Sentence, spoken_row
from talkover.knowledge.plain_text import decoded
from talkover.knowledge.sentences import split_sentences, with_full_stop
from talkover.knowledge.unreadable import Unreadable

MAX_ROWS = 100_000
MAX_CELL_CHARACTERS = 20_000

_QUESTION = frozenset(("question", "questions", "q", "faq", "ask", "prompt", "问题", "问", "提问", "常见问题"))
_ANSWER = frozenset(("answer", "answers", "a", "reply", "response", "回答", "答案", "答", "回复"))
_TOPIC = frozenset(("category", "topic", "section", "group", "subject", "类别", "分类", "主题"))


def load_table(path: str, content: bytes) -> Document:
    """Raises Unreadable."""
    text = decoded(content)
    rows = _rows(text)
    header = next(rows, None)
    if header is None:
        raise Unreadable("is empty")
    outline = Outline()
    names = [name.strip().lower().rstrip("?:？：") for name in header]
    question, answer = _column(names, _QUESTION), _column(names, _ANSWER)
    if question is not None and answer is not None:
        _add_faq(outline, rows, question, answer, _column(names, _TOPIC))
    else:
        _add_table(outline, header, rows)
    return outline.document(path)


def _rows(text: str) -> Iterator[list[str]]:
    first = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for number, row in enumerate(reader):
        if number > MAX_ROWS:
            raise Unreadable(f"has more than {MAX_ROWS} rows")
        cells = [" ".join(cell.split())[:MAX_CELL_CHARACTERS] for cell in row]
        if any(cells):
            yield cells


def _column(names: Sequence[str], wanted: frozenset[str]) -> int | None:
    return next((at for at, name in enumerate(names) if name in wanted), None)


def _add_faq(outline: Outline, rows: Iterator[list[str]], question: int, answer: int, topic: int | None) -> None:
    """A section per question; rows that repeat an answer ask for the same in other words."""
    for number, row in enumerate(rows, 2):
        if max(question, answer) >= len(row) or not row[question] or not row[answer]:
            continue
        if topic is not None and topic < len(row) and row[topic]:
            outline.heading(2, row[topic])
        outline.heading(3, row[question])
        outline.place(f"row {number}")
        outline.text(Sentence(with_full_stop(piece)) for piece in split_sentences(row[answer]))


def _add_table(outline: Outline, header: Sequence[str], rows: Iterator[list[str]]) -> None:
    for number, row in enumerate(rows, 2):
        outline.place(f"row {number}")
        outline.text([Sentence(spoken_row(header, row), item=True)])
