/** A worker process that loses its GPU during generation. */

import assert from "node:assert/strict";
import { slowTest } from "../../support/quick.ts";
import { chatBody, sendMessage, startWorkerProcess } from "./worker_process.ts";

const CLIENTS = 8;

interface BrokenStream {
  status: number;
  stateId: string;
  text: string;
  /** Data of the last event. */
  last: string;
}

/** Reads a streamed reply to its end, whether it succeeds or not. */
async function stream(
  url: string,
  message: string,
  { stateId, onText }: { stateId: string; onText: () => void },
): Promise<BrokenStream> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify(chatBody(message, { stateId, stream: true, maxTokens: 500 })),
  });
  let [text, last, rest] = ["", "", ""];
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      if (event.startsWith(":")) continue;
      last = event.replace(/^data: /, "");
      const { choices } = last === "[DONE]" ? { choices: [] } : JSON.parse(last);
      text += choices?.[0]?.delta.content ?? "";
      if (text.length > 5) onText();
    }
  }
  assert.equal(rest, "");
  const { status, headers } = response;
  return { status, stateId: headers.get("x-state-id")!, text, last };
}

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((line) => line.startsWith(`rwkv:${name} `));
  return Number(line?.split(" ")[1]);
}

slowTest(
  "after the GPU is lost during eight streams, all end and can be resumed once the worker is ready",
  async () => {
    const folder = await Deno.makeTempDir();
    await using worker = await startWorkerProcess(`${folder}/states.sqlite3`, {
      device: "webgpu",
      main: "tests/support/faults/faulty_worker.ts",
    });
    const { url } = worker;
    const questions = Array.from({ length: CLIENTS }, (_, i) => {
      return `Tell me a story about a dragon. It is ${i + 3} years old.`;
    });
    const before = await Promise.all(
      questions.map(() => sendMessage(url, "Hi! My name is Zorvin.")),
    );
    const uninterrupted = await Promise.all(
      questions.map((question, i) =>
        sendMessage(url, question, { stateId: before[i].stateId, maxTokens: 500 })
      ),
    );

    const writing = new Set<number>();
    let lost = false;
    const streams = await Promise.all(questions.map((question, i) =>
      stream(url, question, {
        stateId: before[i].stateId,
        onText: () => {
          writing.add(i);
          if (lost || writing.size < CLIENTS) return;
          lost = true;
          worker.send("SIGUSR1");
        },
      })
    ));
    assert.ok(lost, "all streams were generating");
    for (const { status, stateId, last } of streams) {
      assert.equal(status, 200);
      const { error, state_id } = JSON.parse(last);
      assert.deepEqual([error.code, state_id], ["device_lost", stateId]);
    }

    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      const ready = await fetch(`${url}/ready`);
      const { status, reason } = await ready.json();
      if (ready.status === 200) break;
      assert.deepEqual([ready.status, status], [503, "rebuilding"]);
      assert.match(reason, /^The GPU was lost/);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await Promise.all(streams.map(async ({ stateId, text }, i) => {
      // Continue the interrupted reply from its state, and repeat the turn from the previous state.
      const continued = await sendMessage(url, null, { stateId, maxTokens: 500 });
      assert.equal(continued.text, uninterrupted[i].text);
      assert.ok(continued.text.startsWith(text), `${text} | ${continued.text}`);
      const repeated = await sendMessage(url, questions[i], {
        stateId: before[i].stateId,
        maxTokens: 500,
      });
      assert.equal(repeated.text, uninterrupted[i].text);
      const name = await sendMessage(url, "What is my name?", { stateId: continued.stateId });
      assert.match(name.text, /Zorvin/);
    }));
    assert.equal(await metric(url, "device_losses_total"), 1);
    assert.equal(await metric(url, 'engine_faults_total{kind="device_lost"}'), 1);
    assert.equal(await metric(url, "engine_restarts_total"), 1);
    assert.match(worker.log(), /"The engine has failed".*device_lost/);
    assert.equal(await worker.stop(), 0, worker.log());
    await Deno.remove(folder, { recursive: true });
  },
);
