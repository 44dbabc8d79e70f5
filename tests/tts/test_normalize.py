from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.tts.markdown import MarkdownStripper
from talkover.tts.normalize import speakable
from talkover.tts.spoken_text import SpokenText

ENGLISH = {
    "It costs $23.50 on 3 May 2024.": (
        "It costs twenty-three dollars and fifty cents on the third of May, twenty twenty-four."
    ),
    "Meet at 10:30 am, not at 9 p.m.": "Meet at ten thirty a.m., not at nine p.m.",
    "Growth was 12.5% in Q3, down 5-10%.": "Growth was twelve point five percent in Q three, down five to ten percent.",
    "Call 555-0123 or +1 (415) 555-2671.": (
        "Call five five five, zero one two three or plus one, four one five, five five five, two six seven one."
    ),
    "Dr. Smith lives at 5 Main St., e.g. near No. 5.": (
        "doctor Smith lives at five Main street, for example near number five."
    ),
    "See https://www.example.com/docs for more.": "See example dot com slash docs for more.",
    "Write to bob.smith@example.com!": "Write to bob dot smith at example dot com!",
    "It weighs 5kg and is 1 km away at -25°C.": (
        "It weighs five kilograms and is one kilometer away at minus twenty-five degrees Celsius."
    ),
    "In 1999, the 1990s, the '80s and 2024-05-03.": (
        "In nineteen ninety-nine, the nineteen nineties, the eighties and May third, twenty twenty-four."
    ),
    "1,000,002 people, 3/4 of them, 1st and 22nd.": (
        "one million and two people, three quarters of them, first and twenty-second."
    ),
    "Version 1.2.3 of Python 3.11 on 12/25/2023.": (
        "Version one point two point three of Python three point one one on December twenty-fifth, twenty twenty-three."
    ),
    "£5 or €10.99 or ¥500 or $0.99 or $1.": (
        "five pounds or ten euros and ninety-nine cents or five hundred yen or ninety-nine cents or one dollar."
    ),
    "It's 10x faster, in 5-10 minutes, 24/7.": "It's ten times faster, in five to ten minutes, twenty-four seven.",
    "World War II and Louis XIV, in 1066 and 2005.": (
        "World War two and Louis the fourteenth, in ten sixty-six and two thousand and five."
    ),
    "AT&T paid $5 million, or $1.2bn, $20/month.": (
        "A.T. and T. paid five million dollars, or one point two billion dollars, twenty dollars per month."
    ),
    "GPT-4 and COVID-19, H2O, MP3, B2B, iPhone 15.": (
        "GPT four and COVID nineteen, H two O, MP three, B two B, iPhone fifteen."
    ),
    "Open config.toml on 127.0.0.1:8000 now.": (
        "Open config dot toml on one hundred and twenty-seven dot zero dot zero dot one colon eight thousand now."
    ),
    "I've 1 1/2 cups, 2½ spoons, and am 5'10\" tall.": (
        "I've one and a half cups, two and a half spoons, and am five foot ten tall."
    ),
    "5 + 3 = 8, and x >= 2.": "five plus three equals eight, and x at least two.",
    "From 2019-2023, 1,500 items at 60 mph.": (
        "From twenty nineteen to twenty twenty-three, one thousand five hundred items at sixty miles per hour."
    ),
    "The code is 0042, my number 4155552671.": (
        "The code is zero zero four two, my number four one five five five five two six seven one."
    ),
    "On May 3rd, 1985 at 14:05, 00:30, or 10:00-11:15.": (
        "On May third, nineteen eighty-five at fourteen oh five, zero thirty, or ten o'clock to eleven fifteen."
    ),
    "C++, R&D etc. vs. the 4 July, 9am-5pm.": (
        "C plus plus, R and D et cetera versus the fourth of July, nine a.m. to five p.m."
    ),
    "Rated 4.5/5, see p. 42, Fig. 3, room #5.": (
        "Rated four point five out of five, see page forty-two, figure three, room number five."
    ),
}
MANDARIN = {
    "今天是2024年5月3日，星期五。": "今天是二零二四年五月三日，星期五。",
    "价格是￥23.50元，涨了12.5%。": "价格是二十三点五元，涨了百分之十二点五。",
    "请拨打13800138000或010-12345678。": "请拨打幺三八，零零幺三，八零零零或零幺零，幺二三四五六七八。",
    "会议10:30开始，14:05结束，2:00休息。": "会议十点三十分开始，十四点零五分结束，两点休息。",
    "比分是3:2，最终比分3-2。": "比分是三比二，最终比分三比二。",
    "我有2个苹果，22个人，第2页，2月2日。": "我有两个苹果，二十二个人，第二页，二月二日。",
    "温度是-5℃，重5kg，速度120km/h。": "温度是零下五摄氏度，重五公斤，速度一百二十公里每小时。",
    "圆周率是3.14159，版本1.2.3。": "圆周率是三点一四一五九，版本一点二点三。",
    "大约5-10分钟，占5%-10%。": "大约五到十分钟，占百分之五到百分之十。",
    "访问https://example.com/docs，写信给bob@example.com。": ("访问example点com斜杠docs，写信给bob艾特example点com。"),
    "1/2的人用iPhone 15、GPT-4和Office 365。": "二分之一的人用iPhone 十五、GPT四和Office三六五。",
    "$5,000,000，或$5亿，200元。": "五百万美元，或五亿美元，二百元。",
    "24小时客服400-800-1234，报警请拨打110。": "二十四小时客服四零零，八零零，幺二三四，报警请拨打幺幺零。",
    "他1998年出生，90后，80年代，100年前。": "他一九九八年出生，九零后，八十年代，一百年前。",
    "10000人，105元，20002个，200000000，1010": "一万人，一百零五元，两万零二个，两亿，一千零一十",
    "2020-2023年，一共1,234,567.80元。": "二零二零到二零二三年，一共一百二十三万四千五百六十七点八元。",
    "编号0042，密码是1234，3+5=8，x≥2": "编号零零四二，密码是一二三四，三加五等于八，x大于等于二",
}


