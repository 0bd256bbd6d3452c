/**
 * Runs all command lines of a test file in one process, which saves the startup of a process per
 * call. Tests of the process itself (signals, terminals, pipes, exit statuses) need `run_cli.ts`,
 * and so do commands that read lines from stdin, such as chat.
 */

import { type CliOptions, type CliResult, ROOT } from "./run_cli.ts";
import type { CliCall, CliOutcome } from "./shared_cli_main.ts";

const MAIN = "tests/suites/cli/shared_cli_main.ts";

/** The shared process of this test file. */
class SharedCli {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #read = "";
  /** Resolves when the previous call has ended. */
  #idle: Promise<unknown> = Promise.resolve();

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--no-check", "-P=rwkv", "--no-prompt", MAIN],
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Runs a command line after all previous calls. */
  call(call: CliCall): Promise<CliOutcome> {
    const outcome = this.#idle.then(() => this.#call(call));
    this.#idle = outcome.catch(() => {});
    return outcome;
  }

  async #call(call: CliCall): Promise<CliOutcome> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(call)}\n`));
    while (!this.#read.includes("\n")) {
      const { done, value } = await this.#reader.read();
      if (done) throw new Error(`the shared process has exited: ${call.args}`);
      this.#read += value;
    }
    const [line] = this.#read.split("\n", 1);
    this.#read = this.#read.slice(line.length + 1);
    return JSON.parse(line);
  }

  async end(): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#child.status;
  }
}

let shared: SharedCli;

Deno.test.beforeAll(() => void (shared = new SharedCli()));
Deno.test.afterAll(() => shared.end());

/** Runs `deno task rwkv ARGS` like `rwkv` in `run_cli.ts`. */
export async function rwkv(
  args: string[],
  stdin: string | Uint8Array<ArrayBuffer> = "",
  { cwd = ROOT, env = {} }: CliOptions = {},
): Promise<CliResult> {
  const bytes = await new Blob([stdin]).bytes();
  const { code, stdout, stderr } = await shared.call({ args, stdin: bytes.toBase64(), cwd, env });
  return { code, stdout: new TextDecoder().decode(Uint8Array.fromBase64(stdout)), stderr };
}
