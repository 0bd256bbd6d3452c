import assert from "node:assert/strict";
import { openSessions } from "../../src/cli/worker.ts";

const STORY = { messages: [{ role: "user" as const, content: "Tell me a story about a dragon." }] };
const GREEDY = { sampling: { temperature: 0 }, maxTokens: 200 };

Deno.test("a worker that stops stores a streamed turn as far as it is, to be carried on", async () => {
  const folder = await Deno.makeTempDir();
  const flags = { kv: `${folder}/states.sqlite3`, device: "cpu" };
  const first = await openSessions(flags);
  const whole = await (await first.sessions.start({ ...STORY, ...GREEDY })).result();
  const turn = await first.sessions.start({ ...STORY, ...GREEDY, stream: true });
  let closed: Promise<void> | null = null;
  let shown = "";
  let reason = "";
  for await (const event of turn.events()) {
    if (event.type === "text") shown += event.text;
    else reason = event.finishReason;
    closed ??= first.close(0);
  }
  await closed;
  assert.equal(reason, "length");
  assert.ok(shown.length > 0 && shown.length < whole.text.length, shown);

  const second = await openSessions(flags);
  const { open, transcript } = await second.sessions.describe(turn.stateId);
  assert.deepEqual([open, transcript.at(-1)!.content], [true, shown]);
  const rest = await second.sessions.start({ messages: [], stateId: turn.stateId, ...GREEDY });
  assert.equal(shown + (await rest.result()).text, whole.text);
  await second.close(1000);
  await Deno.remove(folder, { recursive: true });
});
