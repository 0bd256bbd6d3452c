import assert from "node:assert/strict";
import { logError } from "../../src/server/error_log.ts";
import { createLogger } from "../../src/core/log.ts";

const DIGITS = "0123456789ab".repeat(4);

Deno.test("logError shortens ids that could resume a conversation", () => {
  const lines: string[] = [];
  const log = createLogger({
    write: (line) => lines.push(line),
    format: "json",
    now: () => new Date(0),
  });
  for (const kind of ["state", "resp", "conv"]) {
    const id = `${kind}_${DIGITS}`;
    logError(log, `GET /v1/things/${id}/content failed`, new Error(`Cannot resume "${id}": it is`));
    logError(log, "POST /v1/things failed", `${id},${id}`);
    const entries = lines.splice(0).map((line) => JSON.parse(line));
    assert.equal(entries[0].message, `GET /v1/things/${kind}_01234567…/content failed`);
    assert.match(
      entries[0].error,
      new RegExp(`^Error: Cannot resume "${kind}_01234567…": it is\n`),
    );
    assert.equal(entries[1].error, `${kind}_01234567…,${kind}_01234567…`);
  }
});
