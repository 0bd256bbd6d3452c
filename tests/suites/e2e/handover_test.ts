/** Several workers on one SQLite file with conversations that change workers after each turn. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { slowTest } from "../../support/quick.ts";
import {
  sendMessage,
  startWorkerProcess,
  streamMessage,
  type WorkerProcess,
} from "./worker_process.ts";

const TURNS = ["Hi! My name is Zorvin.", "What is 3 + 4?", "Tell me a story.", "What is my name?"];
const CONVERSATIONS = 8;

/**
 * Runs a conversation and returns the replies. `workerOf` selects the worker of a turn. Every other
 * turn is streamed.
 */
async function converse(i: number, workerOf: (turn: number) => WorkerProcess): Promise<string[]> {
  const texts: string[] = [];
  let stateId: string | undefined;
  for (const [turn, question] of TURNS.entries()) {
    const from = stateId === undefined ? {} : { stateId };
    const message = `${question} It is the ${i + 3}rd day.`;
    const { url } = workerOf(turn);
    if ((i + turn) % 2 === 0) {
      const reply = await sendMessage(url, message, from);
      texts.push(reply.text);
      stateId = reply.stateId;
    } else {
      const stream = await streamMessage(url, message, from);
      texts.push((await Array.fromAsync(stream.deltas)).join(""));
      stateId = stream.stateId;
    }
  }
  return texts;
}

slowTest("three workers share conversations in one file that another process locks", async () => {
  const folder = await Deno.makeTempDir();
  const kv = `${folder}/states.sqlite3`;
  const options = { device: "cpu", flags: ["--state-cache", "0"] } as const;
  const [one, two, three, alone] = await Promise.all(
    [kv, kv, kv, `${kv}-alone`].map((path) => startWorkerProcess(path, options)),
  );
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  for (const worker of [one, two, three, alone]) stack.use(worker);

  const workers = [one, two, three];
  let done = false;
  const locking = (async () => {
    const other = new DatabaseSync(kv);
    for (; !done; await new Promise((resolve) => setTimeout(resolve, 200))) {
      other.exec("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE");
      await new Promise((resolve) => setTimeout(resolve, 200));
      other.exec("COMMIT");
    }
    other.close();
  })();
  const all = (workerOf: (i: number, turn: number) => WorkerProcess) =>
    Promise.all(
      Array.from({ length: CONVERSATIONS }, (_, i) => converse(i, (turn) => workerOf(i, turn))),
    );
  const handedOn = await all((i, turn) => workers[(i + turn) % 3]).finally(() => done = true);
  await locking;
  const uninterrupted = await all(() => alone);
  assert.deepEqual(handedOn, uninterrupted);
});
