import assert from "node:assert/strict";
import { QUICK, slowTest } from "../../support/quick.ts";
import {
  chatBody,
  sendMessage,
  startWorkerProcess,
  streamMessage,
  type WorkerProcess,
} from "./worker_process.ts";

const STORY = "Tell me a story about a dragon.";

/** Defines a test with a new database file. */
function withDatabase(
  name: string,
  body: (kv: string) => Promise<void>,
  { slow = false }: { slow?: boolean } = {},
) {
  (slow ? slowTest : Deno.test)(name, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await body(`${folder}/states.sqlite3`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

async function join(parts: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const part of parts) text += part;
  return text;
}

async function transcript(worker: WorkerProcess, id: string) {
  const response = await fetch(`${worker.url}/v1/states/${id}`);
  return { status: response.status, body: await response.json() };
}

withDatabase("a conversation continues unchanged after a restart", async (kv) => {
  const questions = ["Hi! My name is Zorvin.", "What is 3 + 4?", "What is my name?"];
  const device = QUICK ? "auto" : "webgpu";
  const uninterrupted: string[] = [];
  const restarted: string[] = [];
  {
    await using worker = await startWorkerProcess(kv, { device });
    let id: string | undefined;
    for (const question of questions) {
      const reply = await sendMessage(worker.url, question, id ? { stateId: id } : {});
      uninterrupted.push(reply.text);
      id = reply.stateId;
    }
    assert.equal(await worker.stop(), 0, worker.log());
  }
  let id: string | undefined;
  for (const question of questions) {
    await using worker = await startWorkerProcess(kv, { device });
    const reply = await sendMessage(worker.url, question, id ? { stateId: id } : {});
    restarted.push(reply.text);
    id = reply.stateId;
    await worker.kill();
  }
  assert.deepEqual(restarted, uninterrupted);
});

withDatabase(
  "the reply is the same streamed, whole, in pieces, and on another engine",
  async (kv) => {
    await using gpu = await startWorkerProcess(kv, { device: "webgpu" });
    await using cpu = await startWorkerProcess(`${kv}-cpu`, { device: "cpu" });
    const whole = await sendMessage(gpu.url, STORY);
    assert.equal(whole.finishReason, "stop");
    assert.ok(whole.completionTokens >= 24, `a story of ${whole.completionTokens} tokens`);
    const streamed = await streamMessage(gpu.url, STORY);
    assert.equal(await join(streamed.deltas), whole.text);
    assert.equal((await sendMessage(cpu.url, STORY)).text, whole.text);

    let piece = await sendMessage(gpu.url, STORY, { maxTokens: 5 });
    let text = piece.text;
    for (let i = 0; piece.finishReason === "length"; i++) {
      assert.ok(i < 100, "the reply never ends");
      piece = await sendMessage(gpu.url, null, { stateId: piece.stateId, maxTokens: 1 + i % 4 });
      text += piece.text;
    }
    assert.equal(text, whole.text);
  },
);

withDatabase("after SIGKILL at any time, every id that a client received resumes", async (kv) => {
  const given: { id: string; reply: string | null }[] = [];
  let whole = "";
  for (const delay of QUICK ? [60, 450] : [0, 15, 60, 200, 450, 900]) {
    await using worker = await startWorkerProcess(kv);
    whole ||= (await sendMessage(worker.url, STORY)).text;
    const lucky = await sendMessage(worker.url, "My lucky number is 4711.");
    given.push({ id: lucky.stateId, reply: lucky.text });
    const turn = await streamMessage(worker.url, STORY);
    given.push({ id: turn.stateId, reply: null });
    const reading = join(turn.deltas).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, delay));
    await worker.kill();
    await reading;
  }
  await using worker = await startWorkerProcess(kv);
  for (const { id, reply } of given) {
    const { status, body } = await transcript(worker, id);
    assert.equal(status, 200, JSON.stringify(body));
    const resumed = body.open
      ? await continued(worker, id, body.transcript.at(-1).content)
      : body.transcript.at(-1).content;
    assert.equal(resumed, reply ?? whole);
  }
});

async function continued(worker: WorkerProcess, id: string, before: string): Promise<string> {
  return before + (await sendMessage(worker.url, null, { stateId: id, maxTokens: 512 })).text;
}

withDatabase(
  "on SIGTERM during 16 streams, each ends properly and continues on another worker",
  async (kv) => {
    const questions = Array.from({ length: 16 }, (_, i) => `${STORY} It is ${i + 3} years old.`);
    const whole: string[] = [];
    const interrupted: { id: string; text: string }[] = [];
    {
      await using worker = await startWorkerProcess(kv, { flags: ["--grace", "0.1"] });
      const replies = await Promise.all(
        questions.map((question) => sendMessage(worker.url, question)),
      );
      for (const { text } of replies) whole.push(text);
      const turns = await Promise.all(
        questions.map((question) => streamMessage(worker.url, question)),
      );
      const started = Promise.withResolvers<void>();
      const reading = turns.map(async ({ stateId, deltas }) => {
        let text = "";
        for await (const delta of deltas) {
          text += delta;
          if (text.length > 5) started.resolve();
        }
        interrupted.push({ id: stateId, text });
      });
      await started.promise;
      assert.equal(await worker.stop(), 0, worker.log());
      await Promise.all(reading);
    }
    await using worker = await startWorkerProcess(kv);
    let open = 0;
    await Promise.all(interrupted.map(async ({ id, text }) => {
      const { body } = await transcript(worker, id);
      assert.equal(body.transcript.at(-1).content, text);
      if (body.open) open++;
      const joined = body.open ? await continued(worker, id, text) : text;
      assert.ok(whole.includes(joined), joined);
    }));
    assert.ok(open > 0, "some replies were interrupted");
  },
  { slow: true },
);