@pytest.mark.parametrize(("text", "spoken"), ENGLISH.items())
def test_english_is_written_out(text: str, spoken: str) -> None:
    result = speakable(text)
    assert (result.spoken, result.display, result.language) == (spoken, text, "en")


@pytest.mark.parametrize(("text", "spoken"), MANDARIN.items())
def test_mandarin_is_written_out(text: str, spoken: str) -> None:
    result = speakable(text)
    assert (result.spoken, result.display, result.language) == (spoken, text, "zh")


def test_other_languages_keep_their_figures() -> None:
    assert speakable("Es kostet **5,50** Euro.", "de-DE").spoken == "Es kostet 5,50 Euro."


def test_a_text_without_letters_is_read_in_the_hinted_language() -> None:
    assert speakable("42", "zh-CN").spoken == "四十二"
    assert speakable("42").spoken == "forty-two"


def test_spoken_words_map_to_what_is_displayed() -> None:
    result = speakable("Pay $23.50 on 3 May, please.")
    ranges = []
    for word in result.spoken.replace(",", "").replace(".", "").split():
        start = result.spoken.index(word)
        begin, end = result.to_display(start, start + len(word))
        ranges.append((word, result.display[begin:end]))
    assert ranges == [
        ("Pay", "Pay"),
        ("twenty-three", "$23.50"),
        ("dollars", "$23.50"),
        ("and", "$23.50"),
        ("fifty", "$23.50"),
        ("cents", "$23.50"),
        ("on", "on"),
        ("the", "3 May"),
        ("third", "3 May"),
        ("of", "3 May"),
        ("May", "3 May"),
        ("please", "please"),
    ]


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=80)
    | st.text(alphabet="0123456789.,:-/%$€ kmapx*_`[]()#&今年月个二\n<>|~+'\"", max_size=60)
    | st.text(alphabet=st.characters(), max_size=40),
    st.sampled_from([None, "en", "zh", "de"]),
)
def test_any_text_gives_a_monotone_alignment(text: str, hint: str | None) -> None:
    result = speakable(text, hint)
    result.spoken.encode()
    result.display.encode()
    previous = (0, 0)
    for start in range(len(result.spoken)):
        begin, end = result.to_display(start, start + 1)
        assert 0 <= begin <= end <= len(result.display)
        assert begin >= previous[0]
        assert end >= previous[1]
        previous = (begin, end)
    assert rebuilt(result) == result.spoken


def rebuilt(result: SpokenText) -> str:
    """The spoken text from the display text and the changes alone."""
    parts, position = [], 0
    for change in result.changes:
        parts.append(result.display[position : change.display_start])
        parts.append(result.spoken[change.spoken_start : change.spoken_end])
        position = change.display_end
    return "".join(parts) + result.display[position:]


def test_list_items_and_headings_are_sentences_for_the_voice_only() -> None:
    stripper = MarkdownStripper()
    heading = speakable("# Fruit\n", None, stripper)
    item = speakable("- 2 pears\n", None, stripper)
    assert (heading.display, heading.spoken) == ("Fruit", "Fruit.")
    assert (item.display, item.spoken) == ("\n2 pears", "\ntwo pears.")
    assert speakable("- a pear\n- a plum").spoken == "a pear.\na plum"


def test_a_code_block_is_mentioned_and_not_read() -> None:
    stripper = MarkdownStripper()
    texts = [speakable(part, "en", stripper) for part in ["Look:\n", "```py\n", "x = 1\n", "y = 2\n", "```\n", "Done."]]
    assert [text.display for text in texts] == ["Look:", "\n(code omitted)", "", "", "", "\nDone."]
    assert speakable("看：\n```\nx\n```").display == "看：\n（代码略）"
