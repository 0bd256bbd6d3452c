/** Waiting: the page shows that the worker is busy, requires a key or is not ready, and retries. */

import assert from "node:assert/strict";
import { startWorkerProcess } from "../e2e/worker_process.ts";
import { BrowserFixture } from "./fixture.ts";
import { Visit } from "./visit.ts";

const fixture = BrowserFixture.forTests({ flags: ["--slots", "1", "--queue", "1"] });

Deno.test("the page shows that the worker is busy, and sends the message automatically later", async () => {
  const busy = new AbortController();
  const others = await Promise.all([occupy(busy.signal), occupy(busy.signal)]);
  await using visit = await fixture.visit({ expected: /status of 503/ });
  await visit.send("Hi! My name is Ada.");
  await visit.page.getByRole("alert").getByText("The worker is busy.").waitFor();
  await visit.page.getByText(/^Retrying in \d+ s$/).waitFor();
  await visit.screenshot("busy");
  await visit.assertAccessible();
  busy.abort();
  await Promise.allSettled(others.map(({ body }) => body?.cancel()));
  await visit.waitForTurns(1);
  assert.match(await visit.reply(), /Ada/);
  assert.equal(await visit.page.locator("#banner").isVisible(), false);
});

Deno.test("the page asks for a required key, and then sends the message with it", async () => {
  const { url } = fixture.worker;
  await using proxy = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    const open = !pathname.startsWith("/v1/");
    if (!open && request.headers.get("authorization") !== "Bearer right") {
      return Response.json({ error: { message: "No key" } }, { status: 401 });
    }
    const { method, body, signal } = request;
    return fetch(`${url}${pathname}`, { method, body, signal });
  });
  const address = `http://127.0.0.1:${proxy.addr.port}/`;
  await using visit = await Visit.begin(fixture.browser, address, { expected: /status of 401/ });
  const { page } = visit;
  const field = page.getByLabel("API key", { exact: true });
  assert.equal(await field.isVisible(), false);
  await visit.send("Hi! My name is Ada.");
  await page.getByText("The worker requires an API key.").waitFor();
  await visit.screenshot("key");
  await visit.assertAccessible();
  await field.fill("wrong");
  await field.press("Enter");
  await page.getByText("The worker rejected this API key.").waitFor();
  await field.fill("right");
  await field.press("Enter");
  await visit.waitForTurns(1);
  assert.match(await visit.reply(), /Ada/);
  assert.equal(await field.isVisible(), false);
  // The key is stored for this tab.
  await page.reload();
  await visit.waitForTurns(1);
});

Deno.test("the page shows that the model is loading, and that the worker is unreachable", async () => {
  const shutdown = new AbortController();
  const port = freePort();
  const kv = await Deno.makeTempFile({ suffix: ".sqlite3" });
  const flags = ["--port", `${port}`, "--shape", "0.1b"];
  const worker = startWorkerProcess(kv, { device: "cpu", flags, signal: shutdown.signal });
  const killed = assert.rejects(worker, /exited before it was ready/);
  const address = `http://127.0.0.1:${port}/`;
  try {
    while (!await isReachable(address)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await using visit = await Visit.begin(fixture.browser, address, {
      expected: /net::ERR_/,
    });
    await visit.page.getByText(/^Loading the model: \d+ %$/).waitFor();
    await visit.page.getByText(/are answered when it is ready/).waitFor();
    await visit.screenshot("starting");
    shutdown.abort();
    await killed;
    await visit.page.getByText("The worker cannot be reached").waitFor();
  } finally {
    shutdown.abort();
    await killed;
    await Deno.remove(kv);
  }
});

/** Starts a reply that runs until the signal aborts. */
async function occupy(signal: AbortSignal): Promise<Response> {
  const response = await fetch(`${fixture.worker.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({
      messages: [{ role: "user", content: "Tell me a story." }],
      frequency_penalty: -2,
      repetition_penalty: 0.1,
      max_tokens: 100_000,
      stream: true,
    }),
    signal,
  });
  assert.equal(response.status, 200);
  return response;
}

async function isReachable(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).body?.cancel();
    return true;
  } catch {
    return false;
  }
}

function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}
