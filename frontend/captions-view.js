// @ts-check
/** Draws the conversation: one element per item, changed only where its item changed. */

import { heardChars, tokens } from "./captions.js";
import { make, setText } from "./elements.js";
import { ToolsView, drawEvidence } from "./evidence-view.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Item} Item */
/** @typedef {import("./state.js").UserItem} UserItem */
/** @typedef {import("./state.js").AssistantItem} AssistantItem */
/** @typedef {State["evidence"][string]} Evidence */

/** How far from the end of the text somebody may have scrolled and still be following it. */
const FOLLOWING_PX = 90;

/**
 * @typedef {object} Message
 * @property {HTMLElement} root
 * @property {HTMLElement} words
 * @property {HTMLElement} note
 * @property {HTMLElement} footer
 * @property {Item | null} drawn
 * @property {Evidence | undefined} evidence as drawn
 */

export class CaptionsView {
  /**
   * @param {HTMLElement} list
   * @param {HTMLButtonElement} latestButton
   */
  constructor(list, latestButton) {
    this.list = list;
    this.latestButton = latestButton;
    /** @type {Map<string, Message>} */
    this.messages = new Map();
    this.tools = new ToolsView(list);
    this.following = true;
    list.addEventListener("scroll", () => this.#noticeScroll(), { passive: true });
    latestButton.addEventListener("click", () => {
      this.following = true;
      this.#follow();
    });
    new ResizeObserver(() => this.#follow()).observe(list);
  }

  /** @param {State} state */
  draw(state) {
    const shown = new Set();
    let changed = false;
    for (const item of state.items) {
      if (item.role === "assistant" && item.text === "" && !item.spoken) continue;
      if (item.role === "assistant" && item.text === "" && item.interrupted) continue;
      shown.add(item.id);
      changed = this.#drawItem(item, state) || changed;
    }
    for (const [id, message] of this.messages) {
      if (shown.has(id)) continue;
      message.root.remove();
      this.messages.delete(id);
    }
    changed = this.tools.draw(state.tools) || changed;
    if (changed) this.#follow();
  }

  /**
   * @param {Item} item
   * @param {State} state
   * @returns {boolean} whether anything changed
   */
  #drawItem(item, state) {
    let message = this.messages.get(item.id);
    if (!message) {
      message = newMessage(item);
      this.messages.set(item.id, message);
      this.list.append(message.root);
    }
    const evidence = item.role === "assistant" && item.responseId ? state.evidence[item.responseId] : undefined;
    if (message.drawn === item && message.evidence === evidence) return false;
    if (item.role === "user") drawUser(message, item);
    else drawAssistant(message, item);
    if (message.evidence !== evidence) drawEvidence(message.footer, evidence);
    message.drawn = item;
    message.evidence = evidence;
    return true;
  }

  #noticeScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    this.following = scrollHeight - scrollTop - clientHeight < FOLLOWING_PX;
    this.latestButton.hidden = this.following;
  }

  #follow() {
    if (this.following) this.list.scrollTop = this.list.scrollHeight;
    this.latestButton.hidden = this.following;
  }
}

/**
 * @param {Item} item
 * @returns {Message}
 */
function newMessage(item) {
  const root = make("article", "message");
  root.dataset.role = item.role;
  root.dataset.id = item.id;
  const words = make("p", "words");
  const note = make("p", "note");
  note.hidden = true;
  const footer = make("div", "evidence");
  root.append(make("p", "who", item.role === "user" ? "You" : "Talkover"), words, note, footer);
  return { root, words, note, footer, drawn: null, evidence: undefined };
}

/**
 * @param {Message} message
 * @param {UserItem} item
 */
function drawUser(message, item) {
  const { root, words, note } = message;
  root.dataset.final = String(item.final);
  root.dataset.tentative = String(!item.confirmed && !item.final);
  if (!words.firstChild) words.append(make("span", "stable"), make("span", "guess"));
  const stable = item.final ? item.text : item.text.slice(0, item.stableChars);
  setText(/** @type {Element} */ (words.firstChild), stable);
  setText(/** @type {Element} */ (words.lastChild), item.text.slice(stable.length));
  words.dataset.empty = String(item.text === "");
  note.hidden = !item.failed;
  setText(note, item.failed ? "This could not be understood." : "");
}

/**
 * @param {Message} message
 * @param {AssistantItem} item
 */
function drawAssistant(message, item) {
  const { root, words, note } = message;
  root.dataset.aside = String(item.aside);
  root.dataset.interrupted = String(item.interrupted);
  root.dataset.ended = String(item.ended || !item.spoken);
  words.dataset.empty = String(item.text === "");
  if (message.drawn?.text !== item.text) drawTokens(words, item.text);
  const heard = heardChars(item);
  let cut = item.interrupted && heard < item.text.length;
  for (const span of words.children) {
    if (!(span instanceof HTMLElement)) continue;
    const isHeard = Number(span.dataset.start) < heard;
    const value = String(isHeard);
    if (span.dataset.heard !== value) span.dataset.heard = value;
    const isCut = cut && !isHeard;
    if (span.classList.contains("cut") !== isCut) span.classList.toggle("cut", isCut);
    if (isCut) cut = false;
  }
  note.hidden = !(item.interrupted && heard < item.text.length);
  if (!note.hidden) setText(note, heard === 0 ? "Not heard" : `Cut off after ${seconds(item.heardMs)}`);
}

/**
 * @param {HTMLElement} words
 * @param {string} text
 */
function drawTokens(words, text) {
  const wanted = tokens(text);
  wanted.forEach((token, index) => {
    let span = words.children[index];
    if (!(span instanceof HTMLElement)) {
      span = make("span", "word");
      words.append(span);
    }
    if (span.textContent !== token.text) span.textContent = token.text;
    /** @type {HTMLElement} */ (span).dataset.start = String(token.start);
  });
  while (words.children.length > wanted.length) words.lastChild?.remove();
}

/** @param {number} ms */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
