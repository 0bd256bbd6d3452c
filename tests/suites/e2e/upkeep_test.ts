/** The backup and upgrade procedures of docs/operations.md, on workers under load. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { slowTest } from "../../support/quick.ts";
import {
  sendMessage,
  startWorkerProcess,
  streamMessage,
  type WorkerProcess,
} from "./worker_process.ts";

const CLIENTS = 4;
const QUESTION = "What is my name?";

/** A completed turn. */
interface CompletedTurn {
  stateId: string;
  /** Completion time from `performance.now()`. */
  at: number;
}

/** Runs a turn, streamed or not. */
async function turn(url: string, message: string, from: { stateId?: string }, streamed: boolean) {
  if (!streamed) return await sendMessage(url, message, from);
  const { stateId, deltas } = await streamMessage(url, message, from);
  return { stateId, text: (await Array.fromAsync(deltas)).join("") };
}

/** Runs clients with conversations until `done`. `take` runs a turn and must not fail. */
async function converse(
  done: () => boolean,
  runTurn: (message: string, from: { stateId?: string }, streamed: boolean) => Promise<string>,
): Promise<CompletedTurn[]> {
  const completed: CompletedTurn[] = [];
  await Promise.all(Array.from({ length: CLIENTS }, async (_, client) => {
    let from: { stateId?: string } = {};
    for (let i = 0; !done(); i++) {
      const message = i % 4 === 0 ? `Hi! My name is Zorvin${client}.` : QUESTION;
      const stateId = await runTurn(message, i % 4 === 0 ? {} : from, (client + i) % 2 === 0);
      from = { stateId };
      completed.push({ stateId, at: performance.now() });
    }
  }));
  return completed;
}

slowTest("a backup of a running worker contains every earlier state", async () => {
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const [kv, copy] = [`${folder}/states.sqlite3`, `${folder}/copy.sqlite3`];
  const expected = new Map<string, string>();
  let began = Infinity;
  {
    await using worker = await startWorkerProcess(kv, { device: "cpu" });
    let [done, turns] = [false, 0];
    const talking = converse(() => done, async (...args) => {
      const { stateId } = await turn(worker.url, ...args);
      turns++;
      return stateId;
    }).finally(() => done = true);
    const until = async (count: number) => {
      while (!done && turns < count) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    // By then, each client has started a conversation and continued it.
    await Promise.race([talking, until(4 * CLIENTS)]);
    began = performance.now();
    vacuumInto(kv, copy);
    await Promise.race([talking, until(turns + CLIENTS)]);
    done = true;
    const completed = await talking;
    const before = completed.filter(({ at }) => at < began);
    assert.ok(before.length >= CLIENTS && before.length < completed.length, `${before.length}`);
    await Promise.all(before.map(async ({ stateId }) => {
      expected.set(
        stateId,
        (await sendMessage(worker.url, QUESTION, { stateId, maxTokens: 8 })).text,
      );
    }));
  }
  await using restored = await startWorkerProcess(copy, { device: "cpu" });
  for (const [stateId, text] of expected) {
    assert.equal((await sendMessage(restored.url, QUESTION, { stateId, maxTokens: 8 })).text, text);
  }
});

slowTest("a rolling restart fails no turn", async () => {
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const start = (port = 0) =>
    startWorkerProcess(`${folder}/states.sqlite3`, {
      device: "cpu",
      flags: ["--port", `${port}`, "--grace", "30"],
    });
  const workers: WorkerProcess[] = await Promise.all([start(), start()]);
  stack.defer(() => Promise.all(workers.map((worker) => worker.kill())).then(() => {}));
  const urls = workers.map(({ url }) => url);
  let next = 0, done = false;
  // Like a load balancer: retries only if the connection was refused, so no request is sent twice.
  const talking = converse(() => done, async (...args) => {
    const first = next++;
    const ask = (i: number) => turn(urls[(first + i) % urls.length], ...args);
    const { stateId } = await ask(0).catch((error) => {
      if (!/Connection refused/.test(`${error.message} ${error.cause?.message}`)) throw error;
      return ask(1);
    });
    return stateId;
  }).finally(() => done = true);
  talking.catch(() => {}); // `await talking` reports a failure.
  for (const [i, url] of urls.entries()) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal(await workers[i].stop(), 0, workers[i].log());
    workers[i] = await start(Number(new URL(url).port));
  }
  done = true;
  const completed = await talking;
  assert.ok(completed.length > 2 * CLIENTS, `${completed.length} turns`);
  for (const { stateId } of completed) {
    const { open } = await (await fetch(`${urls[0]}/v1/states/${stateId}`)).json();
    assert.equal(open, false, "no reply was truncated");
  }
});

/** Same as `sqlite3 FROM "VACUUM INTO 'TO'"`. */
function vacuumInto(from: string, to: string): void {
  const database = new DatabaseSync(from);
  database.exec("PRAGMA busy_timeout = 10000");
  database.exec(`VACUUM INTO '${to}'`);
  database.close();
}
