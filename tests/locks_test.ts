/**
 * What is downloaded when: a first start fetches everything in `deno.lock`, whether it is imported
 * or not, so packages that only tests need are in the locks beside these.
 */

import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url);

/** Each is the one before with more packages. */
const LOCKS = ["deno.lock", "tests/deno.lock", "tests/suites/clients/deno.lock"];

const REMEDY =
  "a run without --lock has written to it: take back what it wrote, and add packages " +
  "for tests to the scopes of deno.json";

interface Lock {
  specifiers: Record<string, string>;
  npm: Record<string, { integrity: string }>;
}

const { imports, lock } = await json("deno.json");
const locks: Lock[] = await Promise.all(LOCKS.map(json));

Deno.test("the worker's lock has what the worker imports, and nothing of the tests'", () => {
  const wanted = Object.values(imports);
  const types = (specifier: string) => specifier.startsWith("npm:@types/");
  const locked = Object.keys(locks[0].specifiers).filter((specifier) => !types(specifier));
  assert.deepEqual(locked.sort(), wanted.sort(), `deno.lock: ${REMEDY}`);
});

Deno.test("a run fails rather than writes to a lock", () => {
  assert.deepEqual(lock, { path: "./deno.lock", frozen: true });
});

Deno.test("tests run with the packages that the worker runs with", () => {
  for (const [i, lock] of locks.slice(1).entries()) {
    for (const [specifier, version] of Object.entries(locks[i].specifiers)) {
      assert.equal(lock.specifiers[specifier], version, `${LOCKS[i + 1]}: ${specifier}`);
    }
    for (const [name, { integrity }] of Object.entries(locks[i].npm)) {
      assert.equal(lock.npm[name]?.integrity, integrity, `${LOCKS[i + 1]}: ${name}`);
    }
  }
});

Deno.test("what only the clients' tests need is in no other lock", () => {
  for (const name of ["ai", "@langchain/openai"]) {
    const having = LOCKS.filter((_, i) =>
      Object.keys(locks[i].npm).some((key) => key.startsWith(`${name}@`))
    );
    assert.deepEqual(having, ["tests/suites/clients/deno.lock"], `${name}: ${REMEDY}`);
  }
});

async function json(path: string) {
  return JSON.parse(await Deno.readTextFile(new URL(path, ROOT)));
}
