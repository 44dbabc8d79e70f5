// @ts-check
/**
 * `reduce(state, event)`: the only place where state changes. Pure; each kind of event has one small handler.
 * What is to be *done* about an event stands in `commands.js`.
 */

import {
  cutShort,
  mapAssistants,
  silence,
  withAssistant,
  withExistingAssistant,
  withUser,
  withoutItem,
} from "./items.js";
import { turnOf, withPlayback } from "./latency.js";
import { withServerItems } from "./resumed.js";
import { assistantItem } from "./state.js";
import { withAbandoned, withChanged, withStarted } from "./tool-runs.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Item} Item */
/** @typedef {import("./events.js").AppEvent} AppEvent */

const MAX_TURNS = 12;
const MAX_NOTICES = 4;
const MAX_DECISIONS = 12;
/** Wire bytes of base64 PCM16 at 24 kHz per millisecond. */
const BASE64_CHARS_PER_MS = 64;

/** A race that has no meaning for the person, what was to be stopped had just stopped by itself; and what is shown as a problem. */
const SILENT_ERRORS = new Set(["response_cancel_not_active", "server_full"]);

/** @typedef {{[T in AppEvent["type"]]?: (state: State, event: Extract<AppEvent, {type: T}>) => State}} Handlers */

/**
 * @param {State} state
 * @param {AppEvent} event unknown ones change nothing
 * @returns {State} the same object when nothing changed
 */
export function reduce(state, event) {
  const handler = /** @type {((state: State, event: AppEvent) => State) | undefined} */ (
    Object.hasOwn(HANDLERS, event.type) ? HANDLERS[event.type] : undefined
  );
  return handler ? handler(state, event) : state;
}

/** @type {Handlers} */
const CONNECTION = {
  "page.connection": (state, event) => {
    const connection = {
      status: event.status,
      attempt: event.attempt,
      retryInMs: event.retry_in_ms,
      problem: event.problem,
    };
    if (event.status === "open") return { ...state, connection, queue: null };
    const settled = mapAssistants(state, (item) => (item.audioDone ? item : cutShort({ ...item, audioDone: true })));
    return {
      ...settled,
      items: settled.items.flatMap(finalItem),
      tools: withAbandoned(settled.tools),
      playback: { ...settled.playback, gain: 1, paused: false },
      connection,
      session: null,
      recorded: false,
      queue: null,
      responseId: null,
      speech: { itemId: null, speaking: false, cutIn: false, awaitingAnswer: false },
      microphone: { ...state.microphone, muted: event.status !== "closed" && state.microphone.muted },
      roundTripMs: event.status === "connecting" ? null : state.roundTripMs,
      pendingText: event.status === "closed" ? null : state.pendingText,
    };
  },
  "s2s.queue.updated": (state, event) => ({
    ...state,
    queue: { place: event.place, waitS: event.estimated_wait_s },
  }),
  "session.created": (state, event) => withAsked(withSession(state, event.session)),
  "session.updated": (state, event) => withSession(state, event.session),
  "s2s.session.resumed": (state, event) => withAsked(withServerItems(state, event)),
  "s2s.session.info": (state, event) => ({
    ...state,
    server: { engines: event.engines, notes: event.notes ?? [] },
  }),
  "s2s.recording.updated": (state, event) => ({ ...state, recorded: event.recording }),
  "page.round_trip": (state, event) => ({
    ...state,
    roundTripMs: state.roundTripMs === null ? event.ms : Math.min(state.roundTripMs, event.ms),
  }),
  error: (state, event) => {
    if (SILENT_ERRORS.has(event.error.code ?? "")) return state;
    return withNotice({ ...state, speech: { ...state.speech, awaitingAnswer: false } }, event.error.message);
  },
  "page.notice": (state, event) => withNotice(state, event.text),
  "page.notice_dismissed": (state, event) => ({
    ...state,
    notices: state.notices.filter((notice) => notice.id !== event.id),
  }),
  "page.microphone": (state, event) => ({
    ...state,
    microphone: {
      status: event.status,
      muted: state.microphone.muted,
      problem: event.problem,
    },
  }),
  "page.muted": (state, event) => ({ ...state, microphone: { ...state.microphone, muted: event.muted } }),
};

