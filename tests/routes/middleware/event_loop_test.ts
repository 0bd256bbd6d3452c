/** The event loop stays responsive during the most expensive requests. */

import assert from "node:assert/strict";
import { type WorstRequest, worstRequests } from "../../../bench/worst_requests.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { longestStall } from "../../support/faults/event_loop_watchdog.ts";
import { QUICK } from "../../support/quick.ts";
import { testApp } from "../fixtures.ts";

/** Maximum delay in milliseconds, with a margin for other tests on the same machine. */
const MAX_DELAY_MS = 200;

Deno.test("no request blocks the event loop for long", async (t) => {
  // A store that responds through the event loop, like the store of a real worker.
  const backend = await DenoKvBackend.open(":memory:");
  const { app, sessions } = testApp({ backend, documented: false });
  const measure = async ({ name, path, method = "POST", body, followUps: next }: WorstRequest) => {
    let answer: unknown;
    await t.step(name, async () => {
      const stall = await longestStall(async () => {
        const response = await app.request(path, { method, ...(body ? { body } : {}) });
        assert.ok(response.status < 500);
        // State files are streams that this process would have to read.
        if (path.endsWith("/content")) return await response.body!.cancel();
        answer = await response.json();
      }, { runs: 10, enough: MAX_DELAY_MS });
      assert.ok(stall < MAX_DELAY_MS, `${stall} ms`);
    });
    // deno-lint-ignore no-explicit-any
    if ((answer as any)?.id) {
      for (const following of next?.(answer) ?? []) await measure(following);
    }
  };
  for (const request of await worstRequests(sessions.model.fingerprint, { imports: !QUICK })) {
    await measure(request);
  }
  await sessions.settled();
  backend.close();
});
