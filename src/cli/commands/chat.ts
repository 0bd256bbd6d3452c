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
  number,
  text,
  usageError,
} from "../../settings/flags.ts";
import { WORKER_FLAGS } from "../../settings/settings.ts";

/** Flags that are needed to find the conversation and the same model again. */
const RESUMING = ["model", "shape", "vocab", "kv"] as const;

const WORKER: Readonly<Record<string, FlagSpec>> = WORKER_FLAGS;

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
    state: { type: "string", value: "ID", help: "state id of the conversation to resume" },
    url: {
      type: "string",
      value: "URL",
      help: "chat with the worker at this URL instead of a local model",
    },
    key: {
      type: "string",
      value: "KEY",
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
      seed: text(flags, "seed") === undefined ? undefined : seed,
      maxTokens: number(flags, "max-tokens", { min: 1, max: 1e6, integer: true }),
    };
    const interactive = Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
    const partner = await openPartner(flags, interactive);
    const paint = painter(Deno.stderr);
    const input = interactive
      ? terminalInput({ paint, words: CHAT_COMMANDS.map(({ name }) => `/${name}`) })
      : pipedInput();
    const talk = new ChatDialogue({
      backend: partner,
      commands: CHAT_COMMANDS,
      input,
      params,
      interactive,
    });
    const signalsDone = onStopSignals(() => {
      talk.quit();
      input.close();
    });
    try {
      talk.notify(`Chatting with ${partner.description}.`);
      talk.notify("/help lists commands, Ctrl-C stops a reply, Ctrl-D quits.");
      const from = text(flags, "state");
      if (from) await talk.resume(from);
      await talk.run();
    } finally {
      input.close();
      signalsDone();
      await partner.close();
    }
    if (talk.stateId) {
      console.error(`${paint("dim", "Resume with:")} ${resumeLine(talk.stateId, partner)}`);
    }
  },
};

async function openPartner(flags: Flags, interactive: boolean): Promise<ChatBackend> {
  const url = text(flags, "url");
  if (url !== undefined) {
    return await createRemoteBackend(checkedUrl(url, flags), text(flags, "key"));
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
  const about = `${modelLabel(running.modelId, flags)}, on ${deviceLabel(running.engine.info)}`;
  const resuming = RESUMING.flatMap((flag) => {
    const value = text(flags, flag);
    return value === undefined ? [] : [[flag, value] as const];
  });
  return createLocalBackend(running, { description: about, resumeFlags: resuming });
}

/**
 * @throws InferenceError `usage` if `url` is not an HTTP URL, or a flag applies to local models
 * only.
 */
function checkedUrl(url: string, flags: Flags): string {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw usageError(
      `Cannot use --url ${url}: it must be an HTTP URL such as http://localhost:8000`,
    );
  }
  const other = Object.keys(WORKER).find((name) => {
    const { env } = WORKER[name];
    return flags[name] !== undefined && flags[name] !== (env && Deno.env.get(env));
  });
  if (other) throw usageError(`Cannot use --${other} with --url: it applies to local models only`);
  return url.replace(/\/+$/, "");
}

function onStoreChange(problem: string | null): void {
  console.error(problem === null ? "The state store has recovered" : `The state store: ${problem}`);
}

function resumeLine(stateId: string, { resumeFlags: flags }: ChatBackend): string {
  const all = [["state", stateId] as const, ...flags];
  return `${CLI_COMMAND} chat ${
    all.map(([flag, value]) => `--${flag} ${quoted(value)}`).join(" ")
  }`;
}

/** Quotes a value as one shell word. */
function quoted(value: string): string {
  return /^[\w./:@%+,=-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
