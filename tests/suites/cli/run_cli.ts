/** Runs the command line in a separate process, as a user would. */

export const ROOT = new URL("../../..", import.meta.url).pathname;

/** Arguments of deno before the name of a command. Relative to `ROOT`. */
export const CLI = ["run", "-q", "-P=rwkv", "--no-prompt", "src/cli/main.ts"];

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  env?: Record<string, string>;
}

/** Runs `deno task rwkv ARGS` with `stdin`, in `ROOT` by default, and waits for its exit. */
export async function rwkv(
  args: string[],
  stdin: string | Uint8Array = "",
  options: CliOptions = {},
): Promise<CliResult> {
  const child = startRwkv(args, options);
  const feeding = new Response(stdin as BodyInit).body!.pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await feeding;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Starts `deno task rwkv ARGS` with piped streams. */
export function startRwkv(
  args: string[],
  { cwd = ROOT, env = {} }: CliOptions = {},
): Deno.ChildProcess {
  const [run, ...flags] = CLI;
  const main = flags.pop()!;
  return new Deno.Command(Deno.execPath(), {
    args: [run, "--config", `${ROOT}deno.json`, ...flags, `${ROOT}${main}`, ...args],
    cwd,
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}
