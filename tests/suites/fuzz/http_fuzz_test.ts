/** Damaged requests, some hundred of them: `deno task fuzz --http` sends more. */

import assert from "node:assert/strict";
import { QUICK } from "../../support/quick.ts";
import { fuzzHttp } from "./http/http_fuzzer.ts";

Deno.test("damaged requests are refused in the one form, and harm nothing", async () => {
  for (const seed of QUICK ? [11] : [11, 12]) {
    // A machine that is busy takes its time; what hangs takes longer.
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
