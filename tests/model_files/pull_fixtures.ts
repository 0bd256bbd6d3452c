/** A fake hub, a model cache, and processes that tests can wait on. */

import { DEMO_MODEL } from "../../src/model_files/find_model.ts";
import { FakeHub } from "../hub/fake_hub.ts";
import { type CliResult, startRwkv } from "../suites/cli/run_cli.ts";
import { rwkv } from "../suites/cli/shared_cli.ts";

/** Repository of the demo model. */
export const DEMO = "a/demo";

export interface HubFixture {
  hub: FakeHub;
  /** Root of the cache, in a new folder. */
  home: string;
  env: Record<string, string>;
  run: (...args: string[]) => Promise<CliResult>;
}

/** Returns files of the demo model. */
export function demoFiles(...names: string[]): Record<string, Uint8Array<ArrayBuffer>> {
  return Object.fromEntries(
    names.map((name) => [name, Deno.readFileSync(`${DEMO_MODEL}/${name}`)]),
  );
}

/** Runs a test with a hub that has the demo model, and an empty cache. */
export async function withHub(run: (setting: HubFixture) => Promise<void>): Promise<void> {
  const hub = new FakeHub({
    [DEMO]: {
      "README.md": new TextEncoder().encode("A model.\n"),
      ...demoFiles("model.safetensors", "config.json", "vocab.txt"),
    },
  });
  const folder = await Deno.makeTempDir();
  const home = `${folder}/cache`;
  const env = { HF_ENDPOINT: hub.endpoint, RWKV_HOME: home, HF_TOKEN: "" };
  try {
    await run({ hub, home, env, run: (...args) => rwkv(args, "", { env }) });
  } finally {
    await hub.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns all files below a folder with their sizes. */
export async function filesBelow(folder: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (!isDirectory) files.set(path, (await Deno.stat(path)).size);
    else for (const [inner, size] of await filesBelow(path)) files.set(inner, size);
  }
  return files;
}

/** A running process whose stderr tests can wait on. */
export class RunningCommand {
  readonly child: Deno.ChildProcess;
  #stderr = "";
  #waiters: {
    pattern: RegExp;
    resolve: (match: RegExpMatchArray) => void;
    reject: (error: Error) => void;
  }[] = [];
  #ended = false;
  readonly #read: Promise<void>;

  constructor(args: string[], env: Record<string, string>) {
    this.child = startRwkv(args, { env });
    this.#read = this.#readStderr();
  }

  async #readStderr(): Promise<void> {
    for await (const text of this.child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr += text;
      this.#checkWaiters();
    }
    this.#ended = true;
    this.#checkWaiters();
  }

  #checkWaiters(): void {
    for (const { pattern, resolve } of this.#waiters) {
      const match = this.#stderr.match(pattern);
      if (match) resolve(match);
    }
    this.#waiters = this.#waiters.filter(({ pattern }) => !pattern.test(this.#stderr));
    if (!this.#ended) return;
    for (const { pattern, reject } of this.#waiters) {
      reject(new Error(`the process exited before a match for ${pattern}: ${this.#stderr}`));
    }
  }

  /** Resolves when stderr matches. Rejects if the process exits first. */
  waitForOutput(pattern: RegExp): Promise<RegExpMatchArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpMatchArray>();
    this.#waiters.push({ pattern, resolve, reject });
    this.#checkWaiters();
    return promise;
  }

  async end(signal?: Deno.Signal): Promise<CliResult> {
    if (signal) this.child.kill(signal);
    await this.child.stdin.close().catch(() => {});
    const stdout = await new Response(this.child.stdout).text();
    const { code } = await this.child.status;
    await this.#read;
    return { code, stdout, stderr: this.#stderr };
  }
}
