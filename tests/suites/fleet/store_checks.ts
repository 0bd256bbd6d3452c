/** Checks the store backend against a real server: conformance, and outages of the server. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { CONFORMANCE } from "../../store/backends/conformance.ts";
import { type KvServer, TOKEN } from "./denokv.ts";
import type { Report } from "./report.ts";

/** The backend's timeout in these checks, and its tolerance on a busy machine, in milliseconds. */
const TIMEOUT_MS = 1000;
const MAX_FAILURE_MS = 3000;

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
  const passed = CONFORMANCE.length - failures.length;
  const figure = [`${passed} of ${CONFORMANCE.length}`, ...failures].join("; ");
  report.add("denokv conforms as a backend", figure, failures.length === 0);
}

/** Each check leaves the server running. */
export async function checkOutages(server: KvServer, report: Report): Promise<void> {
  await report.try("a missing or rejected token is reported at start", async () => {
    Deno.env.delete("DENO_KV_ACCESS_TOKEN");
    await failureMs(open(server), "DENO_KV_ACCESS_TOKEN is not set");
    Deno.env.set("DENO_KV_ACCESS_TOKEN", `not-${TOKEN}`);
    await failureMs(open(server), "rejects the access token; set DENO_KV_ACCESS_TOKEN");
    Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
    return "the error names DENO_KV_ACCESS_TOKEN";
  });
  await report.try("a URL without a KV Connect server is reported at start", async () => {
    const elsewhere = DenoKvBackend.open(`${server.url}/elsewhere`, { timeout: TIMEOUT_MS });
    await failureMs(elsewhere, "does not speak KV Connect");
    return "reported";
  });
  await report.try("a server that is down at the start", async () => {
    await server.kill();
    const backend = await open(server);
    const failed = await failureMs(
      backend.get(["t"]),
      "check that a denokv server is running there",
    );
    await server.start();
    return `fails in ${failed} ms, recovers ${await recoveryMs(backend)} ms after the restart`;
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
    return `${entries.length} of 200 writes are stored`;
  });
  await report.try("a server that is killed", async () => {
    const backend = await open(server);
    await server.kill();
    const many = Array.from({ length: 50 }, () => failureMs(backend.get(["t"]), server.url));
    const failed = Math.max(...await Promise.all(many));
    const next = await failureMs(backend.get(["t"]), "check that a denokv server is running there");
    await server.start();
    return `50 reads fail within ${failed} ms, the next in ${next} ms; ` +
      `recovers ${await recoveryMs(backend)} ms after the restart`;
  });
  await report.try("a server that hangs", async () => {
    const backend = await open(server);
    server.pause();
    const write = { type: "set", key: ["t"], value: new Uint8Array(1) } as const;
    const failed = [
      await failureMs(backend.get(["t"]), "has not responded for 1 s"),
      await failureMs(backend.atomic([], [write]), "has not responded for 1 s"),
      await failureMs(Array.fromAsync(backend.list(["t"])), "has not responded for 1 s"),
    ];
    server.resume();
    return `get, write and list fail in ${failed.join(", ")} ms; ` +
      `recovers ${await recoveryMs(backend)} ms after it resumes`;
  });
  await report.try("a server that no longer accepts the token", async () => {
    const backend = await open(server);
    await server.kill();
    await server.start("another-token-of-the-fleet");
    const failed = await failureMs(backend.get(["t"]), "set DENO_KV_ACCESS_TOKEN");
    await server.kill();
    await server.start();
    return `fails in ${failed} ms, recovers ${await recoveryMs(
      backend,
    )} ms after it accepts it again`;
  });
}

function open(server: KvServer): Promise<DenoKvBackend> {
  return DenoKvBackend.open(server.url, { timeout: TIMEOUT_MS });
}

/**
 * Returns the milliseconds until `operation` fails as unavailable with a message that contains
 * `text`.
 */
async function failureMs(operation: Promise<unknown>, text: string): Promise<number> {
  const startedAt = performance.now();
  const error = await operation.then(() => null, (error) => error);
  const took = Math.round(performance.now() - startedAt);
  assert.ok(error instanceof InferenceError, `the operation did not fail: ${error}`);
  assert.equal(error.code, "store_unavailable");
  assert.ok(error.message.includes(text), error.message);
  assert.ok(took <= MAX_FAILURE_MS, `the operation failed only after ${took} ms`);
  return took;
}

/** Returns the milliseconds until the backend recovers, and closes it. */
async function recoveryMs(backend: DenoKvBackend): Promise<number> {
  const startedAt = performance.now();
  for (let error: unknown = null;; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const took = Math.round(performance.now() - startedAt);
    assert.ok(took <= MAX_FAILURE_MS, `the backend does not recover: ${error}`);
    try {
      await backend.get(["t"]);
      backend.close();
      return Math.round(performance.now() - startedAt);
    } catch (failure) {
      error = failure;
    }
  }
}
