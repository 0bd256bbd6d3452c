/** A conversation over a terminal or a pipe: sends messages, prints replies, and runs commands. */

import { ApiError } from "../../client/api_error.ts";
import { InferenceError } from "../../core/errors.ts";
import type { Message, TranscriptEntry } from "../../prompt/chat_template.ts";
import type { ChatInput } from "./line_input.ts";
import type { ChatBackend, ChatReply, ChatTurn } from "./backend.ts";
import type { ReplyStats } from "./stats.ts";
import { nearest } from "../../core/nearest.ts";
import { painter, printable } from "../output/terminal.ts";
import { printText } from "../output/print.ts";
import { usageError } from "../../settings/flags.ts";

/** Number of earlier messages to print when a conversation is resumed. */
const RESUMED_MESSAGES = 10;

/** A command that starts with a slash. */
export interface ChatCommand {
  name: string;
  /** Usage of the argument after the name. */
  argument?: string;
  help: string;
  run(dialogue: ChatDialogue, argument: string): Promise<void>;
}

export interface ChatDialogueOptions {
  backend: ChatBackend;
  commands: readonly ChatCommand[];
  input: ChatInput;
  /** Sampling parameters and limits of replies. */
  params: Pick<ChatTurn, "sampling" | "seed" | "maxTokens">;
  /** Whether input and output are a terminal. */
  interactive: boolean;
}

export class ChatDialogue {
  readonly backend: ChatBackend;
  /** State of the conversation, or `undefined` before the first message. */
  stateId: string | undefined;
  /** System message to send before the next message. */
  pendingSystemMessage: string | undefined;
  /** Statistics of the last reply. */
  stats: ReplyStats | undefined;
  readonly #options: ChatDialogueOptions;
  readonly #paint = painter(Deno.stderr);
  readonly #toTerminal = Deno.stdout.isTerminal();
  #quitting = false;

  constructor(options: ChatDialogueOptions) {
    this.backend = options.backend;
    this.#options = options;
  }

  /** Runs until the input ends or the user quits. */
  async run(): Promise<void> {
    const { input, interactive } = this.#options;
    while (!this.#quitting) {
      const line = await input.nextMessage();
      if (line === null) break;
      try {
        await this.#handleLine(line.trim());
      } catch (error) {
        // A user can correct the input. A script must see the failure.
        if (!interactive || !isUserError(error)) throw error;
        console.error(`${this.#paint("red", "error:")} ${error.message}`);
      }
    }
  }

  /** Quits after the current message or command. */
  quit(): void {
    this.#quitting = true;
  }

  /** Resumes from a state and prints the latest messages. */
  async resume(stateId: string): Promise<void> {
    const { messages, total } = await this.backend.recentMessages(stateId, RESUMED_MESSAGES);
    this.stateId = stateId;
    if (!this.#options.interactive) return;
    const earlier = total - messages.length;
    if (earlier > 0) this.notify(`(${earlier} earlier messages)`);
    for (const entry of messages) await this.print(entryText(entry));
  }

  /** Prints requested output to stdout. */
  async print(text: string): Promise<void> {
    await printText(`${this.#toTerminal ? printable(text) : text}\n`);
  }

  /** Prints a hint to stderr, in interactive chats only. */
  notify(text: string): void {
    if (this.#options.interactive) console.error(this.#paint("dim", text));
  }

  /** Sends messages, or continues the last reply if there are none, and prints the reply. */
  async send(messages: readonly Message[]): Promise<void> {
    const { backend, input, params } = this.#options;
    const { stateId } = this;
    const stop = new AbortController();
    const releaseInterrupts = input.captureInterrupts(() => stop.abort());
    const start = performance.now();
    let reply: ChatReply | undefined;
    let first: number | null = null;
    let last = start;
    try {
      reply = await backend.startTurn({ ...params, messages, stateId }, stop.signal);
      for await (const piece of reply) {
        last = performance.now();
        first ??= last;
        await printText(this.#toTerminal ? printable(piece) : piece);
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      releaseInterrupts();
      if (first !== null || reply?.result) await printText("\n");
      this.stateId = reply?.result?.stateId ?? reply?.stateId ?? stateId;
    }
    if (reply?.stateId) this.pendingSystemMessage = undefined;
    const { usage = null, finishReason, warning } = reply?.result ?? {};
    this.stats = {
      usage,
      timeToFirstTextMs: first && first - start,
      generationMs: first && last - first,
    };
    if (warning) console.error(warning);
    if (stop.signal.aborted) {
      this.notify(reply ? "(stopped)" : "(stopped before the reply started)");
    } else if (finishReason === "length") {
      this.notify(`(truncated after ${usage?.completion_tokens} tokens; /more continues it)`);
    }
  }

  async #handleLine(line: string): Promise<void> {
    if (line === "") return;
    const command = line.match(/^\/([a-z]+)(?:\s+([^]*))?$/i);
    if (command) return await this.#command(command[1].toLowerCase(), (command[2] ?? "").trim());
    const system = this.pendingSystemMessage === undefined
      ? []
      : [{ role: "system" as const, content: this.pendingSystemMessage }];
    await this.send([...system, { role: "user", content: line.replace(/^\/\//, "/") }]);
  }

  async #command(name: string, argument: string): Promise<void> {
    const { commands } = this.#options;
    const command = commands.find((command) => command.name === name);
    if (command) return await command.run(this, argument);
    const guess = nearest(name, commands.map(({ name }) => name));
    throw usageError(
      `Cannot run "/${name}": no such command` +
        (guess
          ? `, did you mean "/${guess}"?`
          : "; /help lists the commands, // starts a message with /"),
    );
  }
}

function entryText({ role, content }: TranscriptEntry): string {
  if (role === "assistant") return content;
  return role === "user" ? `> ${content}` : `(system) ${content}`;
}

function isUserError(error: unknown): error is Error {
  return error instanceof InferenceError || error instanceof ApiError;
}
