// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { heardChars, tokens } from "../../frontend/captions.js";
import { Conversation, position, started } from "./conversation.js";

/**
 * @param {Partial<import("../../frontend/state.js").AssistantItem>} change
 * @returns {import("../../frontend/state.js").AssistantItem}
 */
function item(change) {
  return {
    role: "assistant",
    id: "item_a",
    responseId: "resp_1",
    text: "one two three four",
    words: [],
    spoken: true,
    audioMs: 0,
    audioDone: false,
    heardMs: 0,
    heardChars: null,
    ended: false,
    interrupted: false,
    silenced: false,
    ...change,
  };
}

test("tokens join to the text they came from", () => {
  for (const text of ["", " ", "Hello, world!", "你好，世界。 Hi", "a\n b  c", "3.14 %", "カタカナ and 漢字"]) {
    assert.equal(
      tokens(text)
        .map((token) => token.text)
        .join(""),
      text,
    );
    for (const token of tokens(text)) assert.equal(text.slice(token.start, token.end), token.text);
  }
});

test("Chinese falls into characters, English into words", () => {
  assert.deepEqual(
    tokens("你好，AI 世界").map((token) => token.text),
    ["你", "好，", "AI ", "世", "界"],
  );
});

test("words light up one after the other as playback goes on", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three");
  page.feed(started);
  const lit = [1, 99, 101, 250].map((ms) => {
    page.feed(position(ms));
    return heardChars(page.item("item_a"));
  });
  assert.deepEqual(lit, [3, 3, 7, 13]);
});

test("nothing is lit before the first sample is heard", () => {
  const words = [{ start: 0, end: 3, startMs: 0, endMs: 100 }];
  assert.equal(heardChars(item({ words, audioMs: 400 })), 0);
});

test("without word times the share of the audio decides, at word borders", () => {
  const half = heardChars(item({ audioMs: 1000, heardMs: 500 }));
  assert.equal("one two three four".slice(0, half), "one two ");
  assert.equal(heardChars(item({ audioMs: 0, heardMs: 0 })), 0);
});

test("an answer that ended is heard whole, unless it was cut", () => {
  assert.equal(heardChars(item({ audioMs: 1000, heardMs: 1000, ended: true })), 18);
  assert.equal(heardChars(item({ audioMs: 1000, heardMs: 250, ended: true, interrupted: true })), 4);
});

test("the server may not claim more than there is", () => {
  assert.equal(heardChars(item({ heardChars: 99 })), 18);
});