/** @type {Handlers} */
const USER = {
  "input_audio_buffer.speech_started": (state, event) => {
    const interrupts = state.session?.interruptible ?? true;
    const cutIn = interrupts && state.playback.itemId !== null;
    const next = withUser(state, event.item_id, (item) => ({ ...item, confirmed: true }));
    return {
      ...(interrupts ? silence(next) : next),
      speech: { itemId: event.item_id, speaking: true, cutIn, awaitingAnswer: false },
    };
  },
  "input_audio_buffer.speech_stopped": (state) => ({
    ...state,
    speech: { ...state.speech, speaking: false, cutIn: false, awaitingAnswer: true },
  }),
  "s2s.input_transcript.updated": (state, event) =>
    withUser(state, event.item_id, (item) =>
      item.final ? item : { ...item, text: event.text, stableChars: event.stable_chars },
    ),
  "conversation.item.input_audio_transcription.delta": (state, event) =>
    withUser(state, event.item_id, (item) => {
      if (item.final) return item;
      // deltas carry the stable text only; a longer hypothesis stays visible behind it
      const deltas = item.deltas + event.delta;
      const text = item.text.startsWith(deltas) ? item.text : deltas;
      return { ...item, deltas, text, stableChars: Math.max(item.stableChars, deltas.length) };
    }),
  "conversation.item.input_audio_transcription.completed": (state, event) => {
    const text = event.transcript.trim();
    if (text === "") return { ...withoutItem(state, event.item_id), speech: { ...state.speech, awaitingAnswer: false } };
    return withUser(state, event.item_id, (item) => ({ ...item, text, stableChars: text.length, final: true }));
  },
  "conversation.item.input_audio_transcription.failed": (state, event) => ({
    ...withUser(state, event.item_id, (item) => ({ ...item, final: true, failed: true })),
    speech: { ...state.speech, awaitingAnswer: false },
  }),
  "conversation.item.added": (state, event) => {
    const { item } = event;
    if (item.type !== "message" || state.items.some((one) => one.id === item.id)) return state;
    if (item.role === "assistant") return withAssistant(state, item.id, state.responseId, (one) => one);
    const typed = item.content?.find((part) => part.type === "input_text")?.text;
    if (item.role !== "user" || typed === undefined) return state;
    return withUser(state, item.id, (one) => ({ ...one, text: typed, stableChars: typed.length, final: true }));
  },
  "page.text_submitted": (state, event) => ({
    ...silence(
      withUser(state, event.item_id, (item) => ({
        ...item,
        text: event.text,
        stableChars: event.text.length,
        final: true,
        confirmed: true,
      })),
    ),
    pendingText: { itemId: event.item_id, text: event.text },
  }),
};

