/** `chat`: a conversation in the terminal, with a local model or with a running worker. */

import type { OnNotice } from "../../engine/engine.ts";
import { CHAT_COMMANDS } from "../chat/commands.ts";
import { pipedInput, terminalInput } from "../chat/line_input.ts";
import { type ChatBackend, createLocalBackend } from "../chat/backend.ts";
import { createRemoteBackend } from "../chat/remote.ts";
import { ChatDialogue } from "../chat/dialogue.ts";
import { type Command, SAMPLING_FLAGS } from "../args/command.ts";
import { samplingFlags } from "./generate.ts";
import { withProgress } from "../output/progress.ts";
import { onStopSignals } from "../../server/signals.ts";
import { painter } from "../output/terminal.ts";
import { openSessions } from "../../server/open_sessions.ts";
import { deviceLabel, modelLabel, printDeviceWarning } from "../output/worker_text.ts";
import {
  CLI_COMMAND,
  type Flags,
  type FlagSpec,
  numberFlag,
  stringFlag,
  usageError,
} from "../../settings/flags.ts";
import { WORKER_FLAGS } from "../../settings/settings.ts";

/** Flags that are needed to find the conversation and the same model again. */
const RESUME_FLAGS = ["model", "shape", "vocab", "kv"] as const;

const LOCAL_FLAGS: Readonly<Record<string, FlagSpec>> = WORKER_FLAGS;

export const chat: Command = {
  name: "chat",
  summary: "Chats in the terminal and stores the conversation by state id",
  details: [
    "/help lists the commands of a chat. Ctrl-C stops a reply; Ctrl-D, or Ctrl-C twice, quits. " +
    "Piped input is read as one message per line, and only replies go to stdout.",
  ],
  examples: [
    "chat",
    "chat --state state_0123 --temperature 0",
    "chat --url http://localhost:8000   # with a running worker",
    "echo 'What is 2 + 3?' | rwkv chat",
  ],
  flags: {
    state: { type: "string", placeholder: "ID", help: "state id of the conversation to resume" },
    url: {
      type: "string",
      placeholder: "URL",
      help: "chat with the worker at this URL instead of a local model",
    },
    key: {
      type: "string",
      placeholder: "KEY",
      env: "RWKV_API_KEY",
      help: "API key of that worker; prefer the variable, because other users can see arguments",
    },
    ...SAMPLING_FLAGS,
    ...WORKER_FLAGS,
  },
  run: async (flags) => {
    const { seed, ...sampling } = samplingFlags(flags);
    const params = {
      sampling,
      seed: stringFlag(flags, "seed") === undefined ? undefined : seed,
      maxTokens: numberFlag(flags, "max-tokens", { min: 1, max: 1e6, integer: true }),
    };
    const interactive = Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
    const backend = await openChatBackend(flags, interactive);
    const paint = painter(Deno.stderr);
    const input = interactive
      ? terminalInput({ paint, words: CHAT_COMMANDS.map(({ name }) => `/${name}`) })
      : pipedInput();
    const dialogue = new ChatDialogue({
      backend,
      commands: CHAT_COMMANDS,
      input,
      params,
      interactive,
    });
    const signalsDone = onStopSignals(() => {
      dialogue.quit();
      input.close();
    });
    try {
      dialogue.notify(`Chatting with ${backend.description}.`);
      dialogue.notify("/help lists commands, Ctrl-C stops a reply, Ctrl-D quits.");
      const from = stringFlag(flags, "state");
      if (from) await dialogue.resume(from);
      await dialogue.run();
    } finally {
      input.close();
      signalsDone();
      await backend.close();
    }
    if (dialogue.stateId) {
      console.error(`${paint("dim", "Resume with:")} ${resumeLine(dialogue.stateId, backend)}`);
    }
  },
};

async function openChatBackend(flags: Flags, interactive: boolean): Promise<ChatBackend> {
  const url = stringFlag(flags, "url");
  if (url !== undefined) {
    return await createRemoteBackend(parseUrl(url, flags), stringFlag(flags, "key"));
  }
  // Later notices would interrupt the conversation.
  let opening = true;
  const onNotice: OnNotice = (level, line) => {
    if (opening && level === "warn") console.error(line);
  };
  const running = await withProgress(
    "Loading",
    (onProgress) => openSessions(flags, onProgress, { onStoreChange, onNotice, withProgress }),
  );
  opening = false;
  if (interactive) printDeviceWarning(running.engine.info);
  const description = `${modelLabel(running.modelId, flags)}, on ${
    deviceLabel(running.engine.info)
  }`;
  const resumeFlags = RESUME_FLAGS.flatMap((flag) => {
    const value = stringFlag(flags, flag);
    return value === undefined ? [] : [[flag, value] as const];
  });
  return createLocalBackend(running, { description, resumeFlags });
}

/**
 * @throws InferenceError `usage` if `url` is not an HTTP URL, or a flag applies to local models
 * only.
 */
function parseUrl(url: string, flags: Flags): string {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw usageError(
      `Cannot use --url ${url}: it must be an HTTP URL such as http://localhost:8000`,
    );
  }
  const localFlag = Object.keys(LOCAL_FLAGS).find((name) => {
    const { env } = LOCAL_FLAGS[name];
    return flags[name] !== undefined && flags[name] !== (env && Deno.env.get(env));
  });
  if (localFlag) {
    throw usageError(`Cannot use --${localFlag} with --url: it applies to local models only`);
  }
  return url.replace(/\/+$/, "");
}

function onStoreChange(problem: string | null): void {
  console.error(
    problem === null
      ? "The state store has recovered"
      : `The state store is unavailable: ${problem}`,
  );
}

function resumeLine(stateId: string, { resumeFlags }: ChatBackend): string {
  const all = [["state", stateId] as const, ...resumeFlags];
  return `${CLI_COMMAND} chat ${
    all.map(([flag, value]) => `--${flag} ${quoted(value)}`).join(" ")
  }`;
}

/** Quotes a value as one shell word. */
function quoted(value: string): string {
  return /^[\w./:@%+,=-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
