/** Finds or builds `denokv`, and runs a server process that tests can kill and restart. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";

const CACHE = new URL("../../../data/fleet/denokv", import.meta.url).pathname;
export const TOKEN = "a-token-of-the-fleet";

/** Returns the program in DENOKV, the one on PATH, or one that cargo builds once. */
export async function findDenokv(signal: AbortSignal): Promise<string> {
  const named = Deno.env.get("DENOKV");
  if (named) {
    assert.ok(await runs(named), `Cannot run DENOKV=${named}: set it to another program`);
    return named;
  }
  const built = `${CACHE}/bin/denokv`;
  for (const program of ["denokv", built]) if (await runs(program)) return program;
  console.error(
    "denokv is not installed: building it once in data/fleet by `cargo install denokv`, which takes minutes",
  );
  assert.ok(
    await runs("cargo"),
    "Cannot build denokv: cargo is not installed; install it or set DENOKV",
  );
  await mkdir(CACHE, { recursive: true });
  const args = ["install", "denokv", "--root", CACHE];
  const { success } = await new Deno.Command("cargo", { args, signal, stdout: "inherit" }).output();
  assert.ok(success, "Cannot build denokv: see cargo's messages above, or set DENOKV");
  return built;
}

async function runs(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--help"] }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

export interface KvServerOptions {
  program: string;
  /** The SQLite file that it serves. */
  file: string;
  port: number;
  /** Prevents further starts when aborted. */
  signal: AbortSignal;
}

export class KvServer implements AsyncDisposable {
  readonly #options: KvServerOptions;
  #child: Deno.ChildProcess | null = null;

  constructor(options: KvServerOptions) {
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#options.port}`;
  }

  /** Starts the server and waits until it responds. */
  async start(token = TOKEN): Promise<void> {
    const { program, file, port, signal } = this.#options;
    signal.throwIfAborted();
    this.#child = new Deno.Command(program, {
      args: ["--sqlite-path", file, "serve", "--access-token", token]
        .concat("--addr", `127.0.0.1:${port}`),
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let i = 0; i < 500; i++) {
      const response = await fetch(this.url, { method: "POST" }).catch(() => null);
      await response?.body?.cancel();
      if (response) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${program} does not respond on port ${port}`);
  }

  /** Sends SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    child?.kill("SIGKILL");
    await child?.status;
  }

  /** Suspends the server: it accepts connections and does not respond. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Returns a port that is currently free. */
export function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return (listener.addr as Deno.NetAddr).port;
}
