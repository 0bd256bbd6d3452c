/** `deno task fuzz --http N`: sends damaged requests and prints a summary. */

import { fuzzHttp } from "./http_fuzzer.ts";

const FOLDER = "data/fuzz";

/** Maximum memory growth in bytes; caches fill once. */
const MAX_GROWTH = 64 * 1024 * 1024;

/** @returns Whether there were no findings. */
export async function runHttp(
  { requests, seed, limitMs }: { requests: number; seed: number; limitMs: number },
): Promise<boolean> {
  const terminal = Deno.stderr.isTerminal();
  const result = await fuzzHttp({
    requests,
    seed,
    limitMs,
    onProgress: (done) => {
      const text = `\r\x1b[K${done < requests ? `${done} of ${requests} requests` : ""}`;
      if (terminal) Deno.stderr.writeSync(new TextEncoder().encode(text));
    },
  });
  const statuses = [...result.statuses].sort(([a], [b]) => a - b)
    .map(([status, count]) => `${count} x ${status === 0 ? "not sent" : status}`);
  console.log(
    `${result.requests} requests with seed ${seed}: ${statuses.join(", ")}; slowest ` +
      `${Math.round(result.slowestMs)} ms, memory grown by ${
        Math.round(result.grown / 2 ** 20)
      } MiB, ` +
      `${result.findings.length} findings`,
  );
  for (const { index, request, fault } of result.findings) {
    await Deno.mkdir(FOLDER, { recursive: true });
    const path = `${FOLDER}/http-${seed}-${index}.json`;
    const { body } = request;
    const shown = body instanceof Uint8Array ? { base64: body.toBase64() } : body;
    await Deno.writeTextFile(path, JSON.stringify({ ...request, body: shown }));
    console.log(`  ${path}: ${fault.slice(0, 1500).replaceAll("\n", "\n    ")}`);
  }
  if (result.grown > MAX_GROWTH) console.log("Memory grew by more than the size of all caches");
  return result.findings.length === 0 && result.grown <= MAX_GROWTH;
}
