// @ts-check
/** A recording of somebody's voice as it grows, and the wav file it becomes. Free of DOM. */

const RATE_HZ = 24_000;
const BYTES_PER_SAMPLE = 2;
const HEADER_BYTES = 44;

/** @typedef {{removable: string[], min_seconds: number, max_seconds: number, max_bytes: number}} VoiceLimits */

export class VoiceRecording {
  /** @param {number} maxSeconds what comes after is not kept */
  constructor(maxSeconds) {
    this.maxBytes = Math.floor(maxSeconds * RATE_HZ) * BYTES_PER_SAMPLE;
    /** @type {ArrayBuffer[]} */
    this.pieces = [];
    this.bytes = 0;
  }

  get seconds() {
    return this.bytes / BYTES_PER_SAMPLE / RATE_HZ;
  }

  get isFull() {
    return this.bytes >= this.maxBytes;
  }

  /** @param {ArrayBuffer} pcm PCM16 at 24 kHz; copied, since the microphone uses it again */
  append(pcm) {
    const kept = pcm.slice(0, this.maxBytes - this.bytes);
    this.pieces.push(kept);
    this.bytes += kept.byteLength;
  }

  /** @returns {Blob} a wav file: PCM16, mono */
  wav() {
    return new Blob([wavHeader(this.bytes), ...this.pieces], { type: "audio/wav" });
  }
}

/**
 * @param {number} bytes of samples that follow
 * @returns {ArrayBuffer}
 */
export function wavHeader(bytes) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (/** @type {number} */ at, /** @type {string} */ word) => {
    for (let i = 0; i < word.length; i += 1) view.setUint8(at + i, word.charCodeAt(i));
  };
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE_HZ, true);
  view.setUint32(28, RATE_HZ * BYTES_PER_SAMPLE, true);
  view.setUint16(32, BYTES_PER_SAMPLE, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  return view.buffer;
}

/**
 * What the server says of itself under `custom`, checked; null when it clones no voices.
 * @param {unknown} custom
 * @returns {VoiceLimits | null}
 */
export function voiceLimits(custom) {
  if (custom === null || typeof custom !== "object") return null;
  const { removable, min_seconds, max_seconds, max_bytes } = /** @type {Record<string, unknown>} */ (custom);
  if (typeof min_seconds !== "number" || typeof max_seconds !== "number" || typeof max_bytes !== "number") return null;
  const ids = Array.isArray(removable) ? removable.filter((id) => typeof id === "string") : [];
  return { removable: ids, min_seconds, max_seconds: Math.min(max_seconds, 60), max_bytes };
}

/**
 * @param {unknown} body of an answer that is a refusal
 * @returns {string} the server's sentence
 */
export function refusalText(body) {
  const message = /** @type {{error?: {message?: unknown}} | null} */ (body)?.error?.message;
  return typeof message === "string" && message ? message : "The server did not take it.";
}
