"""Files of every format as documents, and files that are none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_files import W, archive, docx, paragraph, pdf, word_table
from talkover.knowledge import pdf_file
from talkover.knowledge.documents import MAX_SENTENCE_WORDS, Document, word_count
from talkover.knowledge.docx_file import MAX_TEXT_BYTES
from talkover.knowledge.folder import document_paths
from talkover.knowledge.html_file import MAX_NODES
from talkover.knowledge.loading import LOADERS, load_document
from talkover.knowledge.pdf_file import MAX_SECONDS, load_pdf, without_running_lines
from talkover.knowledge.unreadable import Unreadable


def outline_of(document: Document) -> list[tuple[tuple[str, ...], str]]:
    return [(section.headings, " ".join(item.text for item in section.sentences)) for section in document.sections]


def test_plain_text_with_headings_lists_and_divided_words() -> None:
    text = (
        "Opening hours\n=============\n\nWe are open from nine to\nfive every week-\nday.\n\n"
        "2.1 Holidays\n\n- closed at Christmas\n- open at Easter\n\nPARKING\n\nBehind the house.\n"
    )
    document = load_document("hours.txt", text.encode())
    assert document.title == "Opening hours"
    assert outline_of(document) == [
        ((), "We are open from nine to five every weekday."),
        (("Holidays",), "closed at Christmas. open at Easter."),
        (("PARKING",), "Behind the house."),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_text_in_the_encodings_it_comes_in(encoding: str) -> None:
    text = "营业时间\n\n我们每天早上八点开门，\n晚上九点关门。周末休息。\n"
    document = load_document("时间.txt", text.encode(encoding))
    assert "我们每天早上八点开门，晚上九点关门。" in outline_of(document)[0][1]


def test_western_text_that_is_not_utf8() -> None:
    document = load_document("a.txt", "Café crème is on the menu.".encode("cp1252"))
    assert outline_of(document) == [((), "Café crème is on the menu.")]


def test_html_keeps_the_main_text_and_its_headings() -> None:
    page = """<!doctype html><html><head><title>Shop | Returns</title><style>p {}</style></head><body>
      <nav><a href="/">Home</a></nav><main><h1>Returns</h1>
      <p>You have <b>30</b> days<br>to send it back.<script>alert("no")</script>
      <h2>Refunds</h2><ul><li>Cards in <i>five</i> days<li>Cash at once</ul>
      <table><tr><th>Item</th><th>Fee</th></tr><tr><td>Sofa</td><td>40</td></tr></table>
      <dl><dt>Gift cards?</dt><dd>Never.</dd></dl>
      <custom-box><p>Ask us.</p></custom-box></main><footer>Imprint</footer></body></html>"""
    document = load_document("returns.html", page.encode())
    assert document.title == "Returns"
    assert outline_of(document) == [
        ((), "You have 30 days to send it back."),
        (("Refunds",), "Cards in five days. Cash at once. Sofa: fee 40. Gift cards? Never. Ask us."),
    ]


def test_html_says_its_own_encoding() -> None:
    page = '<html><head><meta charset="gbk"><title>退货</title></head><body><p>三十天内可以退货。</p></body></html>'
    document = load_document("a.htm", page.encode("gbk"))
    assert (document.title, outline_of(document)[0][1]) == ("退货", "三十天内可以退货。")


def test_pdf_by_pages_bookmarks_and_without_running_lines() -> None:
    pages = [
        [f"Handbook of the clinic {number}", f"Text of page {number} is", "about visits.", f"Page {number} of 4"]
        for number in range(1, 5)
    ]
    pages[2][1:1] = ["Visiting hours", "From two to eight."]
    document = load_document("handbook.pdf", pdf(pages, "Clinic handbook", [("Visiting hours", 2)]))
    assert document.title == "Clinic handbook"
    assert [(section.heading, section.location) for section in document.sections] == [
        ("", "page 1"),
        ("", "page 2"),
        ("Visiting hours", "page 3"),
        ("Visiting hours", "page 4"),
    ]
    assert outline_of(document)[0][1] == "Text of page 1 is about visits."
    assert outline_of(document)[2][1] == "From two to eight. Text of page 3 is about visits."


def test_lines_of_short_pages_are_not_taken_for_running_lines() -> None:
    assert list(without_running_lines([["Only line"]] * 4)) == [["Only line"]] * 4


def test_docx_by_its_styles() -> None:
    body = (
        paragraph("Price list", "Title")
        + paragraph("Services", "Heading1")
        + paragraph("All prices in euros.")
        + word_table([["Haircut", "30"], ["Shave", "15"]])
        + paragraph("Discounts", "Heading2")
        + paragraph("Students pay half.")
    )
    document = load_document("prices.docx", docx(body))
    assert document.title == "Price list"
    assert outline_of(document)[-1] == (("Services", "Discounts"), "Students pay half.")
    assert any("Haircut: 30." in text for _, text in outline_of(document))


def test_faq_tables_ask_and_answer() -> None:
    table = 'Category;Question;Answer\nOrders;Where is my order?;"It takes 3 days. Track it; online."\n;Empty?;\n'
    document = load_document("faq.csv", table.encode())
    [section] = document.sections
    assert section.headings == ("Orders", "Where is my order?")
    assert section.location == "row 2"
    assert outline_of(document)[0][1] == "It takes 3 days. Track it; online."


def test_chinese_faq() -> None:
    document = load_document("faq.csv", "问题,答案\n怎么退货？,三十天内寄回。\n".encode("gb18030"))
    assert outline_of(document) == [(("怎么退货？",), "三十天内寄回。")]


def test_other_tables_are_spoken_row_by_row() -> None:
    document = load_document("drinks.tsv", b"Drink\tPrice\tSize\nEspresso\t2.50\tsmall\nTea\t3\t\n")
    assert [section.location for section in document.sections] == ["row 2", "row 3"]
    assert outline_of(document)[0][1] == "Espresso: price 2.50, size small."


def test_a_listing_without_an_end_is_cut() -> None:
    document = load_document("a.txt", ("word " * 1000).encode() + ("字" * 2000).encode())
    sentences = [sentence.text for section in document.sections for sentence in section.sentences]
    assert all(word_count(text) <= MAX_SENTENCE_WORDS for text in sentences)
    assert sum(text.count("word") for text in sentences) == 1000
    assert sum(text.count("字") for text in sentences) == 2000


def broken_pdf() -> bytes:
    content = pdf([["One line of text."]])
    return content[: len(content) // 3]


@pytest.mark.parametrize(
    ("name", "make", "problem"),
    [
        ("empty.md", lambda: b" \n", "is empty"),
        ("headings.md", lambda: b"# Only\n## headings\n", "holds no text"),
        ("picture.txt", lambda: bytes(range(256)) * 8, "is not text"),
        ("picture.pdf", lambda: b"\x89PNG\r\n" * 50, "is not a PDF"),
        ("broken.pdf", broken_pdf, "is broken"),
        ("secret.pdf", lambda: pdf([["Hidden."]], password="x"), "is encrypted"),
        ("scan.pdf", lambda: pdf([[]]), "only pictures"),
        ("zip.docx", lambda: archive({"a.txt": "no"}), "is not a Word document"),
        ("text.docx", lambda: b"plain text", "is not a Word document"),
        ("old.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is encrypted"),
        ("bomb.docx", lambda: archive({"word/document.xml": b" " * (MAX_TEXT_BYTES + 1)}), "unpacks to more"),
        ("xml.docx", lambda: docx("<w:p>"), "is broken"),
        ("empty.csv", lambda: b",,,\n\n", "is empty"),
        ("header.csv", lambda: b"Question,Answer\n", "holds no text"),
        ("page.html", lambda: b"<html><script>let x = 1</script></html>", "holds no text"),
        ("program.exe", lambda: b"MZ", "must be one of"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_cannot_be_read_is_named(name: str, make: Callable[[], bytes], problem: str) -> None:
    with pytest.raises(Unreadable, match=problem):
        load_document(name, make())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_an_xml_bomb_is_refused(encoding: str) -> None:
    entities = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    body = "<w:body><w:p><w:r><w:t>&i;</w:t></w:r></w:p></w:body>"
    document = f'{entities}]><w:document xmlns:w="{W}">{body}</w:document>'
    with pytest.raises(Unreadable, match="entities"):
        load_document("bomb.docx", archive({"word/document.xml": document.encode(encoding)}))


def test_deep_nesting_does_not_end_the_process() -> None:
    depth = sys.getrecursionlimit() * 5
    page = "<div>" * depth + "<p>Deep inside.</p>" + "</div>" * depth
    with suppress(Unreadable):
        load_document("deep.html", page.encode())


def test_a_layout_of_tables_is_read_once() -> None:
    """Cells of a table in a table belong to the inner one; reading them with each outer one takes cubic time."""
    depth = 40
    page = "<table><tr><td>" * depth + "Open at nine." + "</td></tr></table>" * depth
    document = load_document("layout.html", page.encode())
    assert outline_of(document) == [((), "Open at nine.")]


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(LOADERS)), content=st.binary(min_size=1, max_size=400))
def test_any_bytes_are_a_document_or_unreadable(name: str, content: bytes) -> None:
    for head in (b"", b"%PDF-1.7\n", b"PK\x03\x04"):
        with suppress(Unreadable):
            assert load_document(f"any{name}", head + content).sections


def test_a_pdf_that_takes_too_long_is_left_out() -> None:
    times = iter([0.0, 0.0, MAX_SECONDS + 1, MAX_SECONDS + 2])
    with pytest.raises(Unreadable, match="takes more than"):
        load_pdf("slow.pdf", pdf([["One."], ["Two."], ["Three."]]), lambda: next(times))


def test_a_pdf_of_too_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pdf([["One line of text."], ["Two."], ["Three."]])
    monkeypatch.setattr(pdf_file, "MAX_CHARACTERS", 10)
    with pytest.raises(Unreadable, match="more than 10 characters"):
        load_pdf("long.pdf", content)
    monkeypatch.setattr(pdf_file, "MAX_PAGES", 2)
    with pytest.raises(Unreadable, match="3 pages, more than 2"):
        load_pdf("thick.pdf", content)


def test_a_page_of_too_many_elements_is_left_out() -> None:
    with pytest.raises(Unreadable, match="more than 200000 elements"):
        load_document("many.html", b"<p>" + b"<br>" * MAX_NODES)


def test_links_out_of_the_folder_are_no_documents(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    outside = tmp_path / "secret.md"
    outside.write_text("# Secret\nText.", encoding="utf-8")
    os.symlink(outside, folder / "link.md")
    (folder / "own.md").write_text("# Own\nText.", encoding="utf-8")
    (folder / ".hidden.md").write_text("# Hidden\nText.", encoding="utf-8")
    (folder / "~$draft.docx").write_bytes(b"lock")
    assert [name for name, _ in document_paths(folder)] == ["own.md"]
