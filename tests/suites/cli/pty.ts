/**
 * A program in a pseudo-terminal of 80 columns and 24 lines that receives key presses from a test.
 */

import assert from "node:assert/strict";
import { CLI, ROOT } from "./run_cli.ts";

/** Milliseconds after which waiting for output fails. */
const LIMIT_MS = 60_000;

export class Pty implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #output = "";
  #seen = 0;
  #wake: () => void = () => {};
  #ended = false;

  /** Runs `deno task rwkv ARGS` in the terminal. */
  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const quoted = [Deno.execPath(), ...CLI, ...args]
      .map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(" ");
    // The terminal echoes input until the program disables that.
    this.#child = new Deno.Command("script", {
      args: ["-qfec", `stty rows 24 cols 80; ${quoted}`, "/dev/null"],
      cwd: ROOT,
      env: { TERM: "xterm-256color", NO_COLOR: "", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#keys = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.#output += text;
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  /** The raw output so far. */
  get output(): string {
    return this.#output;
  }

  async type(keys: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(keys));
  }

  /** Waits for a match in the output after the previous match, and returns it. */
  async waitFor(pattern: RegExp): Promise<RegExpMatchArray> {
    const limit = AbortSignal.timeout(LIMIT_MS);
    limit.addEventListener("abort", () => this.#wake());
    while (true) {
      const found = plain(this.#output).slice(this.#seen).match(pattern);
      if (found) {
        this.#seen += found.index! + found[0].length;
        return found;
      }
      const rest = plain(this.#output).slice(this.#seen);
      assert.ok(!this.#ended && !limit.aborted, `no match for ${pattern}:\n${rest}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Waits until the program exits and returns its exit status. */
  async waitForExit(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.waitForExit();
    await this.#keys.close().catch(() => {});
  }
}

/** Removes colours and cursor movements. */
export function plain(output: string): string {
  // deno-lint-ignore no-control-regex -- terminal control sequences
  return output.replace(/\x1b\[[\d;?]*[A-Za-z]|\x1b[78]|\r/g, "");
}
