/** `deploy/worker.ts` under `deno serve`, as on a host with its own server. */

import assert from "node:assert/strict";
import { continueStreams, type InterruptedStreams, interruptStreams } from "./cut_streams.ts";
import { slowTest } from "../../support/quick.ts";
import { sendMessage } from "./worker_process.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;

/** Starts the server and calls `body` with its URL before the model is loaded. */
async function withServed(
  env: Record<string, string>,
  body: (url: string, stop: () => Promise<number>) => Promise<void>,
): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["serve", "-P=start", "--host", "127.0.0.1", "--port", "0", "deploy/worker.ts"],
    cwd: ROOT,
    env: { RWKV_DEVICE: "cpu", NO_COLOR: "1", ...env },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<string>();
  let log = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      log += text;
      const url = log.match(/Listening on (http:\/\/[\d.]+:\d+)/)?.[1];
      if (url) listening.resolve(url);
    }
    listening.reject(new Error(`the server exited before it listened:\n${log}`));
  })();
  const stop = async () => {
    child.kill("SIGTERM");
    const { code } = await child.status;
    return code;
  };
  try {
    await body(await listening.promise, stop);
  } finally {
    // The process may have exited already.
    try {
      child.kill("SIGKILL");
    } catch (error) {
      assert.ok(error instanceof TypeError, String(error));
    }
    await child.status;
    await reading;
  }
}

async function status(url: string): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}

Deno.test("a fetch handler loads the model with the first request: 204 and 503, then 200", async () => {
  await withServed({ RWKV_KV: ":memory:" }, async (url) => {
    assert.equal(await status(`${url}/ping`), 204);
    assert.equal(await status(`${url}/ready`), 503);
    // A turn waits for the model.
    await sendMessage(url, "Hello!", { maxTokens: 4 });
    assert.equal(await status(`${url}/ready`), 200);
    assert.equal(await status(`${url}/ping`), 200);
  });
});

slowTest("a stopped fetch handler ends its streams, and another one continues them", async () => {
  const kv = `data/serverless-${crypto.randomUUID()}.sqlite3`;
  try {
    let interrupted: InterruptedStreams | undefined;
    await withServed({ RWKV_KV: kv, RWKV_GRACE: "0.1" }, async (url, stop) => {
      interrupted = await interruptStreams(url, stop);
      assert.equal(interrupted.code, 0);
    });
    await withServed({ RWKV_KV: kv }, (url) => continueStreams(url, interrupted!));
  } finally {
    for (const end of ["", "-shm", "-wal"]) await Deno.remove(ROOT + kv + end).catch(() => {});
  }
});

Deno.test("a fetch handler exits without keys on a public address and names a remedy", async () => {
  const start = (env: Record<string, string>) =>
    new Deno.Command(Deno.execPath(), {
      args: ["serve", "-P=start", "--host", "0.0.0.0", "--port", "0", "deploy/worker.ts"],
      cwd: ROOT,
      env: { RWKV_DEVICE: "cpu", NO_COLOR: "1", RWKV_KV: ":memory:", ...env },
      stdout: "null",
      stderr: "piped",
    }).spawn();
  for (const env of [{}, { RWKV_API_KEYS: "ada:0123456789abcdef" }]) {
    const child = start(env);
    let log = "";
    let first: Promise<Response | null> | undefined;
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      log += text;
      const port = log.match(/Listening on http:\/\/0\.0\.0\.0:(\d+)/)?.[1];
      if (!port || first) continue;
      first = fetch(`http://127.0.0.1:${port}/v1/models`).catch(() => null);
      void first.then((answer) => answer && child.kill("SIGKILL"));
    }
    const answer = await first;
    await answer?.body?.cancel();
    const { code } = await child.status;
    if ("RWKV_API_KEYS" in env) assert.equal(answer?.status, 401);
    else {
      assert.equal(answer, null);
      assert.equal(code, 1);
      assert.match(log, /Cannot serve on 0\.0\.0\.0 without keys/);
    }
  }
});
