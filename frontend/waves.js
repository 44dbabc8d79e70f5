// @ts-check
/**
 * The picture of both voices: two sources of waves. What a voice sounds like now is its disc, what it sounded like a
 * moment ago travels outwards as rings, and where both speak the rings interfere.
 */

/** @typedef {import("./state.js").Mood} Mood */

/** A new ring leaves a source this often; its strength is the loudest level of that time. */
const RING_MS = 90;
const RINGS = 30;
/** On a small picture rings leave it before they have vanished, rather than run into each other. */
const MIN_RING_GAP_PX = 6;
/** About 30 pictures a second: smooth for what moves this slowly, at half the processor time. */
const FRAME_MS = 30;
/** Strength of the breath that is seen while nobody speaks. */
const BREATH = 0.42;

/**
 * @typedef {object} Voice
 * @property {number} side -1 left, 1 right
 * @property {number} level smoothed, 0 to 1
 * @property {number} target last level reported
 * @property {number} peak loudest since the last ring
 * @property {Float32Array} rings strength of each ring, newest first
 * @property {number} size of the disc, eased towards what the mood asks for
 * @property {number} presence opacity of the disc, eased likewise
 */

/** Size and opacity of the discs, user then agent. @type {Record<Mood, [number, number, number, number]>} */
const POSE = {
  idle: [1, 1, 1, 1],
  asking: [1.1, 1, 0.9, 0.45],
  connecting: [0.92, 0.55, 0.92, 0.55],
  queued: [0.92, 0.55, 0.92, 0.55],
  reconnecting: [0.85, 0.35, 0.85, 0.35],
  ready: [0.8, 0.35, 1, 1],
  muted: [0.75, 0.25, 1, 0.9],
  listening: [1.05, 1, 0.86, 0.75],
  hearing: [1.16, 1, 0.78, 0.6],
  thinking: [0.86, 0.7, 1, 0.95],
  speaking: [0.84, 0.75, 1.16, 1],
  ducked: [1, 0.9, 0.95, 0.5],
  interrupted: [1.2, 1, 0.6, 0.35],
  error: [0.85, 0.25, 0.85, 0.25],
};

export class Waves {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.user = newVoice(-1);
    this.agent = newVoice(1);
    /** @type {Mood} */
    this.mood = "idle";
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.lastFrameMs = 0;
    this.ringAgeMs = 0;
    /** @type {{user: string, agent: string, blend: GlobalCompositeOperation}} */
    this.colours = { user: "", agent: "", blend: "multiply" };
    this.readColours();
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
    requestAnimationFrame((nowMs) => this.#frame(nowMs));
  }

