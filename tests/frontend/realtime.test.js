// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_ATTEMPTS, RealtimeClient, reconnectDelayMs } from "../../frontend/realtime.js";

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  /** @type {any[]} */
  sent = [];
  /** @type {number | undefined} */
  closedWith = undefined;
  /** @type {any} */
  onopen = null;
  /** @type {any} */
  onmessage = null;
  /** @type {any} */
  onclose = null;

  /** @param {string[]} protocols */
  constructor(protocols) {
    this.protocols = protocols;
  }

  /** @param {string} data */
  send(data) {
    this.sent.push(JSON.parse(data));
  }

  /** @param {number} [code] */
  close(code) {
    this.closedWith = code;
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** @param {any} event */
  say(event) {
    this.onmessage?.({ data: typeof event === "string" ? event : JSON.stringify(event) });
  }

  drop() {
    this.readyState = 3;
    this.onclose?.({});
  }
}

/** @param {any} [problem] what a refused handshake is diagnosed as */
function newClient(problem = "unreachable") {
  const world = {
    /** @type {FakeSocket[]} */
    sockets: [],
    /** @type {any[]} */
    events: [],
    /** @type {{action: () => void, delayMs: number}[]} */
    timers: [],
    nowMs: 0,
  };
  const client = new RealtimeClient({
    url: "ws://host/v1/realtime",
    openSocket: (_url, protocols) => {
      const socket = new FakeSocket(protocols);
      world.sockets.push(socket);
      return socket;
    },
    diagnose: async () => problem,
    emit: (event) => world.events.push(event),
    nowMs: () => world.nowMs,
    schedule: (action, delayMs) => {
      world.timers.push({ action, delayMs });
      return world.timers.length;
    },
    unschedule: () => {},
    random: () => 0.5,
  });
  const socket = () => /** @type {FakeSocket} */ (world.sockets.at(-1));
  const states = () =>
    world.events.filter((event) => event.type === "page.connection").map((event) => [event.status, event.problem]);
  return { client, world, socket, states };
}

const CREATED = { type: "session.created", session: {} };

test("the subprotocol carries the key, and only then", () => {
  const { client, socket } = newClient();
  client.connect("");
  assert.deepEqual(socket().protocols, ["realtime"]);
  client.connect("sesame");
  assert.deepEqual(socket().protocols, ["realtime", "openai-insecure-api-key.sesame"]);
});

test("open means that the session was created", () => {
  const { client, socket, states, world } = newClient();
  client.connect("");
  socket().open();
  assert.deepEqual(states(), [["connecting", null]]);
  socket().say(CREATED);
  assert.deepEqual(states().at(-1), ["open", null]);
  assert.equal(world.events.at(-1).type, "session.created");
});

test("what is said while connecting is kept, three seconds of it, and sent when released", () => {
  const { client, socket } = newClient();
  client.connect("");
  for (let i = 0; i < 200; i += 1) client.appendAudio(Int16Array.of(i).buffer);
  socket().open();
  client.releaseHeldAudio();
  assert.equal(socket().sent.length, 150);
  assert.equal(Buffer.from(socket().sent[0].audio, "base64").readInt16LE(), 50);
  client.appendAudio(Int16Array.of(1).buffer);
  assert.equal(socket().sent.length, 151);
});

test("delays double up to a limit, are spread, and end", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7].map((attempt) => reconnectDelayMs(attempt, 0.5)),
    [500, 1000, 2000, 4000, 8000, 10_000, null],
  );
  assert.equal(reconnectDelayMs(1, 0), 400);
  assert.equal(reconnectDelayMs(1, 1), 600);
});

test("a lost connection is opened again", () => {
  const { client, socket, states, world } = newClient();
  client.connect("");
  socket().open();
  socket().say(CREATED);
  socket().drop();
  assert.deepEqual(states().at(-1), ["waiting", "lost"]);
  world.timers.at(-1)?.action();
  assert.equal(world.sockets.length, 2);
});

test("a server that cannot be reached is given up after some attempts", async () => {
  const { client, socket, states, world } = newClient();
  client.connect("");
  for (let i = 0; i <= MAX_ATTEMPTS; i += 1) {
    socket().drop();
    await Promise.resolve();
    await Promise.resolve();
    if (i < MAX_ATTEMPTS) world.timers.at(-1)?.action();
  }
  assert.deepEqual(states().at(-1), ["failed", "unreachable"]);
  assert.equal(world.timers.length, MAX_ATTEMPTS);
});

