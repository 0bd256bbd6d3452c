/** The store's backend over a real server: conformance, and a server that comes and goes. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { CONFORMANCE } from "../../store/backends/conformance.ts";
import { type KvServer, TOKEN } from "./denokv.ts";
import type { Report } from "./report.ts";

/** Milliseconds of an operation at most, here; and what they may come to on a busy machine. */
const TIMEOUT_MS = 1000;
const LATE_MS = 3000;

export async function checkConformance(server: KvServer, report: Report): Promise<void> {
  const failures: string[] = [];
  const kv = await Deno.openKv(server.url);
  for (const { title, run } of CONFORMANCE) {
    for await (const { key } of kv.list({ prefix: [] })) await kv.delete(key);
    const backend = await DenoKvBackend.open(server.url);
    await run(backend).catch((error) => failures.push(`${title}: ${error.message}`));
    backend.close();
  }
  kv.close();
  const held = CONFORMANCE.length - failures.length;
  const figure = [`${held} of ${CONFORMANCE.length}`, ...failures].join("; ");
  report.add("denokv conforms as a backend", figure, failures.length === 0);
}

/** All of them end with the server running. */
export async function checkTroubles(server: KvServer, report: Report): Promise<void> {
  await report.try("a token that is missing or refused is told at the start", async () => {
    Deno.env.delete("DENO_KV_ACCESS_TOKEN");
    await fails(open(server), "DENO_KV_ACCESS_TOKEN is not set");
    Deno.env.set("DENO_KV_ACCESS_TOKEN", `not-${TOKEN}`);
    await fails(open(server), "refuses the access token; set DENO_KV_ACCESS_TOKEN");
    Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
    return "DENO_KV_ACCESS_TOKEN is named";
  });
  await report.try("a URL that is no KV Connect server is told at the start", async () => {
    const elsewhere = DenoKvBackend.open(`${server.url}/elsewhere`, { timeout: TIMEOUT_MS });
    await fails(elsewhere, "no KV Connect server");
    return "it is told";
  });
  await report.try("a server that is down at the start", async () => {
    await server.kill();
    const backend = await open(server);
    const failed = await fails(backend.get(["t"]), "see that a denokv server runs there");
    await server.start();
    return `fails in ${failed} ms, works ${await works(backend)} ms after it is up`;
  });
  await report.try("a server that restarts in the middle of writes", async () => {
    const backend = await DenoKvBackend.open(server.url);
    const writes = Array.from(
      { length: 200 },
      (_, i) =>
        backend.atomic([], [{ type: "set", key: ["t", i], value: new Uint8Array(60_000).fill(i) }]),
    );
    const written = Promise.all(writes);
    await Promise.race(writes);
    await server.kill();
    await server.start();
    assert.ok((await written).every((versionstamp) => versionstamp !== null));
    const entries = await Array.fromAsync(backend.list(["t"], { range: [0, 200] }));
    assert.deepEqual(entries.map(({ value }) => value[0]), [...Array(200).keys()]);
    backend.close();
    return `${entries.length} of 200 writes are there`;
  });
  await report.try("a server that goes away", async () => {
    const backend = await open(server);
    await server.kill();
    const many = Array.from({ length: 50 }, () => fails(backend.get(["t"]), server.url));
    const failed = Math.max(...await Promise.all(many));
    const next = await fails(backend.get(["t"]), "see that a denokv server runs there");
    await server.start();
    return `50 reads fail within ${failed} ms, the next in ${next} ms; ` +
      `works ${await works(backend)} ms after it is up`;
  });
  await report.try("a server that hangs", async () => {
    const backend = await open(server);
    server.pause();
    const write = { type: "set", key: ["t"], value: new Uint8Array(1) } as const;
    const failed = [
      await fails(backend.get(["t"]), "has not responded for 1 s"),
      await fails(backend.atomic([], [write]), "has not responded for 1 s"),
      await fails(Array.fromAsync(backend.list(["t"])), "has not responded for 1 s"),
    ];
    server.resume();
    return `get, write and list fail in ${failed.join(", ")} ms; ` +
      `works ${await works(backend)} ms after it goes on`;
  });
  await report.try("a server that no longer takes the token", async () => {
    const backend = await open(server);
    await server.kill();
    await server.start("another-token-of-the-fleet");
    const failed = await fails(backend.get(["t"]), "set DENO_KV_ACCESS_TOKEN");
    await server.kill();
    await server.start();
    return `fails in ${failed} ms, works ${await works(backend)} ms after it takes it again`;
  });
}

function open(server: KvServer): Promise<DenoKvBackend> {
  return DenoKvBackend.open(server.url, { timeout: TIMEOUT_MS });
}

/** Milliseconds until `operation` fails as unavailable, and with `text`. */
async function fails(operation: Promise<unknown>, text: string): Promise<number> {
  const began = performance.now();
  const error = await operation.then(() => null, (error) => error);
  const took = Math.round(performance.now() - began);
  assert.ok(error instanceof InferenceError, `it did not fail: ${error}`);
  assert.equal(error.code, "store_unavailable");
  assert.ok(error.message.includes(text), error.message);
  assert.ok(took <= LATE_MS, `it failed after ${took} ms only`);
  return took;
}

/** Milliseconds until the backend works by itself; closes it. */
async function works(backend: DenoKvBackend): Promise<number> {
  const began = performance.now();
  for (let error: unknown = null;; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const took = Math.round(performance.now() - began);
    assert.ok(took <= LATE_MS, `it does not work again: ${error}`);
    try {
      await backend.get(["t"]);
      backend.close();
      return Math.round(performance.now() - began);
    } catch (failure) {
      error = failure;
    }
  }
}
