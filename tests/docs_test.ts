/** Runs the TypeScript examples in the documentation unchanged. */

import assert from "node:assert/strict";
import { QUICK } from "./support/quick.ts";

const ROOT = new URL("..", import.meta.url);

for (
  const name of ["docs/guide.md", "docs/internals/kernels.md", "docs/internals/architecture.md"]
) {
  const text = await Deno.readTextFile(new URL(name, ROOT));
  const examples = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
  examples.forEach((code, i) => {
    Deno.test(`example ${i + 1} of ${name} runs`, async () => {
      const file = await Deno.makeTempFile({ suffix: ".ts" });
      await Deno.writeTextFile(file, code.replaceAll('"./mod.ts"', `"${new URL("mod.ts", ROOT)}"`));
      // Type checking covers the whole library, which takes a while.
      const check = QUICK ? "--no-check" : "--check";
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", check, "--config", new URL("deno.json", ROOT).pathname, file],
        cwd: ROOT,
      }).output();
      await Deno.remove(file);
      assert.ok(success, new TextDecoder().decode(stderr));
    });
  });
}

Deno.test("every symbol of the library is documented, and all referenced types are exported", async () => {
  for (const entry of ["lib.ts", "src/client/mod.ts", "mod.ts"]) {
    const { stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["doc", "--lint", entry],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
      stdout: "null",
    }).output();
    const output = new TextDecoder().decode(stderr);
    const faults = output.split(/^(?=error\[)/m).filter((part) => part.startsWith("error["));
    // Hono exports this class itself.
    const problems = faults.filter((fault) => !fault.includes("references private type 'Hono'"));
    assert.deepEqual(problems, [], `${entry}: ${output}`);
    assert.ok(faults.length > 0 || /Checked \d/.test(output), output);
  }
});

Deno.test("the README's commands are tasks, and its links resolve", async () => {
  const text = await Deno.readTextFile(new URL("README.md", ROOT));
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const named = [...text.matchAll(/deno(?:@2)? task (\w+)/g)].map(([, task]) => task);
  assert.deepEqual(named.filter((task) => !(task in tasks)), []);
  for (const [, link] of text.matchAll(/\]\(((?!http)[^)]+)\)/g)) {
    assert.ok((await Deno.stat(new URL(link, ROOT))).isFile, link);
  }
});

Deno.test("the documentation describes exactly the existing alerts", async () => {
  const rules = await Deno.readTextFile(new URL("deploy/prometheus/rules.yml", ROOT));
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const text = await Deno.readTextFile(new URL("docs/operations.md", ROOT));
  const [, section] = text.match(/## Alerts\n(.*?)\n## /s)!;
  assert.deepEqual([...section.matchAll(/^\*\*(\w+)\*\*/gm)].map(([, name]) => name), alerts);
});
