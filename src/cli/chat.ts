/** `chat`: a conversation in the terminal. */

import process from "node:process";
import { createInterface } from "node:readline/promises";
import type { Sessions } from "../session/sessions.ts";
import { type Command, type Flags, number, printText, SAMPLING_FLAGS, text } from "./command.ts";
import { samplingFlags } from "./generate.ts";
import { cpuNotice } from "./open_engine.ts";
import { withProgress } from "./progress.ts";
import { openSessions, WORKER_FLAGS } from "./worker.ts";

export const chat: Command = {
  name: "chat",
  summary: "Chats in the terminal, the conversation kept by its state id",
  examples: ["chat", "chat --state state_0123 --temperature 0"],
  flags: {
    ...WORKER_FLAGS,
    ...SAMPLING_FLAGS,
    state: { type: "string", value: "ID", help: "the conversation to carry on" },
  },
  run: async (flags) => {
    const running = await withProgress(
      "Loading",
      (onProgress) => openSessions(flags, onProgress, { onStoreChange }),
    );
    const notice = cpuNotice(running.engine.info, flags);
    if (notice) console.error(notice);
    try {
      await converse(running.sessions, flags);
    } finally {
      await running.close(0);
    }
  },
};

function onStoreChange(problem: string | null): void {
  console.error(problem === null ? "The state store answers again" : `The state store: ${problem}`);
}

async function converse(sessions: Sessions, flags: Flags): Promise<void> {
  const { seed, ...sampling } = samplingFlags(flags);
  const maxTokens = number(flags, "max-tokens", { min: 1, max: 1e6, integer: true });
  let stateId = text(flags, "state");
  if (stateId) {
    for (const { role, content } of (await sessions.describe(stateId)).transcript) {
      await printText(`${role === "user" ? "> " : ""}${content}\n`);
    }
  }
  console.error("Type a message; /reset starts over, /quit ends. Ctrl-C stops a reply.");
  const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: "> " });
  let reply: AbortController | null = null;
  let closed = false;
  terminal.on("close", () => closed = true);
  terminal.on("SIGINT", () => reply ? reply.abort() : terminal.close());
  terminal.prompt();
  for await (const line of terminal) {
    const message = line.trim();
    if (message === "/quit") break;
    if (message === "/reset") stateId = undefined;
    else if (message) {
      reply = new AbortController();
      const turn = await sessions.start({
        messages: [{ role: "user", content: message }],
        stateId,
        maxTokens,
        sampling,
        ...(text(flags, "seed") === undefined ? {} : { seed }),
        stream: true,
      }, reply.signal);
      for await (const event of turn.events()) {
        if (event.type === "text") await printText(event.text);
        else {
          stateId = event.stateId ?? stateId;
          if (event.warning) console.error(`\n${event.warning}`);
        }
      }
      await printText("\n");
      reply = null;
    }
    // Input from a pipe may have ended while the reply was written.
    if (!closed) terminal.prompt();
  }
  terminal.close();
  if (!stateId) return;
  const kv = text(flags, "kv");
  console.error(`Carry on with: deno task rwkv chat --state ${stateId}${kv ? ` --kv ${kv}` : ""}`);
}