withDatabase("a disconnect cancels the turn, which can be continued", async (kv) => {
  await using worker = await startWorkerProcess(kv);
  const whole = await sendMessage(worker.url, STORY);
  let [content, stateId] = ["", ""];
  // A fast worker may finish before it notices the disconnect: then try again.
  for (let attempt = 0; content === "" && attempt < 5; attempt++) {
    const controller = new AbortController();
    const turn = await streamMessage(worker.url, STORY, { signal: controller.signal });
    stateId = turn.stateId;
    try {
      for await (const part of turn.deltas) if (part) controller.abort();
    } catch (error) {
      assert.equal((error as Error).name, "AbortError");
    }
    // The worker notices the disconnect a moment later. Until then the state is that of the turn's
    // start.
    for (let i = 0; content === "" && i < 100; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { body } = await transcript(worker, stateId);
      if (!body.open) break;
      content = body.transcript.at(-1).content;
    }
  }
  assert.ok(content.length > 0, "the partial reply was stored");
  assert.ok(content.length < whole.text.length, "the reply was interrupted");
  assert.equal(await continued(worker, stateId, content), whole.text);
});

withDatabase("invalid requests get an error, and the worker keeps serving", async (kv) => {
  await using worker = await startWorkerProcess(kv, { device: "cpu" });
  const post = async (body: BodyInit) => {
    const response = await fetch(`${worker.url}/v1/chat/completions`, { method: "POST", body });
    const { error } = await response.json();
    assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
    return `${response.status} ${error.code} ${error.param}: ${error.message}`;
  };
  const chat = (extra: Record<string, unknown>) =>
    post(JSON.stringify({ ...chatBody("hi"), ...extra }));
  const unknown = `state_${"0".repeat(48)}`;
  assert.match(await post("{"), /^400 .*JSON/);
  assert.match(await post(new Uint8Array([0x22, 0xff, 0xfe, 0x22])), /^400 .*UTF-8/i);
  assert.match(await post("[]"), /^400/);
  assert.match(await chat({ messages: [] }), /^400 \w+ messages: /);
  assert.match(await chat({ messages: [{ role: "user", content: 3 }] }), /messages\[0\]\.content/);
  assert.match(await post(JSON.stringify(chatBody(" \n"))), /^400 \w+ messages\[0\]\.content: /);
  assert.match(await chat({ temperature: -1 }), /^400 invalid_value temperature: /);
  assert.match(await chat({ model: "gpt-4" }), /^404 model_not_found model: .*gpt-4/);
  assert.match(await chat({ state_id: unknown }), new RegExp(`^400 state_not_found .*${unknown}`));
  assert.match(await chat({ state_id: "../etc" }), /^400 state_not_found/);
  const big = "all work and no play ".repeat(500_000);
  assert.match(
    await chat({ messages: [{ role: "user", content: big }] }),
    /^413 payload_too_large .*the limit is 8388608/,
  );
  const long = "word ".repeat(100_000);
  assert.match(
    await chat({ messages: [{ role: "user", content: long }] }),
    /^400 context_length_exceeded .*32,?768/,
  );
  assert.equal((await fetch(`${worker.url}/health`)).status, 200);
  assert.equal((await sendMessage(worker.url, "Hello!")).finishReason, "stop");
});

withDatabase("a stopped worker exits with status 0, and a port in use is reported", async (kv) => {
  await using worker = await startWorkerProcess(kv, { device: "cpu" });
  const port = new URL(worker.url).port;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-P=rwkv", "src/cli/main.ts", "serve", "--port", port, "--kv", `${kv}2`],
    cwd: new URL("../../..", import.meta.url).pathname,
  }).output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), new RegExp(`127.0.0.1:${port}: it is in use`));
  assert.equal(await worker.stop(), 0, worker.log());
});

Deno.test("deno serve runs the worker from main.ts, with settings from the environment", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["serve", "-P=start", "--host", "127.0.0.1", "--port", "0", "main.ts"],
    cwd: new URL("../../..", import.meta.url).pathname,
    env: { RWKV_KV: ":memory:", RWKV_DEVICE: "cpu", NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    log += text;
    const url = log.match(/Listening on (http:\/\/[\d.]+:\d+)/)?.[1];
    if (!url) continue;
    const first = await sendMessage(url, "Hello!");
    assert.equal((await sendMessage(url, "And now?", { stateId: first.stateId })).status, 200);
    assert.equal((await (await fetch(`${url}/health`)).json()).device, "cpu");
    child.kill("SIGKILL");
    break;
  }
  await child.status;
  assert.match(log, /Listening/);
});
