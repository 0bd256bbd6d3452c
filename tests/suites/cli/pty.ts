/** A program in a real terminal of 80 columns and 24 lines, whose keys a test presses. */

import assert from "node:assert/strict";
import { CLI, ROOT } from "./run_cli.ts";

/** What is waited for comes within this, or the test fails. */
const LIMIT_MS = 60_000;

export class Pty implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #output = "";
  #seen = 0;
  #wake: () => void = () => {};
  #ended = false;

  /** `deno task rwkv ARGS` there. */
  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const quoted = [Deno.execPath(), ...CLI, ...args]
      .map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(" ");
    // The terminal's own echo is on until the program turns it off.
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

  /** All that was written, as it was. */
  get output(): string {
    return this.#output;
  }

  async type(keys: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(keys));
  }

  /** Waits for what comes after all that was waited for before; returns it. */
  async see(pattern: RegExp): Promise<RegExpMatchArray> {
    const limit = AbortSignal.timeout(LIMIT_MS);
    limit.addEventListener("abort", () => this.#wake());
    while (true) {
      const found = plain(this.#output).slice(this.#seen).match(pattern);
      if (found) {
        this.#seen += found.index! + found[0].length;
        return found;
      }
      const rest = plain(this.#output).slice(this.#seen);
      assert.ok(!this.#ended && !limit.aborted, `${pattern} does not come:\n${rest}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Waits for its end; returns its exit status. */
  async end(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.end();
    await this.#keys.close().catch(() => {});
  }
}

/** Text without colours and movements of the cursor. */
export function plain(output: string): string {
  // deno-lint-ignore no-control-regex -- these are what a terminal is told
  return output.replace(/\x1b\[[\d;?]*[A-Za-z]|\x1b[78]|\r/g, "");
}