test("a connection that dies at once counts as an attempt, one that lived does not", () => {
  const { client, socket, world } = newClient();
  client.connect("");
  for (const livedMs of [10, 10, 60_000]) {
    socket().open();
    socket().say(CREATED);
    world.nowMs += livedMs;
    socket().drop();
    world.timers.at(-1)?.action();
  }
  assert.deepEqual(
    world.timers.map((timer) => timer.delayMs),
    [500, 1000, 500],
  );
});

test("a missing key and an expired session are not tried again", async () => {
  const keyless = newClient("unauthorized");
  keyless.client.connect("");
  keyless.socket().drop();
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(keyless.states().at(-1), ["failed", "unauthorized"]);

  const expired = newClient();
  expired.client.connect("");
  expired.socket().open();
  expired.socket().say(CREATED);
  expired.socket().say({ type: "error", error: { code: "session_expired", message: "over" } });
  expired.socket().drop();
  assert.deepEqual(expired.states().at(-1), ["failed", "expired"]);
  assert.equal(expired.world.timers.length, 0);
});

test("ending is final: an old socket is not heard any more", () => {
  const { client, socket, states, world } = newClient();
  client.connect("");
  const first = socket();
  first.open();
  first.say(CREATED);
  client.close();
  assert.equal(first.closedWith, 1000);
  first.drop();
  first.say({ type: "response.created" });
  assert.deepEqual(states().at(-1), ["closed", null]);
  assert.equal(world.timers.length, 0);
});

test("a diagnosis that comes after the end changes nothing", async () => {
  const { client, socket, states } = newClient();
  client.connect("");
  socket().drop();
  client.close();
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(states().at(-1), ["closed", null]);
});

test("a socket that does not drain is given up rather than filled", () => {
  const { client, socket, states } = newClient();
  client.connect("");
  socket().open();
  socket().bufferedAmount = 2_000_000;
  client.appendAudio(new ArrayBuffer(960));
  assert.deepEqual(states().at(-1), ["waiting", "lost"]);
});

test("garbage is not an event", () => {
  const { client, socket, world } = newClient();
  client.connect("");
  socket().open();
  const before = world.events.length;
  for (const frame of ["{", "null", "[]", '"x"', '{"type": 3}']) socket().say(frame);
  assert.equal(world.events.length, before);
});

test("round trips are those of updates and their replies, in order", () => {
  const { client, socket, world } = newClient();
  client.connect("");
  socket().open();
  client.send({ type: "session.update" });
  world.nowMs = 5;
  client.send({ type: "session.update" });
  world.nowMs = 20;
  socket().say({ type: "session.updated", session: {} });
  socket().say({ type: "session.updated", session: {} });
  client.send({ type: "session.update" });
  socket().say({ type: "error", error: { code: "invalid_value", message: "" } });
  socket().say({ type: "session.updated", session: {} });
  assert.deepEqual(
    world.events.filter((event) => event.type === "page.round_trip").map((event) => event.ms),
    [20, 15],
  );
});

test("in the queue nothing is sent or kept, and then the conversation begins with what is said from there on", () => {
  const { client, socket, states, world } = newClient();
  client.connect("");
  client.appendAudio(Int16Array.of(1).buffer);
  socket().open();
  socket().say({ type: "s2s.queue.updated", place: 2, estimated_wait_s: null });
  client.appendAudio(Int16Array.of(2).buffer);
  assert.equal(client.send({ type: "session.update", session: {} }), false);
  assert.deepEqual(states(), [["connecting", null]]);
  assert.equal(world.events.at(-1).place, 2);
  socket().say(CREATED);
  client.releaseHeldAudio();
  assert.deepEqual(socket().sent, []);
  client.appendAudio(Int16Array.of(3).buffer);
  assert.equal(socket().sent.length, 1);
});

test("a wait without a place is told as a full server, and tried again", () => {
  const { client, socket, states } = newClient();
  client.connect("");
  socket().open();
  socket().say({ type: "s2s.queue.updated", place: 1, estimated_wait_s: 20 });
  socket().say({ type: "error", error: { type: "server_error", code: "server_full", message: "no", param: null } });
  socket().drop();
  assert.deepEqual(states().at(-1), ["waiting", "full"]);
});
