// @ts-check
/** Draws the settings panel and reports what was changed in it. */

import { byId, make, setText } from "./elements.js";
import { BARGE_IN_FALLBACK_MS, DEFAULTS, TURN_DETECTION_FALLBACK } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./events.js").WireSession} WireSession */
/** @typedef {{id: string, name: string, language?: string, engine?: string, gender?: string}} Voice */

/** The slider's left end stands for "never". */
const IDLE_NEVER_MS = 4000;

export class SettingsView {
  /**
   * @param {(change: Partial<Settings>) => void} onChange
   * @param {() => void} onReset
   */
  constructor(onChange, onReset) {
    this.dialog = byId("settings", HTMLDialogElement);
    this.form = byId("settings-form", HTMLFormElement);
    this.applied = byId("settings-applied", HTMLElement);
    this.voice = byId("voice", HTMLSelectElement);
    this.microphone = byId("microphoneId", HTMLSelectElement);
    /** @type {WireSession | null} what "as the server is configured" means, once known */
    this.baseline = null;
    this.settings = { ...DEFAULTS };
    byId("settings-open", HTMLButtonElement).addEventListener("click", () => this.open());
    // a click on the backdrop is a click on the dialog itself
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#drawValues());
    this.form.addEventListener("change", (event) => {
      const change = changeOf(event.target);
      if (change) onChange(change);
    });
    byId("settings-reset", HTMLButtonElement).addEventListener("click", onReset);
  }

  /** @param {string} [section] id of what is to be seen first */
  open(section) {
    this.dialog.showModal();
    if (section) byId(section, HTMLElement).scrollIntoView();
  }

  /** @param {Settings} settings */
  draw(settings) {
    this.settings = settings;
    const detection = { ...TURN_DETECTION_FALLBACK, ...this.baseline?.audio.input.turn_detection };
    this.voice.value = settings.voice;
    if (this.voice.selectedIndex < 0) this.voice.value = "";
    this.microphone.value = settings.microphoneId;
    if (this.microphone.selectedIndex < 0) this.microphone.value = "";
    setValue(this.form, "speed", String(settings.speed));
    setValue(this.form, "instructions", settings.instructions);
    setValue(this.form, "turnDetection", settings.turnDetection);
    setValue(this.form, "silenceDurationMs", String(settings.silenceDurationMs ?? detection.silence_duration_ms));
    setValue(this.form, "threshold", String(settings.threshold ?? detection.threshold));
    setValue(this.form, "prefixPaddingMs", String(settings.prefixPaddingMs ?? detection.prefix_padding_ms));
    setValue(this.form, "idleTimeoutMs", String(settings.idleTimeoutMs ?? IDLE_NEVER_MS));
    setValue(this.form, "eagerness", settings.eagerness);
    setValue(this.form, "theme", settings.theme);
    setValue(this.form, "bargeInMs", String(settings.bargeInMs ?? BARGE_IN_FALLBACK_MS));
    byId("interruptible", HTMLInputElement).checked = settings.interruptible;
    byId("fillers", HTMLInputElement).checked = settings.fillers;
    byId("backchannels", HTMLInputElement).checked = settings.backchannels;
    byId("instructions", HTMLTextAreaElement).placeholder = this.baseline?.instructions ?? "As the server is configured";
    byId("server-vad", HTMLElement).hidden = settings.turnDetection !== "server_vad";
    byId("semantic-vad", HTMLElement).hidden = settings.turnDetection !== "semantic_vad";
    this.#drawValues();
  }

  /** @param {WireSession} session as the server created it */
  setBaseline(session) {
    this.baseline = session;
    this.draw(this.settings);
  }

  /** @param {Voice[]} voices */
  setVoices(voices) {
    /** @type {Map<string, Voice[]>} */
    const groups = new Map();
    for (const voice of voices) {
      const language = languageName(voice.language);
      groups.set(language, [...(groups.get(language) ?? []), voice]);
    }
    const options = [...groups].map(([language, members]) => {
      const group = make("optgroup");
      group.label = language;
      for (const voice of members) {
        const option = make("option", "", voice.gender ? `${voice.name}, ${voice.gender}` : voice.name);
        option.value = voice.id;
        group.append(option);
      }
      return group;
    });
    const first = /** @type {Element} */ (this.voice.firstElementChild);
    this.voice.replaceChildren(first, ...options);
    this.draw(this.settings);
  }

  /** @param {{id: string, label: string}[]} microphones */
  setMicrophones(microphones) {
    const options = microphones.map((microphone) => {
      const option = make("option", "", microphone.label);
      option.value = microphone.id;
      return option;
    });
    const first = /** @type {Element} */ (this.microphone.firstElementChild);
    this.microphone.replaceChildren(first, ...options);
    this.draw(this.settings);
  }

  /** @param {{engines: Record<string, string>, notes: string[]}} server */
  setServer(server) {
    const engines = Object.entries(server.engines);
    byId("server-info", HTMLElement).hidden = engines.length === 0;
    byId("server-engines", HTMLElement).replaceChildren(
      ...engines.flatMap(([slot, engine]) => [make("dt", "", slot.toUpperCase()), make("dd", "", engine)]),
    );
    byId("server-notes", HTMLElement).replaceChildren(...server.notes.map((note) => make("li", "", note)));
  }

  /** @param {string} text */
  setApplied(text) {
    setText(this.applied, text);
  }

  /** The numbers beside the sliders, also while one is being dragged. */
  #drawValues() {
    for (const output of this.form.querySelectorAll("output")) {
      const input = byId(output.htmlFor.value, HTMLInputElement);
      setText(output, sliderText(input.name, Number(input.value)));
      const share = (Number(input.value) - Number(input.min)) / (Number(input.max) - Number(input.min));
      input.style.setProperty("--share", String(share));
    }
  }
}

/**
 * @param {string} name
 * @param {number} value
 */
function sliderText(name, value) {
  if (name === "speed") return `${value.toFixed(2)}×`;
  if (name === "threshold") return value.toFixed(2);
  if (name === "idleTimeoutMs") return value <= IDLE_NEVER_MS ? "never" : `${value / 1000} s`;
  return `${value} ms`;
}

/**
 * @param {EventTarget | null} control
 * @returns {Partial<Settings> | null}
 */
function changeOf(control) {
  // fields of the panel that are no settings have no name
  if (control instanceof Element && !control.getAttribute("name")) return null;
  if (control instanceof HTMLInputElement) {
    if (control.type === "checkbox") return { [control.name]: control.checked };
    if (control.type === "radio") return { [control.name]: control.value };
    const value = Number(control.value);
    if (control.name === "idleTimeoutMs") return { idleTimeoutMs: value <= IDLE_NEVER_MS ? null : value };
    return { [control.name]: value };
  }
  if (control instanceof HTMLSelectElement || control instanceof HTMLTextAreaElement) {
    return { [control.name]: control.value };
  }
  return null;
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {string} value
 */
function setValue(form, name, value) {
  const control = form.elements.namedItem(name);
  if (control === document.activeElement && control instanceof HTMLTextAreaElement) return;
  if (
    control instanceof RadioNodeList ||
    control instanceof HTMLInputElement ||
    control instanceof HTMLSelectElement ||
    control instanceof HTMLTextAreaElement
  ) {
    control.value = value;
  }
}

/** @param {string | undefined} code BCP 47 */
function languageName(code) {
  if (!code) return "Any language";
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