/** @type {Handlers} */
const ANSWER = {
  "response.created": (state, event) =>
    event.response.conversation_id === null
      ? { ...state, asideId: event.response.id }
      : { ...state, responseId: event.response.id, speech: { ...state.speech, awaitingAnswer: false } },
  "response.output_item.added": (state, event) =>
    event.item.type === "message" ? withAssistant(state, event.item.id, event.response_id, (item) => item) : state,
  "response.output_audio_transcript.delta": (state, event) =>
    withAssistant(state, event.item_id, event.response_id, (item) => ({ ...item, text: item.text + event.delta })),
  "response.output_audio_transcript.done": (state, event) =>
    withAssistant(state, event.item_id, event.response_id, (item) => ({ ...item, text: event.transcript })),
  "response.output_text.delta": (state, event) =>
    withAssistant(state, event.item_id, event.response_id, (item) => ({
      ...item,
      text: item.text + event.delta,
      spoken: false,
    })),
  "response.output_text.done": (state, event) =>
    withAssistant(state, event.item_id, event.response_id, (item) => ({ ...item, text: event.text, spoken: false })),
  "response.output_audio.delta": (state, event) => {
    const next = withAssistant(state, event.item_id, event.response_id, (item) => ({
      ...item,
      audioMs: item.audioMs + event.delta.length / BASE64_CHARS_PER_MS,
    }));
    if (event.at_ms === undefined || Object.hasOwn(state.playStarts, event.response_id)) return next;
    const start = { firstDeltaAtMs: event.at_ms, playMs: null };
    return { ...next, playStarts: { ...recent(state.playStarts), [event.response_id]: start } };
  },
  "response.output_audio.done": (state, event) =>
    withAssistant(state, event.item_id, event.response_id, (item) => ({ ...item, audioDone: true })),
  "s2s.response.words": (state, event) =>
    withAssistant(state, event.item_id, event.response_id, (item) => ({
      ...item,
      words: item.words.concat(
        event.words.map((word) => ({
          start: word.start,
          end: word.end,
          startMs: word.start_ms,
          endMs: word.end_ms,
        })),
      ),
    })),
  "s2s.response.search_started": (state, event) => ({
    ...state,
    evidence: {
      ...recent(state.evidence),
      [event.response_id]: { query: event.query, sources: state.evidence[event.response_id]?.sources ?? [] },
    },
  }),
  "s2s.response.sources": (state, event) => {
    const before = state.evidence[event.response_id]?.sources ?? [];
    const known = new Set(before.map((source) => source.id));
    const sources = before.concat(event.sources.filter((source) => !known.has(source.id)));
    return { ...state, evidence: { ...recent(state.evidence), [event.response_id]: { query: null, sources } } };
  },
  "s2s.tool.started": (state, event) => ({ ...state, tools: withStarted(state.tools, event.call_id, event.name) }),
  "s2s.tool.asked": (state, event) => ({ ...state, tools: withChanged(state.tools, event.call_id, { status: "asked" }) }),
  "s2s.tool.finished": (state, event) => ({
    ...state,
    tools: withChanged(state.tools, event.call_id, { status: "done", elapsedMs: event.elapsed_ms ?? null }),
  }),
  "s2s.tool.failed": (state, event) => ({
    ...state,
    tools: withChanged(state.tools, event.call_id, { status: "failed", error: event.error ?? "" }),
  }),
  "s2s.handover": (state) => withNotice(state, "A person is being asked to take over."),
  "response.done": (state, event) => {
    const { response } = event;
    const ended = { ...state, responseId: state.responseId === response.id ? null : state.responseId };
    const details = response.status_details;
    if (response.status === "failed") {
      return withNotice(ended, details?.error?.message ?? "The answer failed.");
    }
    if (response.status !== "cancelled") return ended;
    return mapAssistants(ended, (item) =>
      item.responseId === response.id ? cutShort({ ...item, silenced: true }) : item,
    );
  },
  "s2s.item.heard": (state, event) =>
    withExistingAssistant(state, event.item_id, (item) => ({
      ...item,
      heardChars: event.heard_chars,
      interrupted: true,
    })),
  "s2s.turn.metrics": (state, event) => {
    const playMs = state.playStarts[event.response_id]?.playMs ?? null;
    const others = state.turns.filter((turn) => turn.responseId !== event.response_id);
    return { ...state, turns: [turnOf(event, state.roundTripMs, playMs), ...others].slice(0, MAX_TURNS) };
  },
};

