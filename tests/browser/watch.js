// What the page sends and receives, and what its content policy forbids, as `watched`.
globalThis.watched = { socket: null, sent: [], received: [], violations: [] };

document.addEventListener("securitypolicyviolation", (event) => {
  watched.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
});

function rms(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const samples = new Int16Array(bytes.buffer, 0, bytes.length >> 1);
  return Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length) / 32768;
}

globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols);
    watched.socket = this;
    this.addEventListener("message", ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "response.output_audio.delta") event.delta = "";
      watched.received.push({ ...event, at_ms: performance.now() });
    });
  }

  send(data) {
    const event = JSON.parse(data);
    const isAudio = event.type === "input_audio_buffer.append";
    watched.sent.push({ ...event, ...(isAudio ? { audio: "", rms: rms(event.audio) } : {}), at_ms: performance.now() });
    super.send(data);
  }
};
