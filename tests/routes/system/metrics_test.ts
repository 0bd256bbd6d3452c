/** `/metrics` after turns with known token counts. */

import assert from "node:assert/strict";
import { ids } from "../../session/fixtures.ts";
import { errorOf, HI, post, type TestApp, testApp } from "../fixtures.ts";

/** Returns the metric values by name and labels. */
async function metricsOf({ app }: TestApp): Promise<Record<string, number>> {
  const response = await app.request("/metrics");
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const found: Record<string, number> = {};
  for (const line of (await response.text()).split("\n")) {
    if (line === "" || /^# (HELP|TYPE) (rwkv:|process_)\w+ \S/.test(line)) continue;
    const parts = line.match(/^([a-z_:0-9]+(?:\{(?:\w+="[^"]*",?)+\})?) (\S+)$/);
    assert.ok(parts, line);
    found[parts[1]] = Number(parts[2]);
  }
  return found;
}

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

Deno.test("tokens and turns in metrics equal the usage in responses", async () => {
  const it = testApp({ script: ids(" Hello wörld.\n\n") });
  const usages: Usage[] = [];
  const turn = async (body: object) => {
    const response = await post(it.app, { ...HI, ...body });
    const answered = await response.json();
    assert.equal(response.status, 200, JSON.stringify(answered));
    usages.push(answered.usage);
    return answered.state_id;
  };
  const first = await turn({});
  await turn({ state_id: first });
  const short = await turn({ max_tokens: 2 });
  await turn({ state_id: short, messages: [] });
  await turn({ n: 3 });
  const stream = await post(it.app, {
    ...HI,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = (await stream.text()).trim().split("\n\n").slice(0, -1);
  usages.push(JSON.parse(chunks.at(-1)!.slice("data: ".length)).usage);

  const sum = (of: (usage: Usage) => number) => usages.reduce((all, usage) => all + of(usage), 0);
  const metrics = await metricsOf(it);
  assert.equal(metrics["rwkv:prompt_tokens_total"], sum((usage) => usage.prompt_tokens));
  assert.equal(metrics["rwkv:generation_tokens_total"], sum((usage) => usage.completion_tokens));
  assert.equal(
    metrics["rwkv:cached_prompt_tokens_total"],
    sum((usage) => usage.prompt_tokens_details.cached_tokens),
  );
  assert.ok(metrics["rwkv:cached_prompt_tokens_total"] > 0);
  const success = (how: string) => metrics[`rwkv:request_success_total{finished_reason="${how}"}`];
  assert.deepEqual([success("stop"), success("length"), success("abort")], [7, 1, 0]);
  assert.equal(metrics["rwkv:request_failure_total"], 0);
  assert.equal(metrics["rwkv:requests_received_total"], 8);
  assert.equal(metrics["rwkv:num_requests_in_progress"], 0);
  for (const name of ["e2e_request_latency", "time_to_first_token", "request_queue_time"]) {
    assert.equal(metrics[`rwkv:${name}_seconds_count`], 8, name);
  }
  assert.equal(
    metrics["rwkv:inter_token_latency_seconds_count"],
    sum((usage) => usage.completion_tokens) - 8,
  );
  assert.equal(metrics["rwkv:state_save_seconds_count"], 8);
  assert.ok(metrics["rwkv:state_save_bytes_total"] > 0);
  assert.equal(metrics['rwkv:state_load_seconds_count{from="store"}'], 2);
  const answers = (status: number) =>
    metrics[
      "rwkv:http_request_duration_seconds_count" +
      `{method="POST",route="/v1/chat/completions",status="${status}"}`
    ];
  assert.equal(answers(200), 6);
  await errorOf(post(it.app, { messages: 5 }), 400, "invalid_value");
  assert.equal((await metricsOf(it))["rwkv:request_failure_total"], 0);
});

Deno.test("failed, cancelled and unstored turns are counted, and clients cannot create label values", async () => {
  let fails = true;
  const before = () => {
    if (fails) throw new TypeError("secret");
  };
  const it = testApp({ before, script: ids(" Hello\n\n") });
  await errorOf(post(it.app, HI), 500, "internal_error");
  fails = false;
  const controller = new AbortController();
  controller.abort();
  await post(it.app, HI, { signal: controller.signal });
  await it.app.request(`/${crypto.randomUUID()}`);
  await it.app.request("/v1/chat/completions", { method: "BREW" });
  await it.app.request("/v1/models/default");
  const metrics = await metricsOf(it);
  assert.equal(metrics["rwkv:request_failure_total"], 1);
  assert.equal(metrics["rwkv:generation_tokens_total"], 0);
  const routes = Object.keys(metrics).filter((name) =>
    name.includes("http_request") && name.includes("_count")
  );
  assert.ok(routes.some((name) => name.includes('route="other",status="404"')), routes.join("\n"));
  assert.ok(routes.some((name) => name.includes('method="other"')));
  assert.ok(
    routes.some((name) => name.includes('route="/v1/models/{id}"')),
    routes.join("\n"),
  );
});

Deno.test("received turns equal rejected plus finished plus running turns", async () => {
  const held = Promise.withResolvers<void>();
  let fails = false;
  const it = testApp({
    script: ids(" Hello\n\n"),
    before: async () => {
      if (fails) throw new TypeError("secret");
      await held.promise;
    },
  });
  const turns = async () => {
    const metrics = await metricsOf(it);
    const of = (name: string) => metrics[`rwkv:${name}`] ?? 0;
    return {
      received: of("requests_received_total"),
      unknown: of('requests_rejected_total{code="state_not_found"}'),
      finished: of('request_success_total{finished_reason="stop"}'),
      failed: of("request_failure_total"),
      inProgress: of("num_requests_in_progress"),
    };
  };
  const unknown = { ...HI, state_id: `state_${"0".repeat(48)}` };
  await errorOf(post(it.app, { ...unknown, n: 2 }), 400, "state_not_found");
  const running = [post(it.app, { ...HI, n: 2 }), post(it.app, HI)];
  while ((await turns()).inProgress < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(await turns(), {
    received: 5,
    unknown: 2,
    finished: 0,
    failed: 0,
    inProgress: 3,
  });
  held.resolve();
  await Promise.all(running.map(async (answer) => (await answer).body?.cancel()));
  fails = true;
  await errorOf(post(it.app, HI), 500, "internal_error");
  // Requests that are not turns are not counted as received.
  await errorOf(post(it.app, { messages: 5 }), 400, "invalid_value");
  assert.deepEqual(await turns(), {
    received: 6,
    unknown: 2,
    finished: 3,
    failed: 1,
    inProgress: 0,
  });
});
