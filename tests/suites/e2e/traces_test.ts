/** Traces and log of a real worker, with a collector on the loopback interface. */

import assert from "node:assert/strict";
import { collector } from "./collector.ts";
import { chatBody, startWorkerProcess } from "./worker_process.ts";

/** The spans of a turn that are exported last. */
const WHOLE = ["turn", "POST /v1/chat/completions"];

async function turn(url: string, trace: string, body: object) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { traceparent: `00-${trace}-b7ad6b7169203331-01`, "x-request-id": `req-${trace}` },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  return await response.json();
}

Deno.test("the spans of a turn are nested in its request within the client's trace", async () => {
  const folder = await Deno.makeTempDir();
  const kv = `${folder}/states.sqlite3`;
  const { env, ...spans } = collector();
  const traces = ["0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"];
  try {
    const first = await startWorkerProcess(kv, { device: "cpu", env });
    const { state_id } = await turn(first.url, traces[0], chatBody("Hi! My name is Ada."));
    const firstSpans = await spans.of(traces[0], WHOLE);
    await first.kill();
    await using second = await startWorkerProcess(kv, { device: "cpu", env });
    await turn(second.url, traces[1], { ...chatBody("What is my name?"), state_id });
    const resumed = await spans.of(traces[1], WHOLE);
    for (const [i, found] of [firstSpans, resumed].entries()) {
      const [turnSpan] = found.filter(({ name }) => name === "turn");
      const [request] = found.filter(({ spanId }) => spanId === turnSpan.parentSpanId);
      assert.equal(request.parentSpanId, "b7ad6b7169203331");
      const named = request.attributes.find(({ key }) => key === "rwkv.request_id");
      assert.equal(named?.value.stringValue, `req-${traces[i]}`);
      const parts = found.filter(({ parentSpanId }) => parentSpanId === turnSpan.spanId);
      const names = ["queue", ...i === 0 ? [] : ["state load"], "prefill", "decode", "state save"];
      assert.deepEqual(parts.map(({ name }) => name).sort(), names.sort());
      for (const part of parts) {
        assert.ok(BigInt(part.startTimeUnixNano) >= BigInt(turnSpan.startTimeUnixNano), part.name);
        assert.ok(BigInt(part.endTimeUnixNano) <= BigInt(turnSpan.endTimeUnixNano), part.name);
      }
    }
    // The logs contain the requests of both workers, but nothing that could resume a conversation.
    for (const worker of [first, second]) {
      const lines = worker.log().trim().split("\n").filter((line) => line.startsWith("{"));
      const [answered] = lines.map((line) => JSON.parse(line))
        .filter(({ message }) => message === "Request completed");
      assert.equal(answered.route, "/v1/chat/completions");
      assert.equal(answered.status, 200);
      assert.match(answered.request, /^req-/);
      assert.doesNotMatch(worker.log(), /Ada|my name|state_[0-9a-f]{12}/);
    }
  } finally {
    await spans.close();
    await Deno.remove(folder, { recursive: true });
  }
});
