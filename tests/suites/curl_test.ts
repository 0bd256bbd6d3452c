/** The documentation's calls of curl, run by a shell as they stand, against a worker. */

import assert from "node:assert/strict";
import { startWorkerProcess } from "./e2e/worker_process.ts";

const ROOT = new URL("../..", import.meta.url);

// deno-lint-ignore no-explicit-any -- JSON as it is answered
type Answer = any;

/** Whether an answer is what the text around its block says; `again` runs the block once more. */
type Check = (answer: Answer, again: () => Promise<Answer>) => void | Promise<void>;

/** What each block is to answer, in their order. */
const PROMISED: Record<string, readonly Check[]> = {
  "README.md": [
    (completion) => {
      assert.equal(completion.object, "chat.completion");
      assert.match(completion.state_id, /^state_[0-9a-f]{48}$/);
      assert.ok(completion.choices[0].message.content.length > 0);
    },
    async (completion, again) => {
      const known = completion.usage.prompt_tokens_details.cached_tokens;
      assert.ok(known > 8, `${known} tokens were not read again`);
      await remembers(completion, { again, textOf: (it) => it.choices[0].message.content });
    },
    (state) => {
      assert.equal(state.object, "state");
      assert.match(JSON.stringify(state.transcript), /Hi! My name is Ada\..*What is my name\?/);
    },
  ],
  "docs/structured_output.md": [
    (completion) => {
      const { name } = JSON.parse(completion.choices[0].message.content);
      assert.ok(typeof name === "string" && [...name].length <= 9, name);
    },
  ],
  "docs/guide.md": [
    (response) => {
      assert.equal(response.object, "response");
      assert.equal(response.id.replace("resp_", "state_"), response.state_id);
    },
    async (response, again) => {
      assert.ok(response.usage.input_tokens_details.cached_tokens > 8);
      await remembers(response, { again, textOf: (it) => it.output[0].content[0].text });
    },
    (state) => {
      assert.equal(state.object, "state");
      assert.deepEqual(
        state.transcript.map(({ content }: { content: string }) => content).slice(0, 1),
        ["Hi! My name is Ada."],
      );
    },
  ],
};

/** A reply is sampled, so once in a while it says something else. */
async function remembers(
  answer: Answer,
  { again, textOf }: { again: () => Promise<Answer>; textOf: (answer: Answer) => string },
): Promise<void> {
  const texts = [textOf(answer)];
  while (!texts.at(-1)!.includes("Ada")) {
    assert.ok(texts.length < 8, `the name is not remembered: ${texts.join(" | ")}`);
    texts.push(textOf(await again()));
  }
}

for (const [name, checks] of Object.entries(PROMISED)) {
  Deno.test(`curl: every call in ${name} does what is said of it`, async () => {
    await assertCurl();
    const blocks = blocksOf(await Deno.readTextFile(new URL(name, ROOT)));
    assert.equal(blocks.length, checks.length, `blocks of ${name} that a check is there for`);
    const folder = await Deno.makeTempDir();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const worker = stack.use(await startWorkerProcess(":memory:", { device: "cpu" }));
    let known: Answer = {};
    for (const [i, block] of blocks.entries()) {
      const call = filled(block, known).replaceAll("localhost:8000", new URL(worker.url).host);
      const run = () => answerOf(call, folder);
      known = await run();
      await checks[i](known, run);
    }
  });
}

/** The blocks for a shell that call curl; none may be of another kind. */
function blocksOf(text: string): string[] {
  const fenced = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, , code]) => /\bcurl\b/.test(code));
  for (const [, language, code] of fenced) assert.equal(language, "sh", code);
  const calls = (code: string) => code.match(/\bcurl\s+-/g)?.length ?? 0;
  const run = fenced.reduce((sum, [, , code]) => sum + calls(code), 0);
  assert.equal(run, calls(text), "a call of curl stands outside of a block");
  return fenced.map(([, , code]) => code);
}

/** Placeholders are of the answer before. */
function filled(block: string, known: Answer): string {
  const ids: Record<string, unknown> = { state: known.state_id, resp: known.id, conv: known.id };
  return block.replaceAll(/\b([a-z]+)_…/g, (placeholder, kind) => {
    const id = ids[kind];
    assert.ok(typeof id === "string" && id.startsWith(`${kind}_`), `there is no ${placeholder}`);
    return id;
  });
}

/** Runs a block, and reads the JSON that it prints; a status of 400 or more fails it. */
async function answerOf(block: string, folder: string): Promise<Answer> {
  const script = `set -e\ncurl() { command curl --fail-with-body "$@"; }\n${block}`;
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", script],
    cwd: folder,
  }).output();
  const [said, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(code, 0, `${block}\nended with ${code}: ${said}${complaint}`);
  return JSON.parse(said);
}

async function assertCurl(): Promise<void> {
  const remedy = "this test needs curl 7.76 or later: install it, on Debian the package curl";
  try {
    const { success, stdout } = await new Deno.Command("curl", { args: ["--help", "all"] })
      .output();
    assert.ok(success && new TextDecoder().decode(stdout).includes("--fail-with-body"), remedy);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) assert.fail(remedy);
    throw error;
  }
}
