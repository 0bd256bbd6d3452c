import assert from "node:assert/strict";
import { Slots } from "../../src/scheduler/slots.ts";

Deno.test("a conversation gets its own slot back, others what is empty, then what was left longest", () => {
  const slots = new Slots(4);
  const taken = [1, 2, 3].map(() => slots.take(null)!.slot);
  assert.equal(new Set(taken).size, 3);
  const [ada, bob, eve] = taken.map((slot) => slots.release(slot));
  slots.keep(bob, "bob");
  slots.keep(ada, "ada");
  slots.keep(eve, "eve");
  assert.deepEqual(slots.take("ada"), { slot: taken[0], warm: true });
  const empty = slots.take("unknown")!;
  assert.ok(!empty.warm && !taken.includes(empty.slot));
  assert.deepEqual(slots.take(null), { slot: taken[1], warm: false });
  assert.deepEqual(slots.take("bob"), { slot: taken[2], warm: false });
  assert.equal(slots.take("eve"), undefined);
  assert.equal(slots.free, 0);
});

Deno.test("what is named after the slot was taken again is not kept, nor is what may have changed", () => {
  const slots = new Slots(1);
  const first = slots.release(slots.take(null)!.slot);
  slots.keep(first, "ada");
  assert.ok(slots.take("ada")!.warm);
  const second = slots.release(0);
  slots.keep(first, "ada");
  assert.ok(!slots.take("ada")!.warm);
  slots.release(0);
  slots.keep(second, "bob");
  assert.ok(!slots.take("bob")!.warm);
  slots.keep(slots.release(0), "eve");
  slots.forget();
  assert.ok(!slots.take("eve")!.warm);
});
