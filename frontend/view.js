// @ts-check
/** Draws the state. Knows the document, decides nothing. */

import { CaptionsView } from "./captions-view.js";
import { DecisionsView } from "./decisions-view.js";
import { byId, icon, make, setText } from "./elements.js";
import { LatencyView } from "./latency-view.js";
import { ADVICE } from "./problems.js";
import { inConversation, moodOf, problemOf, queueWording } from "./state.js";
import { Waves } from "./waves.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Mood} Mood */

/** @type {Record<Mood, {label: string, hint: string}>} */
const WORDING = {
  idle: { label: "Ready when you are", hint: "" },
  asking: { label: "Allow the microphone", hint: "Your browser is asking for it." },
  connecting: { label: "Connecting", hint: "" },
  queued: { label: "You are in the queue", hint: "" },
  reconnecting: { label: "Reconnecting…", hint: "" },
  ready: { label: "Ready", hint: "Type a message, or turn on the microphone." },
  muted: { label: "Muted", hint: "It cannot hear you." },
  listening: { label: "Listening", hint: "Say something." },
  hearing: { label: "Hearing you", hint: "" },
  thinking: { label: "Thinking", hint: "" },
  speaking: { label: "Speaking", hint: "Talk over it whenever you like." },
  ducked: { label: "Holding back", hint: "Was that meant for it?" },
  interrupted: { label: "Interrupted", hint: "Go ahead, it is listening." },
  error: { label: "Not connected", hint: "" },
};

/** Moods of every turn: a screen reader that announced them would talk over the conversation. */
const PASSING = new Set(["hearing", "thinking", "speaking", "ducked", "interrupted"]);

/** How long a notice stays; longer texts get longer. */
const NOTICE_MS = 5000;
const NOTICE_MS_PER_CHAR = 40;

/**
 * @typedef {object} Actions what a person can do
 * @property {() => void} start
 * @property {() => void} end
 * @property {() => void} stop
 * @property {() => void} toggleMicrophone
 * @property {(text: string) => void} ask
 * @property {(key: string) => void} useKey
 * @property {() => void} reconnect
 * @property {() => void} dismissProblem
 * @property {(id: number) => void} dismissNotice
 * @property {() => void} toggleTheme
 * @property {() => void} tune
 */

export class View {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.body = document.body;
    this.stateLabel = byId("state", HTMLElement);
    this.announcement = byId("announcement", HTMLElement);
    this.hint = byId("hint", HTMLElement);
    this.start = byId("start", HTMLButtonElement);
    this.stop = byId("stop", HTMLButtonElement);
    this.mute = byId("mute", HTMLButtonElement);
    this.end = byId("end", HTMLButtonElement);
    this.input = byId("text-input", HTMLInputElement);
    this.sendButton = byId("send", HTMLButtonElement);
    this.problem = byId("problem", HTMLElement);
    this.problemAction = byId("problem-action", HTMLButtonElement);
    this.keyForm = byId("key-form", HTMLFormElement);
    this.notices = byId("notices", HTMLElement);
    this.engines = byId("engines", HTMLElement);
    this.recording = byId("recording", HTMLElement);
    this.captions = new CaptionsView(byId("captions", HTMLElement), byId("latest", HTMLButtonElement));
    this.latency = new LatencyView();
    this.decisions = new DecisionsView(actions.tune);
    this.waves = new Waves(byId("waves", HTMLCanvasElement));
    /** @type {State | null} */
    this.drawn = null;
    /** @type {number | null} end of the wait for the next attempt, on the clock of `performance.now` */
    this.retryAtMs = null;
    this.#listen();
    setInterval(() => this.#drawCountdown(), 250);
    // on a small screen the conversation comes first
    if (window.matchMedia("(max-width: 899px), (max-height: 700px)").matches) {
      for (const id of ["latency-details", "decisions-details"]) byId(id, HTMLDetailsElement).open = false;
    }
  }

  /** @param {State} state */
  draw(state) {
    if (state === this.drawn) return;
    const before = this.drawn;
    this.drawn = state;
    this.#drawMood(state);
    this.#drawControls(state);
    if (before?.connection !== state.connection || before.microphone !== state.microphone) this.#drawProblem(state);
    if (before?.notices !== state.notices) this.#drawNotices(state);
    if (before?.server !== state.server) this.#drawEngines(state);
    this.recording.hidden = !state.recorded;
    this.captions.draw(state);
    this.latency.draw(state.turns);
    this.decisions.draw(state.decisions);
  }

