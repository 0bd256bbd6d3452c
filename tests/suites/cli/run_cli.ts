/** Runs the command line as a user would, in a process of its own. */

export const ROOT = new URL("../../..", import.meta.url).pathname;

/** What comes before a command's name and flags; run it in `ROOT`. */
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

/** `deno task rwkv ARGS`, with text on stdin; in another folder if told. */
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

/** The same, still running, with its streams to write and to read. */
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
