/** What bodies take of memory together. */

import assert from "node:assert/strict";
import { BodyRoom } from "../../routes/body_room.ts";

const FULL = { code: "overloaded" };

Deno.test("bodies fill the room, a tenant's no more than half of it, and leave it when they end", () => {
  const room = new BodyRoom(100);
  const ada = room.hold("ada");
  ada.take(30);
  const second = room.hold("ada");
  second.take(20);
  assert.throws(() => second.take(1), FULL);
  assert.throws(() => room.hold("ada").take(1), FULL);
  const bob = room.hold("bob");
  bob.take(50);
  assert.throws(() => room.hold("eve").take(1), {
    ...FULL,
    message: /those under way have 100 bytes, of 100 that they may/,
  });
  ada[Symbol.dispose]();
  second.take(30);
  second[Symbol.dispose]();
  bob[Symbol.dispose]();
  room.hold("eve").take(50);
});

Deno.test("a body that is alone may be larger than the room", () => {
  const room = new BodyRoom(100);
  const ada = room.hold("ada");
  ada.take(90);
  ada.take(90);
  const bob = room.hold("bob");
  assert.throws(() => bob.take(1), FULL);
  ada[Symbol.dispose]();
  bob.take(1);
  assert.throws(() => room.hold("ada").take(100), FULL);
});

Deno.test("what is refused holds nothing", () => {
  const room = new BodyRoom(100);
  const first = room.hold("ada");
  first.take(40);
  for (let i = 0; i < 10; i++) {
    using other = room.hold("ada");
    assert.throws(() => other.take(11), FULL);
  }
  using other = room.hold("ada");
  other.take(10);
});