  #listen() {
    const { actions } = this;
    this.start.addEventListener("click", actions.start);
    this.stop.addEventListener("click", actions.stop);
    this.mute.addEventListener("click", actions.toggleMicrophone);
    this.end.addEventListener("click", actions.end);
    byId("theme", HTMLButtonElement).addEventListener("click", actions.toggleTheme);
    byId("composer", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (text === "") return;
      this.input.value = "";
      this.sendButton.disabled = true;
      actions.ask(text);
    });
    this.input.addEventListener("input", () => {
      this.sendButton.disabled = this.input.value.trim() === "";
    });
    for (const opener of document.querySelectorAll("[data-ask]")) {
      opener.addEventListener("click", () => actions.ask(/** @type {HTMLElement} */ (opener).dataset.ask ?? ""));
    }
    this.problemAction.addEventListener("click", () => {
      const problem = this.drawn && problemOf(this.drawn);
      if (problem && ADVICE[problem].action === "retry") actions.start();
      else actions.reconnect();
    });
    byId("problem-dismiss", HTMLButtonElement).addEventListener("click", () => {
      actions.dismissProblem();
      this.input.focus();
    });
    this.keyForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = byId("key", HTMLInputElement);
      actions.useKey(field.value.trim());
      field.value = "";
    });
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
    if (event.key === "Escape") this.actions.stop();
    else if (event.altKey && event.code === "KeyM") this.actions.toggleMicrophone();
    else if (event.key === "/" && !typing) this.input.focus();
    else return;
    event.preventDefault();
  }

  /** @param {State} state */
  #drawMood(state) {
    const mood = moodOf(state);
    if (this.body.dataset.mood !== mood) this.body.dataset.mood = mood;
    const layout = state.items.length > 0 ? "conversation" : inConversation(state) ? "opening" : "welcome";
    if (this.body.dataset.layout !== layout) this.body.dataset.layout = layout;
    if (this.stateLabel.dataset.state !== mood) this.stateLabel.dataset.state = mood;
    const { label, hint } = queueWording(state) ?? WORDING[mood];
    setText(this.stateLabel, label);
    setText(this.hint, hint);
    if (!PASSING.has(mood)) setText(this.announcement, label);
    this.waves.setMood(mood);
  }

  /** @param {State} state */
  #drawControls(state) {
    const active = inConversation(state);
    const { microphone } = state;
    const focused = document.activeElement;
    this.start.hidden = active;
    this.start.disabled = microphone.status === "asking";
    setText(byId("start-label", HTMLElement), state.items.length > 0 ? "Talk again" : "Start talking");
    this.stop.hidden = !(active && (state.playback.itemId !== null || state.responseId !== null));
    this.end.hidden = !active;
    this.mute.hidden = !active;
    const live = microphone.status === "on" && !microphone.muted;
    const name = microphone.status !== "on" ? "Turn on the microphone" : live ? "Mute" : "Unmute";
    if (this.mute.getAttribute("aria-label") !== name) {
      this.mute.setAttribute("aria-label", name);
      this.mute.title = name;
      this.mute.replaceChildren(icon(live ? "microphone" : "microphone-off"));
    }
    this.mute.setAttribute("aria-pressed", String(microphone.status === "on" && microphone.muted));
    this.mute.dataset.live = String(live);
    // who worked with the keyboard is not thrown back to the top of the page
    if (focused instanceof HTMLElement && focused.hidden) (active ? this.mute : this.start).focus();
  }

  /** @param {State} state */
  #drawProblem(state) {
    const problem = problemOf(state);
    this.problem.hidden = problem === null;
    const { retryInMs } = state.connection;
    this.retryAtMs = state.connection.status === "waiting" && retryInMs !== null ? performance.now() + retryInMs : null;
    if (problem === null) return;
    const { title, text, action } = ADVICE[problem];
    setText(byId("problem-title", HTMLElement), title);
    setText(byId("problem-text", HTMLElement), text);
    this.keyForm.hidden = action !== "key";
    this.problem.dataset.action = action ?? "none";
    this.problemAction.hidden = action === null || action === "key";
    setText(this.problemAction, state.connection.status === "waiting" ? "Try now" : "Try again");
    byId("problem-dismiss", HTMLElement).hidden = action === "reconnect" || action === "key";
    this.#drawCountdown();
  }

  #drawCountdown() {
    const line = byId("problem-retry", HTMLElement);
    line.hidden = this.retryAtMs === null;
    if (this.retryAtMs === null) return;
    const leftS = Math.max(1, Math.ceil((this.retryAtMs - performance.now()) / 1000));
    setText(line, `Trying again in ${leftS} s`);
  }

  /** @param {State} state */
  #drawNotices(state) {
    const wanted = new Map(state.notices.map((notice) => [String(notice.id), notice]));
    for (const element of [...this.notices.children]) {
      const id = element instanceof HTMLElement ? (element.dataset.id ?? "") : "";
      if (!wanted.delete(id)) element.remove();
    }
    for (const notice of wanted.values()) {
      const element = make("div", "notice");
      element.dataset.id = String(notice.id);
      const close = make("button", "icon-button small");
      close.type = "button";
      close.setAttribute("aria-label", "Dismiss");
      close.append(icon("end"));
      const dismiss = () => this.actions.dismissNotice(notice.id);
      close.addEventListener("click", dismiss);
      setTimeout(dismiss, NOTICE_MS + NOTICE_MS_PER_CHAR * notice.text.length);
      element.append(make("p", "", notice.text), close);
      this.notices.append(element);
    }
  }

  /** @param {State} state */
  #drawEngines(state) {
    const engines = Object.values(state.server.engines);
    this.engines.hidden = engines.length === 0;
    setText(this.engines, engines.join(" · "));
  }
}
