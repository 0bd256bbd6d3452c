/** Reads stdin and writes stdout. */

/** Prints the JSON document of a command with `--json`. */
export async function printJson(value: unknown): Promise<void> {
  await printText(`${JSON.stringify(value)}\n`);
}

/** Writes a string to stdout completely. */
export async function printText(value: string): Promise<void> {
  const bytes = new TextEncoder().encode(value);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

/** Reads stdin to its end. */
export async function readStdin(): Promise<Uint8Array> {
  return await new Response(Deno.stdin.readable).bytes();
}
