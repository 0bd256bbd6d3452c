import assert from "node:assert/strict";
import { Slots } from "../../src/scheduler/running_turns.ts";

Deno.test("a conversation gets its warm slot; others get an empty one, then the least recently used", () => {
  const slots = new Slots(4);
  const taken = [1, 2, 3].map(() => slots.acquire(null)!.slot);
  assert.equal(new Set(taken).size, 3);
  const [ada, bob, eve] = taken.map((slot) => slots.release(slot));
  slots.keepWarm(bob, "bob");
  slots.keepWarm(ada, "ada");
  slots.keepWarm(eve, "eve");
  assert.deepEqual(slots.acquire("ada"), { slot: taken[0], warm: true });
  const empty = slots.acquire("unknown")!;
  assert.ok(!empty.warm && !taken.includes(empty.slot));
  assert.deepEqual(slots.acquire(null), { slot: taken[1], warm: false });
  assert.deepEqual(slots.acquire("bob"), { slot: taken[2], warm: false });
  assert.equal(slots.acquire("eve"), undefined);
  assert.equal(slots.freeCount, 0);
});

Deno.test("ignores names for slots that were taken again or may have changed", () => {
  const slots = new Slots(1);
  const first = slots.release(slots.acquire(null)!.slot);
  slots.keepWarm(first, "ada");
  assert.ok(slots.acquire("ada")!.warm);
  const second = slots.release(0);
  slots.keepWarm(first, "ada");
  assert.ok(!slots.acquire("ada")!.warm);
  slots.release(0);
  slots.keepWarm(second, "bob");
  assert.ok(!slots.acquire("bob")!.warm);
  slots.keepWarm(slots.release(0), "eve");
  slots.clearKeys();
  assert.ok(!slots.acquire("eve")!.warm);
});