  /** Call it when the theme has changed. */
  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colours = {
      user: style.getPropertyValue("--user-disc").trim(),
      agent: style.getPropertyValue("--agent-disc").trim(),
      blend: style.getPropertyValue("--blend").trim() === "screen" ? "screen" : "multiply",
    };
  }

  /** @param {Mood} mood */
  setMood(mood) {
    this.mood = mood;
  }

  /**
   * @param {"user" | "agent"} who
   * @param {number} level 0 to 1
   */
  setLevel(who, level) {
    const voice = this[who];
    voice.target = level;
    voice.peak = Math.max(voice.peak, level);
  }

  #resize() {
    const scale = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(this.canvas.clientWidth * scale);
    this.canvas.height = Math.round(this.canvas.clientHeight * scale);
  }

  /** @param {number} nowMs */
  #frame(nowMs) {
    requestAnimationFrame((next) => this.#frame(next));
    const stepMs = Math.min(100, nowMs - this.lastFrameMs);
    if (stepMs < FRAME_MS) return;
    this.lastFrameMs = nowMs;
    this.#advance(stepMs, nowMs);
    this.#draw(nowMs);
  }

  /**
   * @param {number} stepMs
   * @param {number} nowMs
   */
  #advance(stepMs, nowMs) {
    const [userSize, userPresence, agentSize, agentPresence] = POSE[this.mood];
    ease(this.user, userSize, userPresence, stepMs);
    ease(this.agent, agentSize, agentPresence, stepMs);
    // what was interrupted leaves the picture as fast as it left the loudspeaker
    if (this.mood === "interrupted") fade(this.agent, stepMs);
    this.ringAgeMs += stepMs;
    while (this.ringAgeMs >= RING_MS) {
      this.ringAgeMs -= RING_MS;
      emit(this.user, this.#breath(nowMs, 0));
      emit(this.agent, this.#breath(nowMs, Math.PI));
    }
  }

  /**
   * @param {number} nowMs
   * @param {number} phase
   */
  #breath(nowMs, phase) {
    const waiting = ["connecting", "queued", "reconnecting", "asking"].includes(this.mood);
    const periodMs = waiting ? 1600 : 5200;
    if (this.mood === "error" || this.mood === "muted") return 0;
    return BREATH * Math.max(0, Math.sin((2 * Math.PI * nowMs) / periodMs + phase)) ** 3;
  }

  /** @param {number} nowMs */
  #draw(nowMs) {
    const { context, canvas } = this;
    const { width, height } = canvas;
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, width, height);
    if (width === 0 || height === 0) return;
    const unit = Math.min(width, height * 1.25);
    const radius = unit * 0.15;
    const distance = radius * 0.68;
    context.globalCompositeOperation = this.colours.blend;
    for (const [voice, colour] of this.#voices()) {
      const x = width / 2 + voice.side * distance;
      this.#drawRings(voice, colour, x, height / 2, radius, unit * 0.56);
    }
    for (const [voice, colour] of this.#voices()) {
      const x = width / 2 + voice.side * distance;
      context.globalAlpha = voice.presence;
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x, height / 2, radius * discScale(voice), 0, 2 * Math.PI);
      context.fill();
    }
    if (this.mood === "thinking") {
      this.#drawThought(width / 2 + distance, height / 2, radius * discScale(this.agent), nowMs);
    }
    context.globalAlpha = 1;
  }

  /** @returns {[Voice, string][]} */
  #voices() {
    return [
      [this.user, this.colours.user],
      [this.agent, this.colours.agent],
    ];
  }

  /**
   * @param {Voice} voice
   * @param {string} colour
   * @param {number} x
   * @param {number} y
   * @param {number} radius of the disc at rest
   * @param {number} reach how far beyond the disc a ring has vanished
   */
  #drawRings(voice, colour, x, y, radius, reach) {
    const { context } = this;
    const scale = this.canvas.width / this.canvas.clientWidth;
    const gap = Math.max(reach / RINGS, MIN_RING_GAP_PX * scale);
    const moved = this.calm.matches ? 0 : this.ringAgeMs / RING_MS;
    const hairline = Math.max(scale, this.canvas.width / 700);
    context.strokeStyle = colour;
    for (let k = 0; k < RINGS; k += 1) {
      const strength = this.calm.matches ? 0.08 : /** @type {number} */ (voice.rings[k]);
      const falloff = (1 - (k + moved) / RINGS) ** 1.7;
      const alpha = Math.min(1, strength * 1.15) * falloff * Math.max(0.4, voice.presence);
      if (alpha < 0.012) continue;
      context.globalAlpha = alpha;
      context.lineWidth = Math.min(hairline * (0.8 + 3.4 * strength * falloff), gap / 2);
      context.beginPath();
      context.arc(x, y, radius * discScale(voice) + (k + moved) * gap, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /**
   * An arc that circles the agent while it thinks.
   * @param {number} x
   * @param {number} y
   * @param {number} radius of the agent's disc
   * @param {number} nowMs
   */
  #drawThought(x, y, radius, nowMs) {
    const { context } = this;
    const angle = this.calm.matches ? -Math.PI / 2 : (nowMs / 1100) * Math.PI;
    context.globalAlpha = 0.9;
    context.strokeStyle = this.colours.agent;
    context.lineWidth = Math.max(2, this.canvas.width / 260);
    context.lineCap = "round";
    context.beginPath();
    context.arc(x, y, radius * 1.22, angle, angle + Math.PI * 0.45);
    context.stroke();
  }
}

/**
 * @param {number} side
 * @returns {Voice}
 */
function newVoice(side) {
  return { side, level: 0, target: 0, peak: 0, rings: new Float32Array(RINGS), size: 1, presence: 1 };
}

/** @param {Voice} voice */
function discScale(voice) {
  return voice.size * (1 + 0.34 * voice.level);
}

/**
 * Up quickly, down slowly: that is how loudness looks right.
 * @param {Voice} voice
 * @param {number} size
 * @param {number} presence
 * @param {number} stepMs
 */
function ease(voice, size, presence, stepMs) {
  const tauMs = voice.target > voice.level ? 35 : 160;
  voice.level += (voice.target - voice.level) * (1 - Math.exp(-stepMs / tauMs));
  const share = 1 - Math.exp(-stepMs / 170);
  voice.size += (size - voice.size) * share;
  voice.presence += (presence - voice.presence) * share;
}

/**
 * @param {Voice} voice
 * @param {number} stepMs
 */
function fade(voice, stepMs) {
  const keep = Math.exp(-stepMs / 90);
  for (let k = 0; k < RINGS; k += 1) voice.rings[k] = /** @type {number} */ (voice.rings[k]) * keep;
}

/**
 * @param {Voice} voice
 * @param {number} breath
 */
function emit(voice, breath) {
  voice.rings.copyWithin(1, 0);
  voice.rings[0] = Math.max(voice.peak, breath);
  voice.peak = voice.target;
}
