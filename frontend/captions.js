// @ts-check
/** Which part of an answer has been heard, and how a text falls into words that can be lit one by one. */

/** @typedef {import("./state.js").AssistantItem} AssistantItem */

/**
 * A word counts as heard from its first sound on while it plays; once it was cut off, only when half of it was audible.
 * @param {AssistantItem} item
 * @returns {number} length of the heard prefix of `item.text`
 */
export function heardChars(item) {
  if (!item.spoken) return item.text.length;
  if (item.heardChars !== null) return Math.min(item.heardChars, item.text.length);
  if (item.ended && !item.interrupted) return item.text.length;
  if (item.words.length === 0) return proportionalChars(item);
  let chars = 0;
  for (const word of item.words) {
    const fromMs = item.interrupted ? (word.startMs + word.endMs) / 2 : word.startMs;
    if (item.heardMs <= fromMs) break;
    chars = word.end;
  }
  return chars;
}

/**
 * Without word times: text and audio of one segment come together, so their shares are about the same.
 * @param {AssistantItem} item
 */
function proportionalChars(item) {
  if (item.audioMs === 0) return 0;
  const chars = Math.floor((item.text.length * Math.min(item.heardMs, item.audioMs)) / item.audioMs);
  // not in the middle of a word
  const cut = tokens(item.text).find((token) => token.start < chars && token.end > chars);
  return cut ? cut.start : chars;
}

/** @param {AssistantItem} item */
export function heardText(item) {
  return item.text.slice(0, heardChars(item)).trimEnd();
}

/**
 * @typedef {object} Token a word with the punctuation and space that follow it
 * @property {string} text
 * @property {number} start character offset
 * @property {number} end
 */

/** One Han or Kana character, or a run of anything else up to and with the white space after it. */
const TOKEN =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}][\p{P}\s]*|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]+\s*|\s+/gu;

/**
 * @param {string} text
 * @returns {Token[]} they join to `text`
 */
export function tokens(text) {
  return Array.from(text.matchAll(TOKEN), (match) => ({
    text: match[0],
    start: match.index,
    end: match.index + match[0].length,
  }));
}
