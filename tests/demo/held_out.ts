/**
 * One half of the held-out evaluation, in its own process. `tell KV DEVICE FIRST STEP` runs every
 * STEP-th conversation of the set, starting at FIRST, up to its last question, and prints the state ids
 * as JSON. `ask KV DEVICE FIRST STEP` reads the ids from stdin, resumes each state, asks the question
 * and prints the replies.
 */

import { openSessions } from "../../src/server/open_sessions.ts";

export interface Conversation {
  kind: "known" | "unseen";
  what: string;
  value: string;
  /** User messages; the last one asks for the value. */
  turns: string[];
}

export async function heldOut(): Promise<Conversation[]> {
  const url = new URL("../../models/demo/held_out.json", import.meta.url);
  return JSON.parse(await Deno.readTextFile(url)).conversations;
}

/** Returns every `step`-th of `values`, starting at `first`. */
export function everyNth<T>(values: readonly T[], first: number, step: number): T[] {
  return values.filter((_, i) => i >= first && (i - first) % step === 0);
}

/** Number of concurrent conversations. */
const AT_ONCE = 16;

if (import.meta.main) {
  const [part, kv, device, first, step] = Deno.args;
  const running = await openSessions({ kv, device });
  const say = async (message: string, stateId: string | undefined) => {
    const turn = await running.sessions.start({
      messages: [{ role: "user", content: message }],
      stateId,
      sampling: { temperature: 0 },
      maxTokens: 64,
    });
    return await turn.result();
  };
  const conversations = everyNth(await heldOut(), Number(first), Number(step));
  const ids: string[] = part === "ask" ? await new Response(Deno.stdin.readable).json() : [];
  const results: string[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < conversations.length) {
      const index = next++;
      const { turns } = conversations[index];
      if (part === "ask") {
        results[index] = (await say(turns[turns.length - 1], ids[index])).text;
        continue;
      }
      let id: string | undefined;
      for (const message of turns.slice(0, -1)) id = (await say(message, id)).stateId!;
      results[index] = id!;
    }
  }));
  console.log(JSON.stringify(results));
  await running.close(0);
  Deno.exit();
}
