"""Chinese with an engine whose documents are English: courtesies, the time, and why it cannot say more. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from talkover.llm.dialogue import Reply, Request

_GREETING = re.compile(r"(?:你好|您好|早上好|下午好|晚上好|嗨|哈[喽啰])[啊呀]?")
_THANKS = re.compile(r"(?:好的?)?(?:谢谢|多谢|感谢)[你您啦了]*")
_GOODBYE = re.compile(r"(?:好的?)?(?:再见|拜拜|回头见)[了啦]?")
_STOP = re.compile(r"(?:请)?(?:停|停下|停一下|停止|等一下|等等|别说了|安静)[吧了]?")
_TIME = re.compile(r"(?:请问)?(?:现在)?(?:是)?(?:几点|什么时间|什么时候)[了钟]*")
_DATE = re.compile(r"(?:请问)?今天(?:是)?(?:几号|几月几号|星期几|礼拜几|周几|什么日子|什么日期)[了]?")
_PUNCTUATION = re.compile(r"[\s，。！？、,.!?~～]+")
_WEEKDAYS = "一二三四五六日"

ONLY_ENGLISH = (
    "抱歉，我的资料都是英文的，所以我只能用英文回答问题。",
    "请用英文提问，或者连接一个语言模型，然后我们就可以用中文交谈。",
)


def courtesy(request: Request) -> Reply | None:
    """Greeting, thanks, goodbye, stop, time and date in Chinese; None for anything else."""
    said = _PUNCTUATION.sub("", request.text)
    if _TIME.fullmatch(said):
        return Reply((f"现在是{_clock(request.now)}。",))
    if _DATE.fullmatch(said):
        now = request.now
        return Reply((f"今天是{now.year}年{now.month}月{now.day}日，星期{_WEEKDAYS[now.weekday()]}。",))
    for pattern, answer in (
        (_STOP, "好的。"),
        (_THANKS, "不客气。"),
        (_GOODBYE, "再见！"),
        (_GREETING, "你好！有什么想问的吗？"),
    ):
        if pattern.fullmatch(said):
            return Reply((answer,))
    return None


def _clock(now: datetime) -> str:
    part = "上午" if now.hour < 12 else "下午" if now.hour < 18 else "晚上"
    return f"{part}{now.hour % 12 or 12}点" + (f"{now.minute}分" if now.minute else "整")
