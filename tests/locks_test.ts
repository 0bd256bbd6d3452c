/**
 * Checks the lock files. A first start downloads everything in `deno.lock`, imported or not, so
 * packages that only tests need are in separate locks.
 */

import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url);

/** Each lock extends the previous one. */
const LOCKS = ["deno.lock", "tests/deno.lock", "tests/suites/clients/deno.lock"];

const REMEDY = "a run without --lock has changed it: revert the change, and add packages " +
  "for tests to the scopes of deno.json";

interface Lock {
  specifiers: Record<string, string>;
  npm: Record<string, { integrity: string }>;
}

const { imports, lock } = await json("deno.json");
const locks: Lock[] = await Promise.all(LOCKS.map(json));

Deno.test("the worker's lock has exactly the worker's imports", () => {
  const expected = Object.values(imports);
  const types = (specifier: string) => specifier.startsWith("npm:@types/");
  const locked = Object.keys(locks[0].specifiers).filter((specifier) => !types(specifier));
  assert.deepEqual(locked.sort(), expected.sort(), `deno.lock: ${REMEDY}`);
});

Deno.test("locks are frozen", () => {
  assert.deepEqual(lock, { path: "./deno.lock", frozen: true });
});

Deno.test("tests use the worker's package versions", () => {
  for (const [i, lock] of locks.slice(1).entries()) {
    for (const [specifier, version] of Object.entries(locks[i].specifiers)) {
      assert.equal(lock.specifiers[specifier], version, `${LOCKS[i + 1]}: ${specifier}`);
    }
    for (const [name, { integrity }] of Object.entries(locks[i].npm)) {
      assert.equal(lock.npm[name]?.integrity, integrity, `${LOCKS[i + 1]}: ${name}`);
    }
  }
});

Deno.test("packages of the client tests are in no other lock", () => {
  for (const name of ["ai", "@langchain/openai"]) {
    const found = LOCKS.filter((_, i) =>
      Object.keys(locks[i].npm).some((key) => key.startsWith(`${name}@`))
    );
    assert.deepEqual(found, ["tests/suites/clients/deno.lock"], `${name}: ${REMEDY}`);
  }
});

async function json(path: string) {
  return JSON.parse(await Deno.readTextFile(new URL(path, ROOT)));
}
