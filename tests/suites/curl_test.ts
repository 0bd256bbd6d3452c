/** Runs the documentation's curl commands in a shell, unchanged, against a worker. */

import assert from "node:assert/strict";
import { startWorkerProcess } from "./e2e/worker_process.ts";

const ROOT = new URL("../..", import.meta.url);

// deno-lint-ignore no-explicit-any -- JSON of any response
type Json = any;

/** Checks that a response matches the text around its block; `again` runs the block again. */
type Check = (response: Json, again: () => Promise<Json>) => void | Promise<void>;

/** The checks of each file's blocks, in order. */
const CHECKS: Record<string, readonly Check[]> = {
  "README.md": [
    (completion) => {
      assert.equal(completion.object, "chat.completion");
      assert.match(completion.state_id, /^state_[0-9a-f]{48}$/);
      assert.ok(completion.choices[0].message.content.length > 0);
    },
    async (completion, again) => {
      const previous = completion.usage.prompt_tokens_details.cached_tokens;
      assert.ok(previous > 8, `${previous} tokens were cached`);
      await assertRemembersName(completion, {
        again,
        textOf: (it) => it.choices[0].message.content,
      });
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
      await assertRemembersName(response, { again, textOf: (it) => it.output[0].content[0].text });
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

/** Replies are sampled, so that some do not mention the name; retry a few times. */
async function assertRemembersName(
  response: Json,
  { again, textOf }: { again: () => Promise<Json>; textOf: (response: Json) => string },
): Promise<void> {
  const texts = [textOf(response)];
  while (!texts.at(-1)!.includes("Ada")) {
    assert.ok(texts.length < 8, `no reply contains the name: ${texts.join(" | ")}`);
    texts.push(textOf(await again()));
  }
}

for (const [name, checks] of Object.entries(CHECKS)) {
  Deno.test(`curl: every command in ${name} does what the text says`, async () => {
    await assertCurl();
    const blocks = blocksOf(await Deno.readTextFile(new URL(name, ROOT)));
    assert.equal(blocks.length, checks.length, `number of blocks in ${name}`);
    const folder = await Deno.makeTempDir();
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const worker = stack.use(await startWorkerProcess(":memory:", { device: "cpu" }));
    let previous: Json = {};
    for (const [i, block] of blocks.entries()) {
      const call = fillPlaceholders(block, previous).replaceAll(
        "localhost:8000",
        new URL(worker.url).host,
      );
      const run = () => runBlock(call, folder);
      previous = await run();
      await checks[i](previous, run);
    }
  });
}

/** Returns the shell blocks that call curl; fails if another kind of block does. */
function blocksOf(text: string): string[] {
  const fenced = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, , code]) => /\bcurl\b/.test(code));
  for (const [, language, code] of fenced) assert.equal(language, "sh", code);
  const calls = (code: string) => code.match(/\bcurl\s+-/g)?.length ?? 0;
  const run = fenced.reduce((sum, [, , code]) => sum + calls(code), 0);
  assert.equal(run, calls(text), "a curl command is outside of a block");
  return fenced.map(([, , code]) => code);
}

/** Replaces placeholders by ids of the previous response. */
function fillPlaceholders(block: string, previous: Json): string {
  const ids: Record<string, unknown> = {
    state: previous.state_id,
    resp: previous.id,
    conv: previous.id,
  };
  return block.replaceAll(/\b([a-z]+)_…/g, (placeholder, kind) => {
    const id = ids[kind];
    assert.ok(
      typeof id === "string" && id.startsWith(`${kind}_`),
      `the previous response has no ${placeholder}`,
    );
    return id;
  });
}

/** Runs a block and parses the JSON that it prints; fails on a status of 400 or more. */
async function runBlock(block: string, folder: string): Promise<Json> {
  const script = `set -e\ncurl() { command curl --fail-with-body "$@"; }\n${block}`;
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", script],
    cwd: folder,
  }).output();
  const [output, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(code, 0, `${block}\nexited with ${code}: ${output}${errors}`);
  return JSON.parse(output);
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
