/** Unknown ids: 404 in a path, 400 in a body, with the same code. */

import assert from "node:assert/strict";
import { errorOf, HI, testApp } from "../fixtures.ts";

const STATE = `state_${"0".repeat(48)}`;
const CONVERSATION = `conv_${"0".repeat(48)}`;

/** Bodies with unknown ids. */
const BODIES: readonly [path: string, body: object, code: string, param: string][] = [
  ["/chat/completions", { ...HI, state_id: STATE }, "state_not_found", "state_id"],
  ["/chat/completions", { ...HI, state_id: "" }, "state_not_found", "state_id"],
  [
    "/chat/completions",
    { ...HI, conversation: CONVERSATION },
    "conversation_not_found",
    "conversation",
  ],
  ["/completions", { prompt: "hi", state_id: STATE }, "state_not_found", "state_id"],
  [
    "/completions",
    { prompt: "hi", conversation: { id: CONVERSATION } },
    "conversation_not_found",
    "conversation",
  ],
  [
    "/responses",
    { input: "hi", conversation: CONVERSATION },
    "conversation_not_found",
    "conversation",
  ],
  [
    "/responses",
    { input: "hi", previous_response_id: STATE.replace("state", "resp") },
    "previous_response_not_found",
    "previous_response_id",
  ],
  ["/conversations", { state_id: STATE }, "state_not_found", "state_id"],
];

Deno.test("an unknown id in a body returns 400, with and without streaming", async () => {
  const { app, logged } = testApp();
  for (const [path, body, code, param] of BODIES) {
    for (const stream of [false, true]) {
      const pending = app.request(`/v1${path}`, {
        method: "POST",
        body: JSON.stringify({ ...body, stream }),
      });
      const error = await errorOf(pending, 400, code);
      assert.equal(error.param, param);
      assert.equal(error.type, "invalid_request_error");
    }
  }
  assert.deepEqual(logged, []);
});

Deno.test("an expired state returns 400 in a body and 410 in a path", async () => {
  let now = 1_800_000_000_000;
  const it = testApp({ storeOptions: { now: () => now } });
  const { state_id } = await (await ask(it, "/v1/chat/completions", HI)).json();
  const made = await (await ask(it, "/v1/conversations", { state_id })).json();
  now += 7.5 * 24 * 3_600_000;
  await errorOf(ask(it, "/v1/chat/completions", { ...HI, state_id }), 400, "state_expired");
  await errorOf(ask(it, "/v1/conversations", { state_id }), 400, "state_expired");
  await errorOf(it.app.request(`/v1/states/${state_id}`), 410, "state_expired");
  assert.equal(made.state_id, state_id);
});

Deno.test("an unknown id in a path and an unknown model return 404", async () => {
  const it = testApp();
  await errorOf(it.app.request(`/v1/states/${STATE}`), 404, "state_not_found");
  const moved = ask(it, `/v1/conversations/${CONVERSATION}`, { state_id: STATE });
  const { code, status } = await moved.then(async (answer) => ({
    status: answer.status,
    code: (await answer.json()).error.code,
  }));
  // Both are unknown; the state is checked first.
  assert.deepEqual([status, code], [400, "state_not_found"]);
  await errorOf(ask(it, `/v1/conversations/${CONVERSATION}`, {}), 404, "conversation_not_found");
  await errorOf(ask(it, "/v1/chat/completions", { ...HI, model: "x" }), 404, "model_not_found");
});

async function ask({ app }: ReturnType<typeof testApp>, path: string, body: object) {
  return await app.request(path, { method: "POST", body: JSON.stringify(body) });
}
