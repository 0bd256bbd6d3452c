/** The demo model recalls a fact from earlier turns after the state is resumed in another process. */

import assert from "node:assert/strict";
import { slowTest } from "../support/quick.ts";
import { type Conversation, everyNth, heldOut } from "./held_out.ts";

const BOUND = { known: 0.95, unseen: 0.8 };

/** Number of processes that share the conversations, and the first index of each. */
const PARTS = [0, 1];

/** The fastest device for this test, even on a software adapter. */
const DEVICE = "webgpu";

slowTest(
  "the demo model remembers what it was told, across a stored and resumed state",
  async () => {
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
    const share = (part: number) => [kv, DEVICE, `${part}`, `${PARTS.length}`];
    const ids = await Promise.all(PARTS.map((part) => run(["tell", ...share(part)], "")));
    const replies = await Promise.all(PARTS.map((part) => run(["ask", ...share(part)], ids[part])));
    await Deno.remove(folder, { recursive: true });
    const asked = PARTS.flatMap((part) => {
      const conversations = everyNth(all, part, PARTS.length);
      const told: string[] = JSON.parse(replies[part]);
      assert.equal(told.length, conversations.length);
      return conversations.map((c, i) => ({ ...c, reply: told[i] }));
    });
    assert.equal(asked.length, all.length);

    for (const [kind, bound] of Object.entries(BOUND)) {
      const ofKind = asked.filter((c) => c.kind === kind);
      const wrong = ofKind.filter(({ reply, value }) => !mentions(reply, value));
      const right = ofKind.length - wrong.length;
      console.log(`${kind}: ${right} of ${ofKind.length} right`);
      const list = wrong.map(describe).join("\n");
      assert.ok(right >= bound * ofKind.length, `${kind}: ${right} of ${ofKind.length}\n${list}`);
    }
  },
);

function describe({ turns, value, reply }: Conversation & { reply: string }): string {
  return `${value}: ${turns.join(" | ")} -> ${reply}`;
}

/** Returns whether `text` contains `value` as whole words, ignoring case. */
function mentions(text: string, value: string): boolean {
  const escaped = value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "iu").test(text);
}

async function run(args: string[], stdin: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("./held_out.ts", import.meta.url).pathname, ...args],
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
