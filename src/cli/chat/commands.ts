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
    run: async (dialogue) => {
      const usages = CHAT_COMMANDS.map(({ name, argument = "" }) => `/${name} ${argument}`);
      const width = Math.max(...usages.map(({ length }) => length));
      const rows = CHAT_COMMANDS.map(({ help }, i) => `${usages[i].padEnd(width)}  ${help}`);
      await dialogue.print(rows.join("\n"));
      dialogue.notify("Ctrl-C stops a reply. Type // to start a message with /.");
    },
  },
  {
    name: "more",
    help: "continues a truncated reply",
    run: async (dialogue) => {
      requireState(dialogue, "continue");
      await dialogue.send([]);
    },
  },
  {
    name: "system",
    argument: "TEXT",
    help: "sets a system message, sent before your next message",
    run: async (dialogue, text) => {
      if (text === "") {
        throw usageError("Cannot set a system message: the text is missing; use /system TEXT");
      }
      dialogue.pendingSystemMessage = text;
      dialogue.notify("It will be sent with your next message.");
      await Promise.resolve();
    },
  },
  {
    name: "reset",
    help: "starts a new conversation",
    run: async (dialogue) => {
      const { stateId } = dialogue;
      dialogue.stateId = dialogue.pendingSystemMessage = dialogue.stats = undefined;
      dialogue.notify(
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
    run: async (dialogue, file) => {
      const id = requireState(dialogue, "save");
      if (file !== "") {
        const parts = await dialogue.backend.exportState(id);
        await writeFileAtomic(file, async (sink) => {
          let at = 0;
          for (const part of parts) {
            await sink.write(at, part);
            at += part.length;
          }
        });
        dialogue.notify(`Written to ${file}.`);
      }
      await dialogue.print(id);
    },
  },
  {
    name: "load",
    argument: "ID|FILE",
    help: "resumes a state",
    run: async (dialogue, from) => {
      if (from === "") {
        throw usageError("Cannot load: the state is missing; use /load ID or /load FILE");
      }
      await dialogue.resume(
        from.startsWith("state_")
          ? from
          : await dialogue.backend.importState(await readBytes(from)),
      );
      dialogue.pendingSystemMessage = dialogue.stats = undefined;
    },
  },
  {
    name: "fork",
    help: "prints a state id to return to later",
    run: async (dialogue) => {
      const id = requireState(dialogue, "fork");
      await dialogue.print(id);
      dialogue.notify(`/load ${id.slice(0, 12)}… returns here.`);
    },
  },
  {
    name: "stats",
    help: "prints speed and token counts of the last reply",
    run: async (dialogue) => {
      if (!dialogue.stats) throw usageError("Cannot print statistics: there is no reply yet");
      await dialogue.print(formatStats(dialogue.stats));
    },
  },
  {
    name: "quit",
    help: "quits, like Ctrl-D; the conversation stays stored",
    run: async (dialogue) => {
      dialogue.quit();
      await Promise.resolve();
    },
  },
];

function requireState({ stateId }: ChatDialogue, action: string): string {
  if (stateId !== undefined) return stateId;
  throw usageError(`Cannot ${action}: the conversation is empty`);
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw new InferenceError("file_error", `Cannot read ${path}: ${(cause as Error).message}`, {
      cause,
      param: path,
    });
  }
}
