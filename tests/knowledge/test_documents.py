"""Markdown as something that can be spoken."""

from __future__ import annotations

from talkover.knowledge.documents import PASSAGE_WORDS, parse_document, passages

MENU = """---
title: "The menu"
---
Everything is *also* available to go.

## Coffee
<!-- asked: What do you serve? -->

| Drink | Price |
|---|---|
| Espresso | 2.50 |
| Tea |  |

## Milk
- We have [oat milk](https://example.com)
- and `soy` milk

### Prices
Milk is free.

```python
print("code is not spoken")
```

<div>HTML is not spoken</div>
"""


def test_sections_and_their_sentences() -> None:
    menu = parse_document("menu.md", MENU)
    assert menu.title == "The menu"
    assert [(section.headings, [sentence.text for sentence in section.sentences]) for section in menu.sections] == [
        ((), ["Everything is also available to go."]),
        (("Coffee",), ["Espresso: price 2.50.", "Tea."]),
        (("Milk",), ["We have oat milk.", "and soy milk."]),
        (("Milk", "Prices"), ["Milk is free."]),
    ]
    assert menu.sections[1].asked == ("What do you serve?",)
    assert [sentence.item for section in menu.sections for sentence in section.sentences] == [
        False, True, True, True, True, False,
    ]  # fmt: skip


def test_read_aloud_it_has_title_and_headings() -> None:
    document = parse_document("a.md", "# Title\n\n## What?\nThis. That.\n")
    assert list(document.spoken()) == ["Title.", "What?", "This.", "That."]


def test_without_a_heading_the_file_name_is_the_title() -> None:
    assert parse_document("a/opening-hours.md", "Open daily.").title == "Opening hours"


def test_a_second_top_heading_is_a_section() -> None:
    document = parse_document("a.md", "# Title\nOne.\n# Second\nTwo.\n")
    assert [section.headings for section in document.sections] == [(), ("Second",)]


def test_a_long_section_becomes_several_passages() -> None:
    sentence = "This sentence has exactly seven words here. "
    document = parse_document("a.md", f"# Title\n## Long\n{sentence * 40}")
    found = passages([document])
    assert len(found) > 1
    assert all(sum(len(part.text.split()) for part in passage.sentences) <= PASSAGE_WORDS for passage in found)
    assert [part for passage in found for part in passage.sentences] == list(document.sections[0].sentences)
    assert [passage.first for passage in found][1] == len(found[0].sentences)


def test_stories_are_not_searched() -> None:
    story = parse_document("stories/fox.md", "# The fox\nOnce.")
    assert story.story
    assert passages([story]) == ()
