/** A `denokv` server: where its program is from, and a process of it that is killed and put up again. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";

const CACHE = new URL("../../../data/fleet/denokv", import.meta.url).pathname;
export const TOKEN = "a-token-of-the-fleet";

/** The program that DENOKV names, the one on PATH, or one that cargo builds once. */
export async function findDenokv(signal: AbortSignal): Promise<string> {
  const named = Deno.env.get("DENOKV");
  if (named) {
    assert.ok(await runs(named), `Cannot run ${named}, which DENOKV names: give another program`);
    return named;
  }
  const built = `${CACHE}/bin/denokv`;
  for (const program of ["denokv", built]) if (await runs(program)) return program;
  console.error(
    "There is no denokv: `cargo install denokv` builds it in data/fleet, once; that takes minutes",
  );
  assert.ok(await runs("cargo"), "Cannot build denokv: install cargo, or set DENOKV to a program");
  await mkdir(CACHE, { recursive: true });
  const args = ["install", "denokv", "--root", CACHE];
  const { success } = await new Deno.Command("cargo", { args, signal, stdout: "inherit" }).output();
  assert.ok(success, "Cannot build denokv: see what cargo says above, or set DENOKV to a program");
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
  /** Lets it start no more. */
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

  /** Starts it, and waits until it answers. */
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
      const answer = await fetch(this.url, { method: "POST" }).catch(() => null);
      await answer?.body?.cancel();
      if (answer) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${program} does not answer on port ${port}`);
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    child?.kill("SIGKILL");
    await child?.status;
  }

  /** Lets it hang: it takes connections and does nothing. */
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

/** A port that is free now. */
export function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return (listener.addr as Deno.NetAddr).port;
}
