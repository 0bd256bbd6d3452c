/**
 * `deno task bench:peers`: compares this engine with web-rwkv on the same adapter, with random
 * models of the same published size.
 *
 * Flags: `--shape 0.1b`, `--quant f16,int8` (a list), `--rounds N` (5), `--cases LIST`, `--json`.
 * Cases: `decode-B`, B concurrent sequences, in tokens per second over all of them; `prefill-N`, in
 * prompt tokens per second; `ttft-N`, in seconds to the first token, from the same measurement.
 * Both processes stay loaded and are measured alternately; one idles while the other works. A ratio
 * compares the two measurements of a round; above 1, this engine is faster.
 *
 * With int8 and nf4, web-rwkv keeps embedding and head in f16, so this engine does the same here.
 */

import { parseArgs } from "node:util";
import { summarize } from "../src/benchmark/cases.ts";
import type { ModelSize } from "../src/model/architectures/registry.ts";
import { lines } from "./peers/lines.ts";
import { numberFlag, usageError } from "../src/settings/flags.ts";
import { shapeFlag } from "../src/settings/model_settings.ts";

const PEER = new URL("./peers/web-rwkv/Cargo.toml", import.meta.url).pathname;
const OURS = new URL("./peers/ours.ts", import.meta.url).pathname;
const CASES = "decode-1,decode-8,decode-32,prefill-512,ttft-512";

/** Decoding steps of a measurement on a GPU. */
const GPU_STEPS = 128;

/** Decoding steps of one sequence on a software adapter: a few seconds on two cores. */
const SOFTWARE_STEPS: Readonly<Record<ModelSize, number>> = {
  "0.1b": 8,
  "0.4b": 3,
  "1.5b": 2,
  "3b": 2,
  "7b": 2,
};

interface Case {
  name: string;
  kind: "decode" | "prefill" | "ttft";
  /** Number of sequences, or tokens of the prompt. */
  size: number;
}

/** Seconds that each process measured, one pair per round. */
type Pairs = readonly { ours: number; peer: number }[];

interface Row {
  case: string;
  quant: string;
  ours: number;
  peer: number;
  ratio_median: number;
  ratio_min: number;
  ratio_max: number;
}

/** A process that measures one engine and answers each line of input with a line of output. */
class EngineProcess {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: AsyncGenerator<string, void>;

