// @ts-check
/** Base64 of audio, for JSON frames. */

/** String.fromCharCode takes its bytes as arguments, and engines limit how many. */
const SLICE_BYTES = 8192;

/**
 * @param {ArrayBuffer} buffer
 * @returns {string}
 */
export function toBase64(buffer) {
  const bytes = new Uint8Array(buffer);
  let text = "";
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
    text += String.fromCharCode(...bytes.subarray(start, start + SLICE_BYTES));
  }
  return btoa(text);
}

/**
 * @param {string} text base64 of PCM16 little-endian
 * @returns {Int16Array} an odd last byte is dropped
 */
export function int16FromBase64(text) {
  const binary = atob(text);
  const samples = new Int16Array(binary.length >> 1);
  for (let i = 0; i < samples.length; i += 1) {
    samples[i] = binary.charCodeAt(2 * i) | (binary.charCodeAt(2 * i + 1) << 8);
  }
  return samples;
}
