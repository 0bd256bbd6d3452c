/** The memory budget of all requests. */

import assert from "node:assert/strict";
import { MemoryBudget } from "../../../routes/middleware/memory_budget.ts";
import { tenantApp } from "../tenant_app.ts";
import { HI } from "../fixtures.ts";

const FULL = { code: "overloaded" };

Deno.test("requests share the budget, a tenant gets at most half of it, and leases are released", () => {
  const budget = new MemoryBudget(100);
  const ada = budget.lease("ada");
  ada.reserve(30);
  const second = budget.lease("ada");
  second.reserve(20);
  assert.throws(() => second.reserve(1), FULL);
  assert.throws(() => budget.lease("ada").reserve(1), FULL);
  const bob = budget.lease("bob");
  bob.reserve(50);
  assert.throws(() => budget.lease("eve").reserve(1), {
    ...FULL,
    message: /^Request memory exhausted: 100 of 100 bytes are in use, 1 more are needed;/,
  });
  ada[Symbol.dispose]();
  second.reserve(30);
  second[Symbol.dispose]();
  bob[Symbol.dispose]();
  budget.lease("eve").reserve(50);
});

Deno.test("a single request may exceed the budget", () => {
  const budget = new MemoryBudget(100);
  const ada = budget.lease("ada");
  ada.reserve(90);
  ada.reserve(90);
  const bob = budget.lease("bob");
  assert.throws(() => bob.reserve(1), FULL);
  ada[Symbol.dispose]();
  bob.reserve(1);
  assert.throws(() => budget.lease("ada").reserve(100), FULL);
});

Deno.test("a rejected reservation reserves nothing", () => {
  const budget = new MemoryBudget(100);
  const first = budget.lease("ada");
  first.reserve(40);
  for (let i = 0; i < 10; i++) {
    using other = budget.lease("ada");
    assert.throws(() => other.reserve(11), FULL);
  }
  using other = budget.lease("ada");
  other.reserve(10);
});

Deno.test("a reservation after the release reserves nothing", () => {
  const budget = new MemoryBudget(100);
  const gone = budget.lease("ada");
  gone.reserve(40);
  gone[Symbol.dispose]();
  gone.reserve(40);
  gone[Symbol.dispose]();
  const [first, second] = [budget.lease("ada"), budget.lease("ada")];
  first.reserve(25);
  second.reserve(25);
  assert.throws(() => second.reserve(1), FULL);
});

Deno.test("files and transcripts count until they are sent or cancelled", async () => {
  // The budget is 32 bodies of the maximum size; a tenant's half fits fewer than 16 states.
  const it = await tenantApp(["ada", "bob"], { maxBodyBytes: 700 });
  const ask = (
    key: string,
    path: string,
    { sent, ...init }: RequestInit & { sent?: Promise<void> },
  ) => {
    const request = new Request(`http://localhost/v1${path}`, {
      ...init,
      headers: { authorization: `Bearer ${key}-key` },
    });
    return Promise.resolve(it.app.fetch(request, sent && { completed: sent }));
  };
  const body = JSON.stringify(HI);
  const { state_id } = await (await ask("ada", "/chat/completions", { method: "POST", body }))
    .json();
  const sends: (() => void)[] = [];
  const slow = (path: string) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    sends.push(resolve);
    return ask("ada", path, { sent: promise });
  };
  const paths = [`/states/${state_id}/content`, `/states/${state_id}`];
  for (const path of paths) {
    let taken = 0;
    let answer: Response;
    while ((answer = await slow(path)).status === 200) {
      await answer.body?.cancel();
      assert.ok(++taken < 500, path);
    }
    assert.ok(taken > 1, path);
    assert.equal(answer.status, 503);
    assert.equal((await answer.json()).error.code, "overloaded");
    assert.equal((await ask("bob", "/models", {})).status, 200);
    for (const send of sends) send();
    await Promise.resolve();
    for (let i = 0; i < 3; i++) {
      const again = await ask("ada", path, { method: i === 1 ? "HEAD" : "GET" });
      assert.equal(again.status, 200, path);
      await again.body?.cancel();
    }
  }
});
