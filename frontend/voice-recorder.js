// @ts-check
/** Records a voice in the settings panel, sends it to the server, and removes voices that were made this way. */

import { Microphone } from "./audio.js";
import { byId, setText } from "./elements.js";
import { ADVICE, microphoneProblem } from "./problems.js";
import { VoiceRecording, refusalText } from "./voice-recording.js";

/** @typedef {import("./voice-recording.js").VoiceLimits} VoiceLimits */
/** @typedef {{status: number, body: unknown} | null} Answer null when the server does not answer */

/**
 * @typedef {object} Surroundings
 * @property {() => string} microphoneId "" for the system's choice
 * @property {(method: "POST" | "DELETE", path: string, body?: FormData) => Promise<Answer>} send
 * @property {(busy: boolean) => void} onRecording the conversation should not listen meanwhile
 * @property {(chosen: string) => Promise<void>} onChanged voices came or went; `chosen` is the one to speak with now
 */

export class VoiceRecorder {
  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.surroundings = surroundings;
    this.section = byId("voice-recorder", HTMLDetailsElement);
    this.name = byId("voice-name", HTMLInputElement);
    this.transcript = byId("voice-transcript", HTMLTextAreaElement);
    this.level = byId("voice-level", HTMLMeterElement);
    this.status = byId("voice-status", HTMLElement);
    this.record = byId("voice-record", HTMLButtonElement);
    this.save = byId("voice-save", HTMLButtonElement);
    this.remove = byId("voice-remove", HTMLButtonElement);
    /** @type {VoiceLimits | null} */
    this.limits = null;
    /** @type {VoiceRecording | null} */
    this.recording = null;
    /** @type {Microphone | null} open while it records */
    this.microphone = null;
    this.busy = false;
    this.chosen = "";
    this.dialog = byId("settings", HTMLDialogElement);
    this.record.addEventListener("click", () => void (this.microphone ? this.#stop() : this.#start()));
    this.save.addEventListener("click", () => void this.#save());
    this.remove.addEventListener("click", () => void this.#remove());
    this.name.addEventListener("input", () => this.#draw());
    this.dialog.addEventListener("close", () => this.#stop());
  }

  /** @param {VoiceLimits | null} limits null when the server clones no voices */
  setLimits(limits) {
    this.limits = limits;
    this.#draw();
  }

  /** @param {string} voice id of the one that is chosen in the panel */
  setChosen(voice) {
    if (voice !== this.chosen) this.remove.dataset.sure = "";
    this.chosen = voice;
    this.#draw();
  }

  async #start() {
    if (!this.limits || this.busy) return;
    this.#setBusy(true);
    const recording = new VoiceRecording(this.limits.max_seconds);
    try {
      this.microphone = await Microphone.open({
        deviceId: this.surroundings.microphoneId(),
        natural: true,
        onChunk: (pcm) => {
          recording.append(pcm);
          setText(this.status, `${recording.seconds.toFixed(1)} s`);
          if (recording.isFull) this.#stop();
        },
        onLevel: (level) => {
          this.level.value = level;
        },
        onLost: () => this.#stop(),
      });
      this.recording = recording;
      this.surroundings.onRecording(true);
      setText(this.status, "Speak now, as you want it to sound.");
      // the panel was closed while the browser asked
      if (!this.dialog.open) this.#stop();
    } catch (error) {
      const advice = ADVICE[navigator.mediaDevices ? microphoneProblem(error) : "insecure_context"];
      setText(this.status, `${advice.title}. ${advice.text}`);
    }
    this.#setBusy(false);
  }

  #stop() {
    if (!this.microphone) return;
    this.microphone.close();
    this.microphone = null;
    this.level.value = 0;
    this.surroundings.onRecording(false);
    const seconds = this.recording?.seconds ?? 0;
    if (this.limits && seconds < this.limits.min_seconds) {
      this.recording = null;
      setText(this.status, `That was ${seconds.toFixed(1)} s; it takes at least ${this.limits.min_seconds} s.`);
    } else {
      setText(this.status, `${seconds.toFixed(1)} s recorded. Save it, or record again.`);
    }
    this.#draw();
  }

  async #save() {
    if (!this.recording || this.busy) return;
    this.#setBusy(true);
    setText(this.status, "Saving");
    const form = new FormData();
    form.append("file", this.recording.wav(), "voice.wav");
    form.append("name", this.name.value.trim());
    form.append("transcript", this.transcript.value.trim());
    const answer = await this.surroundings.send("POST", "/v1/voices", form);
    if (answer?.status === 201) {
      const { id, transcript } = /** @type {{id: string, transcript: string}} */ (answer.body);
      this.recording = null;
      this.name.value = this.transcript.value = "";
      await this.surroundings.onChanged(id);
      setText(this.status, transcript ? `Saved. It says: “${transcript}”` : "Saved, though its words were not understood.");
    } else {
      setText(this.status, answer ? refusalText(answer.body) : "The server does not answer.");
    }
    this.#setBusy(false);
  }

  async #remove() {
    if (this.busy) return;
    if (!this.remove.dataset.sure) {
      this.remove.dataset.sure = "yes"; // the second click is meant
      this.#draw();
      return;
    }
    this.#setBusy(true);
    const answer = await this.surroundings.send("DELETE", `/v1/voices/${encodeURIComponent(this.chosen)}`);
    this.remove.dataset.sure = "";
    if (answer?.status === 200) {
      setText(this.status, "Removed.");
      await this.surroundings.onChanged("");
    } else {
      setText(this.status, answer ? refusalText(answer.body) : "The server does not answer.");
    }
    this.#setBusy(false);
  }

  /** @param {boolean} busy */
  #setBusy(busy) {
    this.busy = busy;
    this.#draw();
  }

  #draw() {
    this.section.hidden = !this.limits;
    this.record.disabled = this.busy;
    setText(this.record, this.microphone ? "Stop" : this.recording ? "Record again" : "Record");
    this.save.hidden = !this.recording || this.microphone !== null;
    this.save.disabled = this.busy || this.name.value.trim() === "";
    this.level.hidden = this.microphone === null;
    this.remove.hidden = !this.limits?.removable.includes(this.chosen);
    this.remove.disabled = this.busy;
    setText(this.remove, this.remove.dataset.sure ? "Remove it for good" : "Remove this voice");
  }
}
