/** Blob ids and the times in them. */

import assert from "node:assert/strict";
import { blobTime, newBlobId } from "../../../src/store/states/blob_id.ts";
import { randomBytes } from "../../../src/store/states/state_id.ts";

const NOW = 1_800_000_000_123;

Deno.test("a blob id contains its creation time and has 48 hexadecimal digits", () => {
  for (const now of [NOW, NOW + 0.75, Date.now()]) {
    const id = newBlobId(now, randomBytes);
    assert.match(id, /^[0-9a-f]{48}$/);
    assert.equal(blobTime(id), Math.floor(now));
  }
  assert.notEqual(newBlobId(NOW, randomBytes), newBlobId(NOW, randomBytes));
  assert.equal(newBlobId(NOW, (length) => new Uint8Array(length)), `01a3185c507b${"0".repeat(36)}`);
});

Deno.test("ids sort by time", () => {
  const ids = [NOW, NOW + 1, NOW + 1e9, NOW + 1e12].map((now) => newBlobId(now, randomBytes));
  assert.deepEqual(ids.toSorted(), ids);
});

Deno.test("a blob without a time in its id is never old", () => {
  for (const id of ["f".repeat(48), "0".repeat(48), "7".repeat(48), "something else", ""]) {
    assert.ok(blobTime(id) > NOW, id);
  }
});
