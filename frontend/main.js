// @ts-check
/** Holds the state and joins the parts: socket, loudspeaker, microphone, view. */

import { Microphone, Player, microphones } from "./audio.js";
import { toBase64 } from "./base64.js";
import { heardText } from "./captions.js";
import { commandsFor } from "./commands.js";
import { DocumentsView } from "./documents-view.js";
import { handshakeProblem, microphoneProblem } from "./problems.js";
import { RealtimeClient } from "./realtime.js";
import { reduce } from "./reduce.js";
import { SettingsView } from "./settings-view.js";
import { DEFAULTS, loadSettings, optIn, saveSettings, sessionUpdate } from "./settings.js";
import { INITIAL, inConversation, moodOf } from "./state.js";
import { View } from "./view.js";
import { VoiceRecorder } from "./voice-recorder.js";
import { voiceLimits } from "./voice-recording.js";
import { floatToInt16 } from "./worklets/pcm.js";

/** @typedef {import("./events.js").AppEvent} AppEvent */
/** @typedef {import("./events.js").WireSession} WireSession */
/** @typedef {import("./commands.js").Command} Command */
/** @typedef {import("./settings.js").Settings} Settings */

const KEY_STORAGE = "talkover.key";
/** A new voice is listened to by the recogniser before it is kept, a new document read and indexed. */
const UPLOAD_PATIENCE_MS = 60_000;
const RECORD = new URLSearchParams(location.search).get("record") === "1";

let state = INITIAL;
let settings = loadSettings(localStorage);
let drawPending = false;
/** @type {Player | null} */
let player = null;
/** @type {Microphone | null} */
let microphone = null;
/** Counts the times it was opened or closed, so that a permission given too late opens nothing. */
let microphoneRequests = 0;
/** What the conversation was started with, to be had again after a failure. */
let wanted = { conversation: false, microphone: false };
/** @type {WireSession | null} the session as the server created it */
let baseline = null;
/** @type {Set<string>} empty until the list has arrived */
let knownVoices = new Set();

