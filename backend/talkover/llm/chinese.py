"""Chinese with an engine whose documents are English: courtesies, the time, and why it cannot say more. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from talkover.llm.dialogue import Reply, Request

_GREETING = re.compile(r"你好|您好|早上好|下午好|晚上好|嗨|哈[喽啰]")
_THANKS = re.compile(r"谢谢|多谢|感谢")
_GOODBYE = re.compile(r"再见|拜拜|回头见")
_TIME = re.compile(r"几点|什么时间|现在时间")
_DATE = re.compile(r"几号|星期几|礼拜几|周几|什么日子|日期")
_STOP = re.compile(r"停|等一下|等等|别说了|安静")
_WEEKDAYS = "一二三四五六日"

ONLY_ENGLISH = (
    "抱歉，我的资料都是英文的，所以我只能用英文回答问题。",
    "请用英文提问，或者连接一个语言模型，然后我们就可以用中文交谈。",
)


def courtesy(request: Request) -> Reply | None:
    """Greeting, thanks, goodbye, stop, time and date in Chinese; None for anything else."""
    text = request.text
    if len(text) > 12:
        return None
    if _TIME.search(text):
        return Reply((f"现在是{_clock(request.now)}。",))
    if _DATE.search(text):
        now = request.now
        return Reply((f"今天是{now.year}年{now.month}月{now.day}日，星期{_WEEKDAYS[now.weekday()]}。",))
    for pattern, answer in (
        (_STOP, "好的。"),
        (_THANKS, "不客气。"),
        (_GOODBYE, "再见！"),
        (_GREETING, "你好！有什么想问的吗？"),
    ):
        if pattern.search(text):
            return Reply((answer,))
    return None


def _clock(now: datetime) -> str:
    part = "上午" if now.hour < 12 else "下午" if now.hour < 18 else "晚上"
    return f"{part}{now.hour % 12 or 12}点" + (f"{now.minute}分" if now.minute else "整")
