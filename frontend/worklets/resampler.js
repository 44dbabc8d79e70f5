// @ts-check
/**
 * Streaming sample-rate conversion, for browsers whose AudioContext does not run at the 24 kHz of the wire.
 * Polyphase windowed sinc: chunked output equals one-shot output, whatever the chunk lengths.
 */

/** Zero crossings of the sinc on each side; with the window below the stop band lies under -80 dB. */
const ZERO_CROSSINGS = 24;
/** Shape of the Kaiser window (Oppenheim & Schafer, section 7.5: 8.0 gives about 81 dB). */
const KAISER_BETA = 8;
/** Share of the Nyquist band kept: the rest is the transition of the low-pass. */
const ROLL_OFF = 0.94;

/**
 * @param {number} a
 * @param {number} b
 * @returns {number} greatest common divisor
 */
function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}

/**
 * Modified Bessel function of the first kind, order 0, by its power series.
 * @param {number} x
 */
function besselI0(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    const divisor = gcd(fromHz, toHz);
    /** @type {number} phases between two input samples */
    this.up = toHz / divisor;
    /** @type {number} phases from one output sample to the next */
    this.down = fromHz / divisor;
    const cutoff = ROLL_OFF * Math.min(1, toHz / fromHz);
    /** @type {number} input samples on each side that an output sample depends on */
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.taps = 2 * this.half;
    this.kernel = this.#designKernel(cutoff);
    /** Input not yet done with; the first `half` samples stand for the silence before the stream. */
    this.pending = new Float32Array(this.half);
    /** Position of the next output sample after `pending[half]`, in steps of 1 / `up` input samples. */
    this.phase = 0;
  }

  reset() {
    this.pending = new Float32Array(this.half);
    this.phase = 0;
  }

  /**
   * @param {Float32Array} input (n,) samples at the source rate; any length, also 0
   * @returns {Float32Array} what can be computed so far, at the target rate
   */
  process(input) {
    const joined = new Float32Array(this.pending.length + input.length);
    joined.set(this.pending);
    joined.set(input, this.pending.length);
    // the output sample at `phase` needs `taps` samples from joined[floor(phase / up)] on
    const lastStart = joined.length - this.taps;
    const count = lastStart < 0 ? 0 : Math.floor(((lastStart + 1) * this.up - 1 - this.phase) / this.down) + 1;
    const output = new Float32Array(Math.max(0, count));
    let phase = this.phase;
    for (let n = 0; n < output.length; n += 1) {
      const start = Math.floor(phase / this.up);
      const row = (phase % this.up) * this.taps;
      let sum = 0;
      for (let k = 0; k < this.taps; k += 1) {
        sum += /** @type {number} */ (joined[start + k]) * /** @type {number} */ (this.kernel[row + k]);
      }
      output[n] = sum;
      phase += this.down;
    }
    const consumed = Math.min(Math.floor(phase / this.up), joined.length);
    this.pending = joined.slice(consumed);
    this.phase = phase - consumed * this.up;
    return output;
  }

  /** @returns {Float32Array} the tail that still depended on input to come; the stream then starts anew */
  flush() {
    const output = this.process(new Float32Array(this.half - 1));
    this.reset();
    return output;
  }

  /**
   * One row of taps per phase, each normalised to unit gain at 0 Hz.
   * @param {number} cutoff share of the source's Nyquist frequency
   */
  #designKernel(cutoff) {
    const kernel = new Float32Array(this.up * this.taps);
    for (let phase = 0; phase < this.up; phase += 1) {
      let gain = 0;
      const row = phase * this.taps;
      for (let k = 0; k < this.taps; k += 1) {
        const distance = k - this.half - phase / this.up;
        const x = Math.PI * cutoff * distance;
        const edge = distance / this.half;
        const window =
          Math.abs(edge) >= 1 ? 0 : besselI0(KAISER_BETA * Math.sqrt(1 - edge * edge)) / besselI0(KAISER_BETA);
        const tap = (x === 0 ? 1 : Math.sin(x) / x) * window;
        kernel[row + k] = tap;
        gain += tap;
      }
      for (let k = 0; k < this.taps; k += 1) kernel[row + k] = /** @type {number} */ (kernel[row + k]) / gain;
    }
    return kernel;
  }
}
