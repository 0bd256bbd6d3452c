/** Rows damaged by a disk or another program are rejected whatever they contain. */

import assert from "node:assert/strict";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { content, MODEL } from "../fixtures.ts";

const REQUEST = { key: "k", route: "r", body: "b" };

/** Creates a store with a row of each kind, and a reader for each. */
async function createRows() {
  const backend = new MemoryBackend();
  const store = new StateStore(backend);
  const id = store.newId();
  await store.save(content(1, { length: 100, historyBytes: 50 }), {
    id,
    model: MODEL,
    parent: null,
    prefix: "hash",
  });
  const conversation = await store.conversations.create({ head: id, metadata: { a: "b" } });
  const claim = await store.idempotencyRecords.claim(REQUEST);
  assert.ok("complete" in claim);
  await claim.complete(new TextEncoder().encode("response"));
  const readers: Record<string, () => Promise<unknown>> = {
    state: () => store.load(id),
    conversation: () => store.conversations.get(conversation.id),
    idempotency: () => store.idempotencyRecords.claim(REQUEST),
  };
  return { backend, store, readers };
}

/** Replaces a field of a row by its path, and returns the outcome of reading the row. */
async function readDamaged(area: string, path: string, value: unknown): Promise<unknown> {
  const { backend, readers } = await createRows();
  for await (const { key, value: bytes } of backend.list(["default", area])) {
    const row = JSON.parse(new TextDecoder().decode(bytes));
    const steps = path.split(".");
    const last = steps.pop()!;
    const inner = steps.reduce((node, step) => node[step], row);
    if (value === undefined) delete inner[last];
    else inner[last] = value;
    const text = JSON.stringify(row).replaceAll('"huge"', "1e999");
    await backend.atomic([], [
      { type: "set", key, value: new TextEncoder().encode(text), expireIn: 1e9 },
    ]);
  }
  return await readers[area]().then(() => "read", ({ code }) => code);
}

Deno.test("a valid row with an additional field is read", async () => {
  for (const area of ["state", "conversation", "idempotency"]) {
    assert.equal(await readDamaged(area, "more", 1), "read", area);
  }
});

Deno.test("an invalid field is damage", async () => {
  const reference = [
    ...["huge", -1, 0.5, 2 ** 53, 2 ** 40, "5", null].map((value) => ["bytes", value] as const),
    ...["huge", 9e15, "1", null].map((value) => ["expires", value] as const),
    ...[1, null, {}].flatMap((value) => [["id", value], ["sha256", value]] as const),
  ];
  const damage: Record<string, (readonly [string, unknown])[]> = {
    state: [
      ...["turn", "state", "history"].flatMap((part) =>
        reference.map(([field, value]) => [`${part}.${field}`, value] as const)
      ),
      ...["created", "expires"].flatMap((field) =>
        [-1e300, 8.7e15, "huge", "1", null].map((value) => [field, value] as const)
      ),
      ["ttl", "huge"],
      ["tokens", -1],
      ["parent", 5],
      ["open", 1],
      ["model", null],
      ["model.fingerprint", undefined],
      ["version", undefined],
    ],
    conversation: [
      ["head", 5],
      ["head", undefined],
      ["created", "huge"],
      ["metadata", null],
      ["metadata.a", {}],
      ["version", "1"],
    ],
    idempotency: [
      ...reference.map(([field, value]) => [`answer.${field}`, value] as const),
      ["expires", "huge"],
      ["body", null],
      ["owner", 1],
      ["answer", 5],
    ],
  };
  for (const [area, fields] of Object.entries(damage)) {
    for (const [path, value] of fields) {
      const found = await readDamaged(area, path, value);
      assert.equal(found, "state_damaged", `${area} ${path} ${value}`);
    }
  }
});

Deno.test("a wrong blob size is damage that is found before memory is allocated", async () => {
  for (const bytes of [0, 1, 65_536, 65_537, 1024 ** 2, 1024 ** 3]) {
    const before = Deno.memoryUsage().external;
    assert.equal(await readDamaged("state", "state.bytes", bytes), "state_damaged");
    assert.ok(Deno.memoryUsage().external - before < 512 * 1024 ** 2);
  }
});

Deno.test("a row that is not a JSON object is damage", async () => {
  for (const text of ["", "{", "null", "[]", "1", '"x"', "\ufffe", "[".repeat(30_000)]) {
    const { backend, store, readers } = await createRows();
    for (const area of ["state", "conversation", "idempotency", "prefix"]) {
      for await (const { key } of backend.list(["default", area])) {
        await backend.atomic([], [
          { type: "set", key, value: new TextEncoder().encode(text), expireIn: 1e9 },
        ]);
      }
    }
    for (const [area, read] of Object.entries(readers)) {
      await assert.rejects(read, { code: "state_damaged" }, area);
    }
    assert.deepEqual(await Array.fromAsync(store.prefixes.find(["hash"])), []);
  }
});
