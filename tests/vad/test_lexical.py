"""Finished and unfinished texts, as recognisers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.vad.lexical import looks_finished
from talkover.vad.word_lists import is_backchannel

FINISHED = """
what time is it
what's the weather like
can you tell me what time it is
can you tell me the time
could you turn the lights off please
what is talkover
how do i connect a language model
okay so how does that work
what can you do
what do you mean
what is that
who are you
do you speak mandarin
is there a way to change the voice
what is two plus two
where were you born
if i want to change the voice what do i have to do
tell me a story about the moon
play some music
turn it on
set a timer for ten minutes
yes
no thanks
yes i do
thank you
yes please
stop
never mind
i don't know
What is the capital of France?
今天天气怎么样
你叫什么名字
你能告诉我现在几点吗
讲个故事吧
把灯打开
好的
谢谢
你好
我的手机号码是一三八零零一三八零零零
现在几点？
""".strip().splitlines()

UNFINISHED = """
um
so
and
what is the
what is the capital of
tell me about
tell me about the
can you
can you tell me
could you please
i want to
i would like a
i'd like a cappuccino with
my number is
my number is five five
my number is 5 5 5
the code is one two
i was thinking about my
it depends on whether
because
i went there but
if i want to change the voice
hold on
let me think
i think
the problem is that
it was like um
well we
what is the...
Well, I was thinking about the.
I need bread, butter,
我想
帮我
我的电话号码是一三八
然后
因为
如果明天下雨
讲一个关于
把
嗯
我觉得这个
今天天气，
""".strip().splitlines()


@pytest.mark.parametrize("text", FINISHED)
def test_finished(text: str):
    assert looks_finished(text) >= 0.75


@pytest.mark.parametrize("text", UNFINISHED)
def test_unfinished(text: str):
    assert looks_finished(text) <= 0.31


@pytest.mark.parametrize(
    "text", ["", "   ", "?!", "wake me up at seven", "where", "广州市", "I would like a large cappuccino."]
)
def test_undecided(text: str):
    assert 0.3 < looks_finished(text) < 0.75


def test_a_question_mark_finishes_and_a_comma_does_not():
    assert looks_finished("in Paris?") > looks_finished("in Paris") > looks_finished("in Paris,")


@pytest.mark.parametrize(
    "text", ["uh-huh", "Yeah.", "mm hm okay", "right, right", "I see", "嗯", "嗯嗯，对。", "好的好的", "是的"]
)
def test_backchannels(text: str):
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["", "...", "yeah but", "no", "stop", "okay stop", "好的停一下", "不对"])
def test_no_backchannels(text: str):
    assert not is_backchannel(text)


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from((*FINISHED, *UNFINISHED, "i", "我", "7")), max_size=3).map(" ".join),
    )
)
def test_any_text_has_a_score(text: str):
    assert 0 <= looks_finished(text) <= 1
    assert is_backchannel(text) in (True, False)