/** @type {Handlers} */
const PLAYBACK = {
  "page.stop_requested": silence,
  "s2s.playback.gain": (state, event) => {
    const next = { ...state, playback: { ...state.playback, gain: event.gain } };
    return event.reason === "speech_dropped" ? withoutTentative(next) : next;
  },
  "s2s.playback.pause": (state) => ({ ...state, playback: { ...state.playback, paused: true } }),
  "s2s.playback.resume": (state) =>
    withoutTentative({ ...state, playback: { ...state.playback, paused: false, gain: 1 } }),
  "s2s.decision": (state, event) => ({
    ...state,
    decisions: [
      {
        id: state.nextDecisionId,
        decision: event.decision,
        reason: event.reason,
        afterMs: event.after_ms ?? null,
        finished: event.finished ?? null,
        text: event.text ?? "",
      },
      ...state.decisions,
    ].slice(0, MAX_DECISIONS),
    nextDecisionId: state.nextDecisionId + 1,
  }),
  "page.player.started": (state, event) => {
    const playback = { ...state.playback, itemId: event.item_id, playedMs: 0, reportedMs: 0 };
    const responseId = assistantItem(state, event.item_id)?.responseId;
    const start = responseId ? state.playStarts[responseId] : undefined;
    if (!responseId || !start || start.playMs !== null || event.at_ms === undefined) return { ...state, playback };
    const playMs = event.at_ms - start.firstDeltaAtMs;
    return {
      ...state,
      playback,
      playStarts: { ...state.playStarts, [responseId]: { ...start, playMs } },
      // a short answer can be complete, and measured, before it sounds
      turns: state.turns.map((turn) => (turn.responseId === responseId ? withPlayback(turn, playMs) : turn)),
    };
  },
  "page.player.position": (state, event) => {
    if (event.item_id !== state.playback.itemId) return state;
    const due = event.played_ms - state.playback.reportedMs >= 250;
    return {
      ...withExistingAssistant(state, event.item_id, (item) => ({ ...item, heardMs: event.heard_ms })),
      playback: {
        ...state.playback,
        playedMs: event.played_ms,
        reportedMs: due ? event.played_ms : state.playback.reportedMs,
      },
    };
  },
  "page.player.underrun": (state, event) => ({
    ...withExistingAssistant(state, event.item_id, (item) => ({ ...item, heardMs: event.played_ms })),
    playback: { ...state.playback, playedMs: event.played_ms, underruns: state.playback.underruns + 1 },
  }),
  "page.player.ended": (state, event) => ({
    ...withExistingAssistant(state, event.item_id, (item) => ({ ...item, heardMs: event.played_ms, ended: true })),
    playback:
      state.playback.itemId === event.item_id
        ? { ...state.playback, itemId: null, gain: 1, paused: false }
        : state.playback,
  }),
  "page.player.flushed": (state, event) => {
    const positions = new Map(event.items.map((item) => [item.item_id, item]));
    const flushed = mapAssistants(state, (item) => {
      const position = positions.get(item.id);
      if (!position) return item;
      const interrupted = item.interrupted || position.dropped_ms > 0 || !item.audioDone;
      return { ...item, heardMs: position.played_ms, ended: true, silenced: true, interrupted };
    });
    const asked = state.connection.status === "open" ? withAsked(flushed) : flushed;
    return { ...asked, playback: { ...state.playback, itemId: null, gain: 1, paused: false } };
  },
  "page.player.overflow": (state) => withNotice(state, "The server sent more audio than the page can hold."),
  "page.conversation_cleared": (state) => ({
    ...state,
    items: [],
    tools: [],
    turns: [],
    evidence: {},
    playStarts: {},
    decisions: [],
  }),
};

/** @type {Handlers} */
const HANDLERS = { ...CONNECTION, ...USER, ...ANSWER, ...PLAYBACK };

/**
 * What sounded like speech over the agent was none.
 * @param {State} state
 * @returns {State}
 */
function withoutTentative(state) {
  return { ...state, items: state.items.filter((item) => item.role !== "user" || item.confirmed) };
}

/**
 * @param {State} state
 * @param {import("./events.js").WireSession} session
 * @returns {State}
 */
function withSession(state, session) {
  const interruptible = session.audio.input.turn_detection?.interrupt_response !== false;
  return { ...state, session: { id: session.id, interruptible } };
}

/**
 * The typed question that waited is being sent (see `ask` in `commands.js`).
 * @param {State} state
 * @returns {State}
 */
function withAsked(state) {
  if (!state.pendingText) return state;
  return { ...state, pendingText: null, speech: { ...state.speech, awaitingAnswer: true } };
}

/**
 * @param {Item} item
 * @returns {Item[]} as it stands when the connection takes its transcription along; none when not a word was understood
 */
function finalItem(item) {
  if (item.role === "assistant" || item.final) return [item];
  return item.text === "" ? [] : [{ ...item, final: true, stableChars: item.text.length }];
}

/**
 * @param {State} state
 * @param {string} text
 * @returns {State}
 */
function withNotice(state, text) {
  const notices = [...state.notices, { id: state.nextNoticeId, text }].slice(-MAX_NOTICES);
  return { ...state, notices, nextNoticeId: state.nextNoticeId + 1 };
}

/** Entries kept per response: as many as there can be turns on screen. */
const MAX_RECENT = 50;

/**
 * @template T
 * @param {Record<string, T>} entries
 * @returns {Record<string, T>} the newest ones
 */
function recent(entries) {
  return Object.fromEntries(Object.entries(entries).slice(1 - MAX_RECENT));
}
