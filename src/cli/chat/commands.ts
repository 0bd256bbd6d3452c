/** The commands of a chat: one table for help, completion and use. */

import { readFile } from "node:fs/promises";
import { InferenceError } from "../../core/errors.ts";
import { formatStats } from "./stats.ts";
import type { ChatCommand, ChatDialogue } from "./dialogue.ts";
import { writeFileAtomic } from "../../model_files/file_sink.ts";
import { usageError } from "../../settings/flags.ts";

export const CHAT_COMMANDS: readonly ChatCommand[] = [
  {
    name: "help",
    help: "lists these",
    run: async (talk) => {
      const usages = CHAT_COMMANDS.map(({ name, argument = "" }) => `/${name} ${argument}`);
      const width = Math.max(...usages.map(({ length }) => length));
      const rows = CHAT_COMMANDS.map(({ help }, i) => `${usages[i].padEnd(width)}  ${help}`);
      await talk.print(rows.join("\n"));
      talk.notify("Ctrl-C stops a reply. A message that begins with / is written with //.");
    },
  },
  {
    name: "more",
    help: "lets a reply that was cut short go on",
    run: async (talk) => {
      stateOf(talk, "go on");
      await talk.send([]);
    },
  },
  {
    name: "system",
    argument: "TEXT",
    help: "sets a system message, read before your next one",
    run: async (talk, text) => {
      if (text === "") throw usageError("Cannot set a system message: /system TEXT names it");
      talk.pendingSystemMessage = text;
      talk.notify("It goes with your next message.");
      await Promise.resolve();
    },
  },
  {
    name: "reset",
    help: "starts a new conversation",
    run: async (talk) => {
      const { stateId } = talk;
      talk.stateId = talk.pendingSystemMessage = talk.stats = undefined;
      talk.notify(
        stateId ? `A new conversation. /load ${stateId} goes back.` : "Nothing was said.",
      );
      await Promise.resolve();
    },
  },
  {
    name: "save",
    argument: "[FILE]",
    help: "tells the id of where you are, and writes it as a file",
    run: async (talk, file) => {
      const id = stateOf(talk, "save");
      if (file !== "") {
        const parts = await talk.backend.exportState(id);
        await writeFileAtomic(file, async (sink) => {
          let at = 0;
          for (const part of parts) {
            await sink.write(at, part);
            at += part.length;
          }
        });
        talk.notify(`Written to ${file}.`);
      }
      await talk.print(id);
    },
  },
  {
    name: "load",
    argument: "ID|FILE",
    help: "goes on from there",
    run: async (talk, from) => {
      if (from === "") throw usageError("Cannot load nothing: /load ID, or /load FILE");
      await talk.resume(
        from.startsWith("state_") ? from : await talk.backend.importState(await fileBytes(from)),
      );
      talk.pendingSystemMessage = talk.stats = undefined;
    },
  },
  {
    name: "fork",
    help: "tells an id to come back to, and goes on",
    run: async (talk) => {
      const id = stateOf(talk, "fork");
      await talk.print(id);
      talk.notify(`/load ${id.slice(0, 12)}… comes back to here.`);
    },
  },
  {
    name: "stats",
    help: "tells how fast the last reply was, and what is known",
    run: async (talk) => {
      if (!talk.stats) throw usageError("Cannot tell of a reply: there was none yet");
      await talk.print(formatStats(talk.stats));
    },
  },
  {
    name: "quit",
    help: "leaves, as Ctrl-D does; the conversation is kept",
    run: async (talk) => {
      talk.quit();
      await Promise.resolve();
    },
  },
];

function stateOf({ stateId }: ChatDialogue, what: string): string {
  if (stateId !== undefined) return stateId;
  throw usageError(`Cannot ${what}: nothing has been said yet`);
}

async function fileBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw new InferenceError("file_error", `Cannot read ${path}: ${(cause as Error).message}`, {
      cause,
      param: path,
    });
  }
}
