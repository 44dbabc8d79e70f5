// @ts-check
/** PCM16 as it goes over the wire, and the level of a block. Free of DOM and Node: worklets and page share it. */

/**
 * @param {Float32Array} samples in [-1, 1]; beyond is clipped
 * @param {Int16Array} target at least as long as `samples`
 * @returns {Int16Array} `target`
 */
export function floatToInt16(samples, target) {
  for (let i = 0; i < samples.length; i += 1) {
    const value = Math.max(-1, Math.min(1, /** @type {number} */ (samples[i])));
    target[i] = Math.round(value * 32767);
  }
  return target;
}

/**
 * @param {Int16Array} samples
 * @returns {Float32Array} in [-1, 1)
 */
export function int16ToFloat(samples) {
  const result = new Float32Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) result[i] = /** @type {number} */ (samples[i]) / 32768;
  return result;
}

/**
 * Loudness as a picture wants it: -60 dB is 0, -12 dB (a clear voice) is 1.
 * @param {number} rms root mean square of samples in [-1, 1]
 */
export function levelOfRms(rms) {
  if (rms <= 1e-6) return 0;
  return Math.max(0, Math.min(1, (20 * Math.log10(rms) + 60) / 48));
}