const client = new RealtimeClient({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/realtime?s2s.queue=1`,
  openSocket: (url, protocols) => new WebSocket(url, protocols),
  diagnose,
  emit: dispatch,
  nowMs: () => performance.now(),
  schedule: (action, delayMs) => setTimeout(action, delayMs),
  unschedule: (timer) => clearTimeout(timer),
  random: Math.random,
});

const view = new View({
  start: () => void start(),
  end,
  stop: () => dispatch({ type: "page.stop_requested" }),
  toggleMicrophone: () => void toggleMicrophone(),
  ask: (text) => void ask(text),
  useKey,
  reconnect: () => void reconnect(),
  dismissProblem: () => dispatch({ type: "page.microphone", status: "off", problem: null }),
  dismissNotice: (id) => dispatch({ type: "page.notice_dismissed", id }),
  toggleTheme,
  tune: () => settingsView.open("turn-taking"),
});

const settingsView = new SettingsView(changeSettings, () => changeSettings({ ...DEFAULTS, theme: settings.theme }));

const voiceRecorder = new VoiceRecorder({
  microphoneId: () => settings.microphoneId,
  send: (method, path, body) => call(path, { method, body }, UPLOAD_PATIENCE_MS),
  // what is recorded for a voice is not meant for the conversation
  onRecording: (busy) => microphone?.setMuted(busy || state.microphone.muted),
  onChanged: async (voice) => {
    await loadVoices();
    changeSettings({ voice });
  },
});

const documentsView = new DocumentsView((method, path, body) => call(path, { method, body }, UPLOAD_PATIENCE_MS));

/** @param {AppEvent} event */
function dispatch(event) {
  const stamped = event.at_ms === undefined ? { ...event, at_ms: performance.now() } : event;
  const before = state;
  state = reduce(before, stamped);
  if (stamped.type === "session.created") {
    baseline = stamped.session;
    settingsView.setBaseline(baseline);
  }
  // nobody is listened to without a server to hear it
  if (stamped.type === "page.connection" && stamped.status === "failed") closeMicrophone();
  if (stamped.type === "s2s.call.ended") end();
  if (stamped.type === "session.updated") settingsView.setApplied("In effect");
  // what was changed while the connection was lost
  if (stamped.type === "s2s.session.resumed") sendSettings();
  if (stamped.type === "s2s.session.info") settingsView.setServer(state.server);
  for (const command of commandsFor(before, stamped, state)) carryOut(command);
  if (!drawPending) {
    drawPending = true;
    requestAnimationFrame(() => {
      drawPending = false;
      view.draw(state);
    });
  }
}

/** @param {Command} command */
function carryOut(command) {
  switch (command.kind) {
    case "send":
      client.send(command.event);
      break;
    case "configure":
      client.send(optIn());
      sendSettings();
      client.releaseHeldAudio();
      break;
    case "play":
      player?.append(command.itemId, command.audio);
      break;
    case "finish":
      player?.finish(command.itemId);
      break;
    case "gain":
      player?.setGain(command.gain, command.rampMs);
      break;
    case "pause":
      player?.pause();
      break;
    case "resume":
      player?.resume();
      break;
    case "flush":
      player?.flush();
      break;
  }
}

/** Talk: microphone first, so that the browser's question comes before anything else happens. */
async function start() {
  await preparePlayer();
  if (!(await openMicrophone())) return;
  wanted = { conversation: true, microphone: true };
  if (!inConversation(state)) client.connect(key());
}

async function reconnect() {
  await preparePlayer();
  if (wanted.microphone && !microphone && !(await openMicrophone())) return;
  client.connect(key());
}

function end() {
  wanted = { conversation: false, microphone: false };
  client.close();
  closeMicrophone();
}

/** @param {string} text */
async function ask(text) {
  await preparePlayer();
  wanted.conversation = true;
  dispatch({ type: "page.text_submitted", item_id: `item_${randomId()}`, text });
  if (!inConversation(state)) client.connect(key());
}

async function toggleMicrophone() {
  if (!inConversation(state)) return;
  if (!microphone) {
    await openMicrophone();
    return;
  }
  const muted = !state.microphone.muted;
  microphone.setMuted(muted);
  dispatch({ type: "page.muted", muted });
}

async function preparePlayer() {
  try {
    player ??= await Player.create({
      emit: dispatch,
      onLevel: (level) => view.waves.setLevel("agent", level),
      record: RECORD,
    });
    player.wake();
  } catch {
    dispatch({ type: "page.microphone", status: "failed", problem: "unsupported" });
  }
}

/** @returns {Promise<boolean>} whether it is on */
async function openMicrophone() {
  closeMicrophone();
  if (!navigator.mediaDevices) {
    dispatch({ type: "page.microphone", status: "failed", problem: "insecure_context" });
    return false;
  }
  const request = microphoneRequests;
  dispatch({ type: "page.microphone", status: "asking", problem: null });
  try {
    const opened = await Microphone.open({
      deviceId: settings.microphoneId,
      onChunk: (pcm) => client.appendAudio(pcm),
      onLevel: (level) => view.waves.setLevel("user", level),
      onLost: () => {
        closeMicrophone();
        dispatch({ type: "page.microphone", status: "failed", problem: "microphone_lost" });
      },
    });
    if (request !== microphoneRequests) {
      opened.close();
      return false;
    }
    opened.setMuted(state.microphone.muted);
    microphone = opened;
  } catch (error) {
    if (request !== microphoneRequests) return false;
    dispatch({ type: "page.microphone", status: "failed", problem: microphoneProblem(error) });
    return false;
  }
  dispatch({ type: "page.microphone", status: "on", problem: null });
  // names of devices are shown to a page only after one was allowed
  void listMicrophones();
  return true;
}

async function listMicrophones() {
  settingsView.setMicrophones(await microphones());
}

function closeMicrophone() {
  microphoneRequests += 1;
  if (!microphone && state.microphone.status !== "asking") return;
  microphone?.close();
  microphone = null;
  view.waves.setLevel("user", 0);
  dispatch({ type: "page.microphone", status: "off", problem: null });
}

/** @param {Partial<Settings>} change */
function changeSettings(change) {
  settings = { ...settings, ...change };
  saveSettings(localStorage, settings);
  settingsView.setApplied("");
  settingsView.draw(settings);
  voiceRecorder.setChosen(settings.voice);
  applyTheme();
  if (change.microphoneId !== undefined && microphone) void openMicrophone();
  const local = Object.keys(change).every((name) => name === "theme" || name === "microphoneId");
  if (!local) sendSettings();
}

function sendSettings() {
  if (!baseline) return;
  const known = knownVoices.size === 0 || knownVoices.has(settings.voice);
  client.send(sessionUpdate(known ? settings : { ...settings, voice: "" }, baseline));
}

function toggleTheme() {
  changeSettings({ theme: isDark() ? "light" : "dark" });
}

function isDark() {
  if (settings.theme !== "system") return settings.theme === "dark";
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

function applyTheme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  view.waves.readColours();
}

/** @returns {string} kept for this tab only */
function key() {
  try {
    return sessionStorage.getItem(KEY_STORAGE) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} value */
function useKey(value) {
  try {
    sessionStorage.setItem(KEY_STORAGE, value);
  } catch {
    dispatch({ type: "page.notice", text: "This browser does not let the page keep the key, not even for this tab." });
  }
  if (wanted.conversation) void reconnect();
  else client.close();
  void loadVoices();
  void documentsView.load();
}

/**
 * @param {string} path
 * @param {RequestInit} [request]
 * @param {number} [patienceMs]
 * @returns {Promise<{status: number, body: unknown} | null>} null when the server does not answer
 */
async function call(path, request = {}, patienceMs = 5000) {
  try {
    const headers = key() ? { Authorization: `Bearer ${key()}` } : undefined;
    const signal = AbortSignal.timeout(patienceMs);
    const answer = await fetch(path, { ...request, headers, cache: "no-store", signal });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  } catch {
    return null;
  }
}

async function diagnose() {
  const [ready, voices] = await Promise.all([call("/readyz"), call("/v1/voices")]);
  return handshakeProblem(ready, voices?.status ?? null);
}

async function loadVoices() {
  const answer = await call("/v1/voices");
  if (answer?.status === 401) {
    dispatch({ type: "page.connection", status: "failed", attempt: 0, retry_in_ms: null, problem: "unauthorized" });
    return;
  }
  const listing = /** @type {{data?: import("./settings-view.js").Voice[], custom?: unknown} | null} */ (answer?.body);
  const voices = listing?.data;
  if (!Array.isArray(voices)) return;
  voiceRecorder.setLimits(voiceLimits(listing?.custom));
  knownVoices = new Set(["", ...voices.map((voice) => voice.id)]);
  settingsView.setVoices(voices);
}

/** @returns {string} 20 alphanumerics, as ids on the wire have */
function randomId() {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => alphabet[byte % alphabet.length]).join("");
}

/**
 * For tests and debugging, read-only: what the page knows and what it really rendered. `recording()` holds rendered
 * audio only when the page was opened with `?record=1`.
 */
const debug = {
  get state() {
    return state;
  },
  get mood() {
    return moodOf(state);
  },
  /** samples sent to the loudspeaker, fades included */
  get renderedSamples() {
    return player?.counts.renderedSamples ?? 0;
  },
  /** those of them that were not silence */
  get audibleSamples() {
    return player?.counts.audibleSamples ?? 0;
  },
  /** how long ago the last audible sample was rendered; null: never */
  get silentForMs() {
    if (!player || player.counts.audibleSamples === 0) return null;
    return Math.max(0, 1000 * (player.context.currentTime - player.counts.lastAudibleTimeS));
  },
  /** the conversation as it was heard */
  get history() {
    return state.items.map((item) =>
      item.role === "user"
        ? { id: item.id, role: item.role, text: item.text, final: item.final }
        : {
            id: item.id,
            role: item.role,
            text: item.text,
            heard: heardText(item),
            heardMs: item.heardMs,
            interrupted: item.interrupted,
          },
    );
  },
  get metrics() {
    return state.turns;
  },
  recording() {
    if (!player || !RECORD) return null;
    const { rateHz, samples } = player.recording();
    const pcm = floatToInt16(samples, new Int16Array(samples.length));
    return { rateHz, pcm16Base64: toBase64(/** @type {ArrayBuffer} */ (pcm.buffer)) };
  },
};
Object.defineProperty(window, "talkover", { value: debug });

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
navigator.mediaDevices?.addEventListener("devicechange", () => {
  void listMicrophones();
});
settingsView.draw(settings);
voiceRecorder.setChosen(settings.voice);
applyTheme();
view.draw(state);
void loadVoices();
void documentsView.load();
