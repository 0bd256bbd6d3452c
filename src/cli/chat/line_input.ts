/**
 * Line input for a chat: from a terminal, with editing and history, or from a pipe.
 *
 * Terminal input passes through a stream before `node:readline` reads it. The stream joins a
 * multi-line paste into one message. While a reply is generated, it handles Ctrl-C and buffers
 * other input, so that typed text does not appear inside the reply.
 */

import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { PassThrough } from "node:stream";
import type { Paint } from "../output/terminal.ts";

export interface ChatInput {
  /** Returns the next message, or `null` at the end of the input. */
  nextMessage(): Promise<string | null>;
  /** Makes Ctrl-C call `stop` until the returned function is called. */
  captureInterrupts(stop: () => void): () => void;
  /** Ends the input. */
  close(): void;
}

/** Displayed in place of line breaks while a pasted message is edited in one line. */
const LINE_BREAK = "⏎";

const CTRL_C = "\x03";
const PASTE_START = "\x1b[200~";
const PASTE_END = "\x1b[201~";
const BRACKETED_PASTE = { on: "\x1b[?2004h", off: "\x1b[?2004l" };

/** Reads messages from stdin, one per line. */
export function pipedInput(): ChatInput {
  const lines = createInterface({ input: process.stdin, terminal: false })[Symbol.asyncIterator]();
  const closed = Promise.withResolvers<null>();
  return {
    nextMessage: () =>
      Promise.race([closed.promise, lines.next().then(({ done, value }) => done ? null : value)]),
    captureInterrupts: () => () => {},
    close: () => closed.resolve(null),
  };
}

/** Reads messages from a terminal and writes the prompt to stderr. */
export function terminalInput(
  { paint, words }: { paint: Paint; words: readonly string[] },
): ChatInput {
  return new TerminalInput(paint, words);
}

class TerminalInput implements ChatInput {
  readonly #keys: PassThrough = new PassThrough();
  readonly #terminal: Interface;
  readonly #paint: Paint;
  readonly #lines: string[] = [];
  readonly #pastes = new PasteFilter();
  #wake: () => void = () => {};
  #onInterrupt: (() => void) | null = null;
  #buffered = "";
  #warned = false;
  #closed = false;

  constructor(paint: Paint, words: readonly string[]) {
    this.#paint = paint;
    const decoder = new TextDecoder();
    const rawMode = (on: boolean) => process.stdin.setRawMode(on);
    Object.assign(this.#keys, { isTTY: true, setRawMode: rawMode });
    process.stdin.on("data", (bytes: Uint8Array) => {
      this.#receive(decoder.decode(bytes, { stream: true }));
    });
    process.stdin.on("end", () => this.close());
    this.#terminal = createInterface({
      input: this.#keys,
      output: process.stderr,
      terminal: true,
      prompt: paint("cyan", "> "),
      historySize: 1000,
      completer: (line: string) => [words.filter((word) => word.startsWith(line)), line],
    });
    process.stderr.write(BRACKETED_PASTE.on);
    this.#terminal.on("line", (line) => {
      this.#warned = false;
      this.#lines.push(line.replaceAll(LINE_BREAK, "\n"));
      this.#wake();
    });
    this.#terminal.on("SIGINT", () => this.#interrupt());
    // Without this listener readline would stop the process with a signal, which needs a
    // permission.
    this.#terminal.on("SIGTSTP", () => {});
    this.#terminal.on("close", () => {
      this.#closed = true;
      process.stderr.write(BRACKETED_PASTE.off);
      this.#wake();
    });
  }

  async nextMessage(): Promise<string | null> {
    if (this.#lines.length === 0 && !this.#closed) {
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      this.#terminal.prompt();
      this.#keys.write(this.#buffered);
      this.#buffered = "";
      await woken;
    }
    return this.#lines.shift() ?? null;
  }

  captureInterrupts(stop: () => void): () => void {
    this.#onInterrupt = stop;
    return () => this.#onInterrupt = null;
  }

  close(): void {
    this.#terminal.close();
    process.stdin.pause();
  }

  #receive(typed: string): void {
    if (this.#onInterrupt !== null && typed.includes(CTRL_C)) {
      this.#buffered = "";
      this.#lines.length = 0;
      this.#onInterrupt();
      return;
    }
    const keys = this.#pastes.push(typed);
    if (this.#onInterrupt === null) this.#keys.write(keys);
    else this.#buffered += keys;
  }

  /** Handles Ctrl-C outside of a reply: clears the line, or quits when pressed a second time. */
  #interrupt(): void {
    if (this.#terminal.line !== "") {
      this.#terminal.write(null, { ctrl: true, name: "e" });
      this.#terminal.write(null, { ctrl: true, name: "u" });
    } else if (this.#warned) {
      process.stderr.write("\n");
      this.close();
    } else {
      this.#warned = true;
      process.stderr.write(`\n${this.#paint("dim", "Press Ctrl-C again or Ctrl-D to quit.")}\n`);
      this.#terminal.prompt();
    }
  }
}

/** Removes the bracketed-paste markers and joins each paste into one line. */
export class PasteFilter {
  #pasting = false;
  #partialMarker = "";

  /** Returns the part of `typed` to pass to readline. */
  push(typed: string): string {
    let rest = this.#partialMarker + typed;
    let keys = "";
    while (true) {
      const marker = this.#pasting ? PASTE_END : PASTE_START;
      const at = rest.indexOf(marker);
      const end = at < 0
        ? rest.length - partialMarkerLength(rest, marker, this.#pasting ? 1 : 2)
        : at;
      const part = rest.slice(0, end);
      keys += this.#pasting ? oneLine(part) : part;
      if (at < 0) {
        this.#partialMarker = rest.slice(end);
        return keys;
      }
      this.#pasting = !this.#pasting;
      rest = rest.slice(at + marker.length);
    }
  }
}

/**
 * Returns how many characters of the start of `marker` the text ends with, or 0 if fewer than
 * `minLength`. Markers can be split between reads, but a single escape outside of a paste is a key.
 */
function partialMarkerLength(text: string, marker: string, minLength: number): number {
  for (let length = marker.length - 1; length >= minLength; length--) {
    if (text.endsWith(marker.slice(0, length))) return length;
  }
  return 0;
}

function oneLine(pasted: string): string {
  const line = pasted.replace(/\r\n?|\n/g, LINE_BREAK).replaceAll("\t", " ");
  // deno-lint-ignore no-control-regex -- control characters in a paste must not act as keys
  return line.replace(/[\x00-\x1f\x7f]/g, "");
}
