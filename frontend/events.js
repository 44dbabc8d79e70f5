// @ts-check
/**
 * The vocabulary of the page, types only: what arrives from the server, what the page itself reports, what it sends.
 * Wire names are kept as they are. An event the page does not know passes through the reducer without effect.
 */

/**
 * @typedef {object} TurnDetection
 * @property {"server_vad" | "semantic_vad"} type
 * @property {number} [threshold]
 * @property {number} [prefix_padding_ms]
 * @property {number} [silence_duration_ms]
 * @property {number | null} [idle_timeout_ms]
 * @property {"low" | "medium" | "high" | "auto"} [eagerness]
 * @property {boolean} [interrupt_response]
 */

/**
 * @typedef {object} WireSession
 * @property {string} id
 * @property {string} instructions
 * @property {number} expires_at
 * @property {{input: {turn_detection: TurnDetection | null}, output: {voice: string, speed: number}}} audio
 */

/** @typedef {{type: string, text?: string, transcript?: string | null}} WireContent */

/**
 * @typedef {object} WireItem
 * @property {string} id
 * @property {string} type
 * @property {"user" | "assistant" | "system"} [role]
 * @property {string} [status]
 * @property {WireContent[]} [content]
 */

/**
 * @typedef {object} WireResponse
 * @property {string} id
 * @property {"in_progress" | "completed" | "cancelled" | "incomplete" | "failed"} status
 * @property {{type: string, reason?: string, error?: {code: string, message: string}} | null} status_details
 * @property {WireItem[]} output
 * @property {string | null} [conversation_id] null: said beside the conversation
 */

/**
 * A passage an answer rests on; `text` is all of it, `snippet` its beginning.
 * @typedef {object} Source
 * @property {string} id
 * @property {string} title
 * @property {string} [url]
 * @property {string} [path]
 * @property {string} [heading] section it stands in
 * @property {string} [location] e.g. page 3
 * @property {string} snippet
 * @property {string} [text]
 * @property {number} score
 */

/** @typedef {{start: number, end: number, start_ms: number, end_ms: number}} WireWord */

/**
 * @typedef {object} TurnMetrics
 * @property {"s2s.turn.metrics"} type
 * @property {string | null} item_id
 * @property {string} response_id
 * @property {string} status
 * @property {Record<string, number>} marks_ms from the last voiced sample of the user, or from the request
 * @property {number | null} [endpointing_ms]
 * @property {number | null} [asr_ms]
 * @property {number | null} [llm_ttft_ms]
 * @property {number | null} [tts_ttfb_ms]
 * @property {number | null} [voice_to_voice_ms]
 * @property {number | null} [audio_ms]
 * @property {number | null} [interrupted_at_ms]
 */

