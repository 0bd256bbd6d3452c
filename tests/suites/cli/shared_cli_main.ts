/**
 * Runs command lines one after another. Reads each call as a line of JSON from stdin and writes its
 * outcome as a line of JSON to stdout. `shared_cli.ts` starts it with the permissions of `deno task
 * rwkv`.
 */

import { format } from "node:util";
import { main } from "../../../src/cli/main.ts";

export interface CliCall {
  args: string[];
  /** Encoded as base64. */
  stdin: string;
  cwd: string;
  env: Record<string, string>;
}

export interface CliOutcome {
  code: number;
  /** Encoded as base64. */
  stdout: string;
  stderr: string;
}

if (import.meta.main) {
  const answer = Deno.stdout.write.bind(Deno.stdout);
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const text of lines) {
    const calls = (rest + text).split("\n");
    rest = calls.pop()!;
    for (const call of calls) {
      const outcome = JSON.stringify(await run(JSON.parse(call)));
      const bytes = new TextEncoder().encode(`${outcome}\n`);
      for (let at = 0; at < bytes.length;) at += await answer(bytes.subarray(at));
    }
  }
  // Commands may leave resources to the exit of the process, such as an engine thread.
  Deno.exit();
}

/** Runs a command with its own streams, working directory and environment. */
async function run({ args, stdin, cwd, env }: CliCall): Promise<CliOutcome> {
  const stdout: Uint8Array[] = [];
  let stderr = "";
  const before = Object.keys(env).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
  Deno.chdir(cwd);
  Deno.stdout.write = (bytes) => {
    stdout.push(bytes.slice());
    return Promise.resolve(bytes.length);
  };
  console.error = (...parts) => void (stderr += `${format(...parts)}\n`);
  Object.defineProperty(Deno.stdin, "readable", {
    configurable: true,
    get: () => new Blob([Uint8Array.fromBase64(stdin)]).stream(),
  });
  const code = await main(args);
  for (const [name, value] of before) {
    if (value === undefined) Deno.env.delete(name);
    else Deno.env.set(name, value);
  }
  const bytes = new Uint8Array(await new Blob(stdout as BlobPart[]).arrayBuffer());
  return { code, stdout: bytes.toBase64(), stderr };
}
