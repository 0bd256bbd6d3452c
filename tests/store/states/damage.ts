/** What may happen to a stored state, done to the rows of Deno KV, and how a worker tells of it. */

import assert from "node:assert/strict";

/** A state that is harmed, and another one. */
export interface Harmed {
  id: string;
  other: string;
}

export interface Damage {
  name: string;
  harm: (kv: Deno.Kv, states: Harmed) => Promise<unknown>;
  /** Of an error `state_damaged`. */
  message: RegExp;
}

export const DAMAGES: readonly Damage[] = [
  {
    name: "a flipped bit in a chunk",
    harm: async (kv, { id }) => {
      const chunk = await chunkOf(kv, id, 1);
      chunk.value[77] ^= 1;
      await kv.set(chunk.key, chunk.value);
    },
    message: /Cannot read the \d+ bytes of blob "\w+": its checksum differs/,
  },
  {
    name: "a missing chunk",
    harm: async (kv, { id }) => await kv.delete((await chunkOf(kv, id, 1)).key),
    message: /Cannot read the \d+ bytes of blob "\w+": 1 of \d+ chunks are missing/,
  },
  {
    name: "a manifest of a future version",
    harm: async (kv, { id }) => {
      const manifest = { ...await manifestOf(kv, id), version: 2 };
      await kv.set(["default", "state", id], new TextEncoder().encode(JSON.stringify(manifest)));
    },
    message: /Cannot read state "\w+": its manifest has version 2 and this worker reads version 1/,
  },
  {
    name: "a chunk of another state in its place",
    harm: async (kv, { id, other }) => {
      const [own, foreign] = [await chunkOf(kv, id, 0), await chunkOf(kv, other, 0)];
      assert.equal(own.value.length, foreign.value.length);
      await kv.set(own.key, foreign.value);
    },
    message: /Cannot read the \d+ bytes of blob "\w+": its checksum differs/,
  },
];

async function manifestOf(kv: Deno.Kv, id: string): Promise<{ state: { id: string } }> {
  const { value } = await kv.get<Uint8Array>(["default", "state", id]);
  return JSON.parse(new TextDecoder().decode(value!));
}

async function chunkOf(kv: Deno.Kv, id: string, index: number) {
  const { state } = await manifestOf(kv, id);
  const { key, value } = await kv.get<Uint8Array>(["default", "blob", state.id, index]);
  assert.ok(value, `state ${id} has no chunk ${index}`);
  return { key, value };
}
