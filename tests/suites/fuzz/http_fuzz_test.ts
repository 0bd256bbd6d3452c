/** Sends some hundred damaged requests; `deno task fuzz --http` sends more. */

import assert from "node:assert/strict";
import { QUICK } from "../../support/quick.ts";
import { fuzzHttp } from "./http/http_fuzzer.ts";

Deno.test("damaged requests get well-formed errors and have no side effects", async () => {
  for (const seed of QUICK ? [11] : [11, 12]) {
    // Generous, so that a busy machine passes and a hang still fails.
    const { requests, statuses, findings } = await fuzzHttp({
      requests: 500,
      seed,
      limitMs: 20_000,
    });
    assert.deepEqual(findings, []);
    assert.equal(requests, 500);
    for (const status of [200, 400, 404, 405]) {
      assert.ok(statuses.get(status)! >= 10, `${statuses.get(status)} x ${status}`);
    }
  }
});
