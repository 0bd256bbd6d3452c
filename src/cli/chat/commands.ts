/** The commands of a chat. Help, completion and execution share this table. */

import { readFile } from "node:fs/promises";
import { InferenceError } from "../../core/errors.ts";
import { formatStats } from "./stats.ts";
import type { ChatCommand, ChatDialogue } from "./dialogue.ts";
import { writeFileAtomic } from "../../model_files/file_sink.ts";
import { usageError } from "../../settings/flags.ts";

export const CHAT_COMMANDS: readonly ChatCommand[] = [
  {
    name: "help",
    help: "lists the commands",
    run: async (talk) => {
      const usages = CHAT_COMMANDS.map(({ name, argument = "" }) => `/${name} ${argument}`);
      const width = Math.max(...usages.map(({ length }) => length));
      const rows = CHAT_COMMANDS.map(({ help }, i) => `${usages[i].padEnd(width)}  ${help}`);
      await talk.print(rows.join("\n"));
      talk.notify("Ctrl-C stops a reply. Type // to start a message with /.");
    },
  },
  {
    name: "more",
    help: "continues a truncated reply",
    run: async (talk) => {
      stateOf(talk, "continue");
      await talk.send([]);
    },
  },
  {
    name: "system",
    argument: "TEXT",
    help: "sets a system message, sent before your next message",
    run: async (talk, text) => {
      if (text === "") {
        throw usageError("Cannot set a system message: the text is missing; use /system TEXT");
      }
      talk.pendingSystemMessage = text;
      talk.notify("It will be sent with your next message.");
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
        stateId
          ? `New conversation. /load ${stateId} returns to the last one.`
          : "New conversation.",
      );
      await Promise.resolve();
    },
  },
  {
    name: "save",
    argument: "[FILE]",
    help: "prints the state id, and writes the state to a file",
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
    help: "resumes a state",
    run: async (talk, from) => {
      if (from === "") {
        throw usageError("Cannot load: the state is missing; use /load ID or /load FILE");
      }
      await talk.resume(
        from.startsWith("state_") ? from : await talk.backend.importState(await fileBytes(from)),
      );
      talk.pendingSystemMessage = talk.stats = undefined;
    },
  },
  {
    name: "fork",
    help: "prints a state id to return to later",
    run: async (talk) => {
      const id = stateOf(talk, "fork");
      await talk.print(id);
      talk.notify(`/load ${id.slice(0, 12)}… returns here.`);
    },
  },
  {
    name: "stats",
    help: "prints speed and token counts of the last reply",
    run: async (talk) => {
      if (!talk.stats) throw usageError("Cannot print statistics: there is no reply yet");
      await talk.print(formatStats(talk.stats));
    },
  },
  {
    name: "quit",
    help: "quits, like Ctrl-D; the conversation stays stored",
    run: async (talk) => {
      talk.quit();
      await Promise.resolve();
    },
  },
];

function stateOf({ stateId }: ChatDialogue, what: string): string {
  if (stateId !== undefined) return stateId;
  throw usageError(`Cannot ${what}: the conversation is empty`);
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
