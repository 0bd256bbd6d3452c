/**
 * API keys with real workers: when a worker refuses to start, when it requires keys, and which data
 * it never reveals.
 */

import assert from "node:assert/strict";
import { rwkv } from "../cli/shared_cli.ts";
import { slowTest } from "../../support/quick.ts";
import { startWorkerProcess, type WorkerProcess } from "./worker_process.ts";

/** Part of every key and prompt. Must not appear in any output. */
const MARK = "xylophon";

/** Milliseconds to wait for a status, enough for a busy machine. */
const TIMEOUT_MS = 60_000;

async function withStore(use: (kv: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/states.sqlite3`, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function newKey(kv: string, tenant: string): Promise<{ id: string; key: string }> {
  const args = ["keys", "create", "--tenant", tenant, "--kv", kv, "--json"];
  const { code, stdout, stderr } = await rwkv(args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

function sendChat(
  { url }: WorkerProcess,
  key: string | null,
  body: object = {},
): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
    body: JSON.stringify({
      messages: [{ role: "user", content: `Hi, I am ${MARK}.` }],
      max_tokens: 4,
      ...body,
    }),
  });
}

async function status(answer: Promise<Response>): Promise<number> {
  const { status, body } = await answer;
  await body?.cancel();
  return status;
}

/**
 * Repeats a request until it has the expected status. Tests with a fake clock cover the exact
 * timing.
 */
async function until(expected: number, send: () => Promise<Response>): Promise<void> {
  const end = performance.now() + TIMEOUT_MS;
  for (let last = 0; last !== expected;) {
    assert.ok(performance.now() < end, `status ${last} after ${TIMEOUT_MS} ms`);
    last = await status(send());
    if (last !== expected) await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

Deno.test("a worker refuses to start without keys on a public address and names a remedy", async () => {
  await withStore(async (kv) => {
    const start = (env: Record<string, string> = {}, host = "0.0.0.0") =>
      rwkv(["serve", "--host", host, "--port", "0", "--device", "cpu", "--kv", kv], "", { env });
    for (const host of ["0.0.0.0", "::"]) {
      const { code, stderr } = await start({}, host);
      assert.equal(code, 2, stderr);
      const message =
        `Cannot serve on ${host} without keys: other machines could use this worker; `;
      assert.ok(stderr.includes(message), stderr);
      assert.match(stderr, /`deno task rwkv keys create`, or .*--open \(RWKV_OPEN=1\)/);
    }
    assert.equal((await start({ RWKV_OPEN: "0" })).code, 2);
    const wrong = await start({ RWKV_API_KEYS: `ada:${MARK}` });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /entry 1 of RWKV_API_KEYS: its key has 8 characters/);
    assert.ok(!wrong.stderr.includes(MARK));
    const missing = await start({ RWKV_KEYS: "/nowhere/keys.txt" });
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /Cannot read the keys in \/nowhere\/keys\.txt/);
  });
});

slowTest(
  "a worker starts on a public address with --open or with a key from any source",
  async () => {
    await withStore(async (kv, folder) => {
      const file = `${folder}/keys.txt`;
      const created = await rwkv(["keys", "create", "--tenant", "filed", "--file", file]);
      const listed = created.stdout.trim();
      const key = `0123456789${MARK}`;
      const cases = [
        [{ RWKV_OPEN: "1" }, null],
        [{ RWKV_API_KEYS: `ada:${key}` }, key],
        [{ RWKV_KEYS: file }, listed],
        [{}, (await newKey(kv, "ada")).key],
      ] as const;
      // A key in the store disables access without a key, so the last case has its own store.
      await Promise.all(cases.map(async ([env, key], i) => {
        const at = i === cases.length - 1 ? kv : `${folder}/${i}.sqlite3`;
        const options = { device: "cpu", flags: ["--host", "0.0.0.0"], env } as const;
        await using worker = await startWorkerProcess(at, options);
        assert.equal(
          /No API key exists: every client that reaches 0\.0\.0\.0/.test(worker.log()),
          key === null,
        );
        assert.equal(await status(sendChat(worker, null)), key === null ? 200 : 401);
        assert.equal(await status(sendChat(worker, key)), 200);
      }));
    });
  },
);

slowTest(
  "a running worker requires a key once one exists and rejects a revoked key",
  async () => {
    await withStore(async (kv) => {
      const env = { RWKV_METRICS_TOKEN: `token-${MARK}` };
      await using worker = await startWorkerProcess(kv, { device: "cpu", env });
      const before = await sendChat(worker, null);
      const { state_id: openState } = await before.json();
      assert.equal(before.status, 200);
      const [ada, bob] = [await newKey(kv, "ada"), await newKey(kv, "bob")];
      await until(401, () => sendChat(worker, null));
      const { state_id } = await (await sendChat(worker, ada.key)).json();
      assert.equal(await status(sendChat(worker, ada.key, { state_id })), 200);
      assert.equal(await status(sendChat(worker, bob.key, { state_id })), 400);
      assert.equal(await status(sendChat(worker, ada.key, { state_id: openState })), 400);
      // Another key of the same tenant can resume the state.
      const second = await newKey(kv, "ada");
      assert.equal(await status(sendChat(worker, second.key, { state_id })), 200);
      const { code } = await rwkv(["keys", "revoke", ada.id, "--kv", kv]);
      assert.equal(code, 0);
      await until(401, () => sendChat(worker, ada.key));
      assert.equal(await status(sendChat(worker, second.key, { state_id })), 200);
      assert.equal(await status(fetch(`${worker.url}/metrics`)), 401);
      await worker.stop();
    });
  },
);

Deno.test("a tenant at its turn limit does not block other tenants", async () => {
  await withStore(async (kv) => {
    const env = { RWKV_API_KEYS: "ada:0123456789abcdef,bob:fedcba9876543210" };
    const flags = ["--turns-per-key", "2"];
    await using worker = await startWorkerProcess(kv, { device: "cpu", env, flags });
    const [ada, bob] = ["0123456789abcdef", "fedcba9876543210"];
    const endless = { stream: true, max_tokens: 20_000, logit_bias: { 0: -100 }, stop: [] };
    const disconnect = new AbortController();
    const streams = await Promise.all([1, 2].map(() =>
      fetch(`${worker.url}/v1/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${ada}` },
        body: JSON.stringify({ prompt: "Once", ...endless }),
        signal: disconnect.signal,
      })
    ));
    assert.deepEqual(streams.map(({ status }) => status), [200, 200]);
    const refused = await sendChat(worker, ada);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.equal((await refused.json()).error.code, "too_many_turns");
    assert.equal(await status(sendChat(worker, bob)), 200);
    const many = await sendChat(worker, bob, { n: 3 });
    assert.equal(many.status, 400);
    assert.match((await many.json()).error.message, /^n: 3 choices/);
    disconnect.abort();
    await Promise.allSettled(streams.map(({ body }) => body?.cancel()));
    await until(200, () => sendChat(worker, ada));
  });
});

Deno.test("logs, errors and metrics contain no key and no prompt", async () => {
  await withStore(async (kv) => {
    const keys = { ada: `ada-key-${MARK}`, bob: `bob-key-${MARK}` };
    const env = {
      RWKV_API_KEYS: `ada:${keys.ada},bob:${keys.bob}`,
      RWKV_METRICS_TOKEN: `token-${MARK}`,
    };
    await using worker = await startWorkerProcess(kv, { device: "cpu", env });
    const stored = await newKey(kv, "ada");
    const wrong = `wrong-key-${MARK}`;
    const outputs: string[] = [];
    const record = async (answer: Response) => {
      outputs.push(JSON.stringify([...answer.headers]), await answer.text());
      return answer.status;
    };
    const statuses: number[] = [];
    for (const key of [keys.ada, stored.key, wrong, null]) {
      const headers = key === null
        ? []
        : [["authorization", `Bearer ${key}`]] as [string, string][];
      const get = (path: string, also: [string, string][] = []) =>
        fetch(worker.url + path, { headers: [...headers, ...also] }).then(record);
      statuses.push(
        await sendChat(worker, key).then(({ status, body }) => {
          void body?.cancel();
          return status;
        }),
      );
      // Requests with client errors of every kind.
      statuses.push(await record(await sendChat(worker, key, { max_tokens: -2 })));
      statuses.push(
        await record(await sendChat(worker, key, { state_id: `state_${"0".repeat(48)}` })),
      );
      statuses.push(await record(await sendChat(worker, key, { model: "other" })));
      statuses.push(await get("/v1/nothing"), await get("/nothing"), await get("/metrics"));
      const big = { messages: [{ role: "user", content: `${MARK} `.repeat(40_000) }] };
      statuses.push(await record(await sendChat(worker, key, big)));
    }
    const refused = [401, 401, 401, 401, 401, 404, 401, 401];
    const served = [200, 400, 400, 404, 404, 404, 401, 400];
    assert.deepEqual(statuses, [...served, ...served, ...refused, ...refused]);
    const authorization = `Bearer token-${MARK}`;
    const metrics = await fetch(`${worker.url}/metrics`, { headers: { authorization } });
    assert.equal(await record(metrics), 200);
    assert.equal(await worker.stop(), 0);
    const texts = [...outputs, worker.log()];
    assert.ok(worker.log().includes('"route":"/v1/chat/completions"'));
    for (const secret of [MARK, stored.key, stored.key.slice(5)]) {
      for (const text of texts) {
        const at = text.indexOf(secret);
        assert.equal(at, -1, text.slice(Math.max(0, at - 200), at + 200));
      }
    }
  });
});
