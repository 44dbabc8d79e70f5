// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { EXTENSION_EVENTS } from "../../frontend/settings.js";
import { Conversation } from "./conversation.js";

test("the page shows that the call is recorded, as long as it is", () => {
  assert.ok(EXTENSION_EVENTS.includes("recording"));
  const talk = new Conversation();
  talk.connect();
  assert.equal(talk.state.recorded, false);
  talk.feed({ type: "s2s.recording.updated", recording: true, reason: "told" });
  assert.equal(talk.state.recorded, true);
  talk.feed({ type: "s2s.recording.updated", recording: false, reason: "refused" });
  assert.equal(talk.state.recorded, false);
  talk.feed({ type: "s2s.recording.updated", recording: true, reason: "told" });
  talk.feed({ type: "page.connection", status: "closed", attempt: 0, retry_in_ms: null, problem: null });
  assert.equal(talk.state.recorded, false);
});