  constructor(readonly name: string, command: string, args: string[]) {
    const env = { XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") || "/tmp" };
    const options = { args, env, stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    this.#process = new Deno.Command(command, options).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = lines(this.#process.stdout);
  }

  /** Resolves when the model is loaded. */
  async ready(): Promise<{ adapter: string; software?: boolean }> {
    return JSON.parse(await this.#line());
  }

  async seconds(request: string): Promise<number> {
    await this.#input.write(new TextEncoder().encode(`${request}\n`));
    return JSON.parse(await this.#line()).seconds;
  }

  async close(): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#output.next();
    if (done) throw new Error(`${this.name} exited early; see its messages above`);
    return value;
  }
}

const { values: flags } = parseArgs({
  options: {
    shape: { type: "string", default: "0.1b" },
    quant: { type: "string", default: "f16,int8" },
    rounds: { type: "string", default: "5" },
    cases: { type: "string", default: CASES },
    json: { type: "boolean", default: false },
  },
});
const shape = shapeFlag(flags)!;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true })!;
const cases = flags.cases.split(",").map(parseCase);
const quants = flags.quant.split(",");
const unknown = quants.find((quant) => !["f16", "int8", "nf4"].includes(quant));
if (unknown !== undefined) {
  throw usageError(`Cannot use --quant ${unknown}: it must be a list of f16, int8 and nf4`);
}

await build();
const rows: Row[] = [];
for (const quant of quants) rows.push(...await compare(quant));
if (flags.json) console.log(JSON.stringify(rows));
else printTable(rows);

function parseCase(name: string): Case {
  const match = /^(decode|prefill|ttft)-([1-9]\d*)$/.exec(name);
  const size = Number(match?.[2]);
  if (!match || (match[1] === "decode" && size > 32)) {
    throw usageError(
      `Cannot use --cases ${name}: it must be like ${CASES}, with at most 32 sequences`,
    );
  }
  return { name, kind: match[1] as Case["kind"], size };
}

async function build(): Promise<void> {
  const args = ["build", "--release", "--quiet", "--manifest-path", PEER];
  try {
    const cargo = new Deno.Command("cargo", { args, stdout: "null", stderr: "inherit" });
    if ((await cargo.spawn().status).success) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(
      "Cannot build web-rwkv: cargo is not installed; install Rust from https://rustup.rs",
    );
    Deno.exit(1);
  }
  console.error("Cannot build web-rwkv: see cargo's messages above");
  Deno.exit(1);
}

/** Measures every case with the matrices of both engines stored as `quant`. */
async function compare(quant: string): Promise<Row[]> {
  const model = ["--shape", shape, "--quant"];
  const same = quant === "f16" ? quant : `${quant},emb=f16,head=f16`;
  // The processes start one after the other, because loading needs more memory than a loaded model.
  const ours = new EngineProcess("ours", Deno.execPath(), [
    "run",
    "-P=bench",
    "--no-prompt",
    OURS,
    ...model,
    same,
  ]);
  const { adapter, software } = await ours.ready();
  const run = ["run", "--release", "--quiet", "--manifest-path", PEER, "--", ...model, quant];
  const peer = new EngineProcess("web-rwkv", "cargo", run);
  const other = await peer.ready();
  console.error(`${shape} ${quant}: ours on ${adapter}, web-rwkv on ${other.adapter}`);

  const measured = new Map<string, Pairs>();
  const rows: Row[] = [];
  for (const one of cases) {
    const steps = stepsOf(one, software === true);
    const request = one.kind === "decode" ? `decode ${one.size} ${steps}` : `prefill ${one.size}`;
    let pairs = measured.get(request);
    if (!pairs) measured.set(request, pairs = await measureAlternately(request, ours, peer));
    rows.push(rowOf(one, quant, pairs, steps));
  }
  await Promise.all([ours.close(), peer.close()]);
  return rows;
}

/**
 * Returns the decoding steps of a case. On software adapters, larger batches use fewer steps,
 * because sequences share only the reading of weights and each step takes longer.
 */
function stepsOf({ kind, size }: Case, software: boolean): number {
  if (kind !== "decode") return 1;
  return software ? Math.max(2, Math.ceil(SOFTWARE_STEPS[shape] / Math.sqrt(size))) : GPU_STEPS;
}

async function measureAlternately(
  request: string,
  ours: EngineProcess,
  peer: EngineProcess,
): Promise<Pairs> {
  const pairs: { ours: number; peer: number }[] = [];
  for (let round = -1; round < rounds; round++) {
    const pair = { ours: await ours.seconds(request), peer: await peer.seconds(request) };
    // The first round creates pipelines and buffers.
    if (round >= 0) pairs.push(pair);
    console.error(
      `  ${request}: ours ${pair.ours.toFixed(2)} s, web-rwkv ${pair.peer.toFixed(2)} s`,
    );
  }
  return pairs;
}

function rowOf({ name, kind, size }: Case, quant: string, pairs: Pairs, steps: number): Row {
  const convert = (seconds: number) => kind === "ttft" ? seconds : size * steps / seconds;
  const ratio = summarize(pairs.map(({ ours, peer }) => peer / ours));
  return {
    case: name,
    quant,
    ours: summarize(pairs.map(({ ours }) => convert(ours))).median,
    peer: summarize(pairs.map(({ peer }) => convert(peer))).median,
    ratio_median: ratio.median,
    ratio_min: ratio.min,
    ratio_max: ratio.max,
  };
}

function printTable(rows: readonly Row[]): void {
  console.log("| case | weights | ours | web-rwkv | ratio | min | max |");
  console.log("|---|---|---|---|---|---|---|");
  for (const row of rows) {
    const unit = row.case.startsWith("ttft") ? "s" : "tokens/s";
    const { ratio_median, ratio_min, ratio_max } = row;
    const cells = [
      `${row.ours} ${unit}`,
      `${row.peer} ${unit}`,
      ratio_median,
      ratio_min,
      ratio_max,
    ];
    console.log(`| ${row.case} | ${row.quant} | ${cells.join(" | ")} |`);
  }
}