/**
 * @typedef {{type: "session.created", session: WireSession}
 *   | {type: "session.updated", session: WireSession}
 *   | {type: "error", error: {type: string, code: string | null, message: string, param: string | null}}
 *   | {type: "input_audio_buffer.speech_started", item_id: string, audio_start_ms: number}
 *   | {type: "input_audio_buffer.speech_stopped", item_id: string, audio_end_ms: number}
 *   | {type: "input_audio_buffer.timeout_triggered", item_id: string}
 *   | {type: "conversation.item.added", item: WireItem, previous_item_id: string | null}
 *   | {type: "conversation.item.input_audio_transcription.delta", item_id: string, delta: string}
 *   | {type: "conversation.item.input_audio_transcription.completed", item_id: string, transcript: string}
 *   | {type: "conversation.item.input_audio_transcription.failed", item_id: string}
 *   | {type: "response.created", response: WireResponse}
 *   | {type: "response.output_item.added", response_id: string, item: WireItem}
 *   | {type: "response.output_audio_transcript.delta", response_id: string, item_id: string, delta: string}
 *   | {type: "response.output_audio_transcript.done", response_id: string, item_id: string, transcript: string}
 *   | {type: "response.output_text.delta", response_id: string, item_id: string, delta: string}
 *   | {type: "response.output_text.done", response_id: string, item_id: string, text: string}
 *   | {type: "response.output_audio.delta", response_id: string, item_id: string, delta: string}
 *   | {type: "response.output_audio.done", response_id: string, item_id: string}
 *   | {type: "response.done", response: WireResponse}
 *   | {type: "s2s.session.info", engines: Record<string, string>, notes?: string[]}
 *   | {type: "s2s.input_transcript.updated", item_id: string, text: string, stable_chars: number}
 *   | {type: "s2s.response.words", response_id: string, item_id: string, words: WireWord[]}
 *   | {type: "s2s.response.search_started", response_id: string, search_id: string, kind: string, query: string}
 *   | {type: "s2s.response.sources", response_id: string, search_id: string, sources: Source[], error?: string}
 *   | {type: "s2s.tool.started", call_id: string, name: string}
 *   | {type: "s2s.tool.asked", call_id: string, name: string}
 *   | {type: "s2s.tool.finished", call_id: string, name: string, elapsed_ms?: number}
 *   | {type: "s2s.tool.failed", call_id: string, name: string, elapsed_ms?: number, error?: string}
 *   | {type: "s2s.handover", reason: string}
 *   | {type: "s2s.call.ended"}
 *   | {type: "s2s.session.resumable", token: string, expires_in_s: number}
 *   | SessionResumed
 *   | {type: "s2s.recording.updated", recording: boolean, reason: string}
 *   | {type: "s2s.playback.gain", gain: number, ramp_ms: number, reason: string}
 *   | {type: "s2s.playback.pause", fade_ms: number}
 *   | {type: "s2s.playback.resume", fade_ms: number}
 *   | {type: "s2s.decision", decision: string, reason: string, at_ms: number, after_ms?: number, finished?: number, text?: string}
 *   | {type: "s2s.item.heard", item_id: string, transcript: string, heard_chars: number, audio_end_ms: number}
 *   | {type: "s2s.queue.updated", place: number, estimated_wait_s: number | null}
 *   | TurnMetrics} ServerEvent
 */

/** @typedef {"connecting" | "open" | "waiting" | "failed" | "closed"} ConnectionStatus */

/**
 * The conversation as the server has it, for a page that came back; `heard_chars` of those heard in part.
 * @typedef {object} SessionResumed
 * @property {"s2s.session.resumed"} type
 * @property {WireItem[]} items
 * @property {number} items_left_out the oldest, which did not fit
 * @property {Record<string, number>} heard_chars
 * @property {string | null} spoken_item_id what was being said, or was said last
 * @property {number} input_audio_ms the microphone's audio is wanted from here on
 */

/** @typedef {import("./problems.js").Problem} Problem */

/**
 * `page.connection`: `retry_in_ms` with status `waiting`, `problem` with `waiting` and `failed`.
 * @typedef {object} ConnectionChanged
 * @property {"page.connection"} type
 * @property {ConnectionStatus} status
 * @property {number} attempt
 * @property {number | null} retry_in_ms
 * @property {Problem | null} problem
 */

/**
 * @typedef {ConnectionChanged
 *   | {type: "page.microphone", status: "off" | "asking" | "on" | "failed", problem: Problem | null}
 *   | {type: "page.muted", muted: boolean}
 *   | {type: "page.round_trip", ms: number}
 *   | {type: "page.text_submitted", item_id: string, text: string}
 *   | {type: "page.stop_requested"}
 *   | {type: "page.player.started", item_id: string}
 *   | {type: "page.player.position", item_id: string, played_ms: number, heard_ms: number}
 *   | {type: "page.player.paused", item_id: string, played_ms: number}
 *   | {type: "page.player.underrun", item_id: string, played_ms: number}
 *   | {type: "page.player.ended", item_id: string, played_ms: number}
 *   | {type: "page.player.flushed", items: {item_id: string, played_ms: number, dropped_ms: number}[]}
 *   | {type: "page.player.overflow", item_id: string}
 *   | {type: "page.notice", text: string}
 *   | {type: "page.notice_dismissed", id: number}
 *   | {type: "page.conversation_cleared"}} PageEvent
 */

/**
 * What the reducer takes. `at_ms` is the page's monotonic clock, stamped on arrival.
 * @typedef {(ServerEvent | PageEvent) & {at_ms?: number}} AppEvent
 */

/** @typedef {{type: string, [key: string]: unknown}} ClientEvent */

export {};
