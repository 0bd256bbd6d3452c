import assert from "node:assert/strict";
import { DEMO_MODEL } from "../../src/model_files/find_model.ts";
import { openSessions, type RunningSessions } from "../../src/server/open_sessions.ts";
import { GOLDEN } from "../support/golden_data.ts";
import { slowTest } from "../support/quick.ts";
import { rwkv } from "../suites/cli/shared_cli.ts";

const GREEDY = { sampling: { temperature: 0 }, maxTokens: 200 };
/** Generates up to its token limit, so that enough remains even if the disk is slow at first. */
const ENDLESS = {
  messages: [],
  prompt: "Once upon a time",
  sampling: { temperature: 0, logitBias: new Map([[0, -100]]) },
  maxTokens: 500,
};

Deno.test("a stopping worker stores a streamed turn so that it can be continued", async () => {
  const folder = await Deno.makeTempDir();
  const flags = { kv: `${folder}/states.sqlite3`, device: "cpu" };
  const first = await openSessions(flags);
  const uninterrupted = await (await first.sessions.start(ENDLESS)).result();
  const turn = await first.sessions.start({ ...ENDLESS, stream: true });
  let closed: Promise<void> | null = null;
  let shown = "";
  await assert.rejects(async () => {
    for await (const event of turn.events()) {
      if (event.type === "text") shown += event.text;
      closed ??= first.close(0);
    }
  }, { code: "shutting_down", stateId: turn.stateId });
  await closed;
  assert.ok(shown.length > 0 && shown.length < uninterrupted.text.length, shown);

  const second = await openSessions(flags);
  const { open, transcript } = await second.sessions.describe(turn.stateId!);
  assert.deepEqual([open, transcript.at(-1)!.content], [true, shown]);
  const { prompt: _, ...further } = ENDLESS;
  const rest = await second.sessions.start({ ...further, stateId: turn.stateId! });
  const text = shown + (await rest.result()).text;
  assert.equal(text.slice(0, uninterrupted.text.length), uninterrupted.text);
  await second.close(1000);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a conversation can change the quantization but not the model", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/demo-int8.safetensors`;
  const { code, stderr } = await rwkv(["convert", DEMO_MODEL, file, "--quant", "int8"]);
  assert.equal(code, 0, stderr);
  const vocab = `${DEMO_MODEL}/vocab.txt`;
  const send = async (flags: Record<string, string>, content: string, stateId?: string) => {
    const running = await openSessions({ device: "cpu", kv: `${folder}/states.sqlite3`, ...flags });
    try {
      const turn = await running.sessions.start({
        messages: [{ role: "user", content }],
        stateId,
        ...GREEDY,
      });
      const { text, stateId: id } = await turn.result();
      const { model } = await running.sessions.describe(id!);
      return { text, stateId: id!, quant: model.quant };
    } finally {
      await running.close(0);
    }
  };
  const one = await send({}, "Hi, my name is Ada.");
  assert.equal(one.quant, "f16");
  const two = await send({ model: file, vocab }, "What is my name?", one.stateId);
  assert.equal(two.quant, "int8");
  assert.match(two.text, /Ada/);
  const three = await send({ quant: "nf4" }, "What is my name?", two.stateId);
  assert.equal(three.quant, "nf4");
  assert.match(three.text, /Ada/);
  const other = { model: `${GOLDEN}rwkv5-bf16/model.pth`, vocab: "bytes" };
  await assert.rejects(send(other, "Hi", three.stateId), { code: "model_mismatch" });
  const words = { code: "model_mismatch", message: /vocabulary/ };
  await assert.rejects(send({ vocab: "bytes" }, "Hi", three.stateId), words);
  await Deno.remove(folder, { recursive: true });
});

slowTest(
  "a conversation is the same on one worker and across workers, with every state codec",
  async () => {
    const folder = await Deno.makeTempDir();
    const turns = ["Hi, my name is Ada.", "Tell me a story about a cat.", "What is my name?"];
    const bytes: number[] = [];
    for (const codec of ["f32", "f16", "q8"]) {
      const open = (file: string, flags: Record<string, string> = {}) =>
        openSessions({
          device: "cpu",
          kv: `${folder}/${codec}-${file}.sqlite3`,
          "state-codec": codec,
          ...flags,
        });
      const send = async ({ sessions }: RunningSessions, content: string, stateId?: string) => {
        const turn = await sessions.start({
          messages: [{ role: "user", content }],
          stateId,
          seed: 3n,
          maxTokens: 40,
        });
        const { text, stateId: id } = await turn.result();
        return { text, id: id! };
      };
      const one = await open("one");
      const alone: string[] = [];
      let id: string | undefined;
      for (const content of turns) {
        const reply = await send(one, content, id);
        alone.push(reply.text);
        id = reply.id;
      }
      assert.equal(one.schedulerStats().warmSlotHits, turns.length - 1);
      bytes.push((await one.sessions.describe(id!)).bytes);
      await one.close(0);
      const moved: string[] = [];
      id = undefined;
      for (const content of turns) {
        const other = await open("moving", { "state-cache": "0" });
        const reply = await send(other, content, id);
        moved.push(reply.text);
        id = reply.id;
        assert.equal(other.schedulerStats().warmSlotHits, 0);
        await other.close(0);
      }
      assert.deepEqual(moved, alone, codec);
    }
    const [f32, f16, q8] = bytes;
    assert.ok(f32 > 1.8 * f16 && f16 > 1.6 * q8, `${bytes}`);
    await Deno.remove(folder, { recursive: true });
  },
);
