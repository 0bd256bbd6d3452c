/** The demo model remembers: what it was told turns ago, resumed in another process. */

import assert from "node:assert/strict";
import { caseCount } from "../quick.ts";
import { type Conversation, heldOut } from "./held_out.ts";

/** Every so many-th conversation is tried. */
const STRIDE = caseCount(1, 14);

const BOUND = { known: 0.95, unseen: 0.8 };

Deno.test("the demo model remembers what it was told, across a stored and resumed state", async () => {
  const all = await heldOut();
  assert.equal(all.length, 200);
  for (const { turns, value, kind } of all) {
    const told = turns.findIndex((turn) => mentions(turn, value));
    assert.ok(told >= 0 && told <= turns.length - 5, `three turns between: ${turns.join(" | ")}`);
    assert.ok(!mentions(turns[turns.length - 1], value));
    assert.ok(kind in BOUND);
  }
  const folder = await Deno.makeTempDir();
  const kv = `${folder}/states.sqlite3`;
  const conversations = all.filter((_, i) => i % STRIDE === 0);
  const ids = await run(["tell", kv, `${STRIDE}`], "");
  const replies: string[] = JSON.parse(await run(["ask", kv, `${STRIDE}`], ids));
  await Deno.remove(folder, { recursive: true });

  for (const [kind, bound] of Object.entries(BOUND)) {
    const asked = conversations.map((c, i) => ({ ...c, reply: replies[i] }))
      .filter((c) => c.kind === kind);
    const wrong = asked.filter(({ reply, value }) => !mentions(reply, value));
    const right = asked.length - wrong.length;
    console.log(`${kind}: ${right} of ${asked.length} right`);
    const list = wrong.map(describe).join("\n");
    assert.ok(right >= bound * asked.length, `${kind}: ${right} of ${asked.length}\n${list}`);
  }
});

function describe({ turns, value, reply }: Conversation & { reply: string }): string {
  return `${value}: ${turns.join(" | ")} -> ${reply}`;
}

/** Whether `value` stands in `text` as words of their own, whatever the case. */
function mentions(text: string, value: string): boolean {
  const escaped = value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "iu").test(text);
}

async function run(args: string[], stdin: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("./held_out.ts", import.meta.url).pathname, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { success, stdout } = await child.output();
  assert.ok(success, `held_out.ts ${args[0]} failed`);
  return new TextDecoder().decode(stdout);
}
