/**
 * `deno task fuzz`: runs every parser on damaged files and reports failures. Inputs that caused a
 * finding are saved in `data/fuzz`.
 */

import { parseArgs } from "node:util";
import { caseBytes } from "./cases.ts";
import { fuzz, fuzzBytes, type FuzzResult } from "./fuzzer.ts";
import { runHttp } from "./http/run_http.ts";
import { targetNamed, targets } from "./targets.ts";

const FOLDER = "data/fuzz";

const USAGE = `deno task fuzz [--cases N] [--seed N] [--only PARSER] [--limit-ms N]
deno task fuzz --only PARSER --file INPUT
deno task fuzz --http REQUESTS [--seed N] [--limit-ms N]`;

interface Run {
  name: string;
  seed: number;
  limitMs: number;
}

async function main(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      cases: { type: "string", default: "100000" },
      seed: { type: "string", default: "1" },
      only: { type: "string" },
      file: { type: "string" },
      http: { type: "string" },
      "limit-ms": { type: "string", default: "1000" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return true;
  }
  const [cases, seed, limitMs] = [values.cases, values.seed, values["limit-ms"]].map(wholeNumber);
  if (values.http !== undefined) {
    return await runHttp({ requests: wholeNumber(values.http), seed, limitMs });
  }
  const names = values.only ? [values.only] : (await targets()).map(({ name }) => name);
  if (values.file !== undefined) {
    const [name] = names;
    await targetNamed(name);
    const result = await fuzzBytes({ target: name, limitMs }, await Deno.readFile(values.file));
    console.log(result.findings[0]?.fault ?? (result.accepted ? "accepted" : "rejected"));
    return result.findings.length === 0;
  }
  let found = 0;
  let done = 0;
  for (const name of names) {
    const each = Math.ceil(cases / names.length);
    const result = await runTarget({ name, seed, limitMs }, each);
    found += result.findings.length;
    done += result.cases;
  }
  console.log(`${done} cases of ${names.length} parsers with seed ${seed}, ${found} findings`);
  return found === 0;
}

async function runTarget({ name, seed, limitMs }: Run, cases: number): Promise<FuzzResult> {
  const target = await targetNamed(name);
  const start = performance.now();
  const terminal = Deno.stderr.isTerminal();
  const progress = (text: string) =>
    terminal && Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  const result = await fuzz({
    target: name,
    seed,
    cases,
    limitMs,
    onProgress: (done) => progress(`${name}: ${done} of ${cases}`),
  });
  progress("");
  const { accepted, rejected, slowestMs, findings } = result;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${
      name.padEnd(14)
    } ${result.cases} cases, ${accepted} accepted, ${rejected} rejected, slowest ` +
      `${Math.round(slowestMs)} ms, ${seconds} s, ${findings.length} findings`,
  );
  // Similar findings are printed once.
  const groups = Map.groupBy(findings, ({ fault }) => fault.replaceAll(/\d+/g, "0"));
  for (const [{ index, fault }, ...others] of groups.values()) {
    await Deno.mkdir(FOLDER, { recursive: true });
    const path = `${FOLDER}/${name}-${seed}-${index}`;
    await Deno.writeFile(path, caseBytes(target, seed, index));
    const more = others.length > 0 ? ` (and ${others.length} like it)` : "";
    console.log(`  ${path}${more}: ${fault.replaceAll("\n", "\n    ")}`);
  }
  return result;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text)) return value;
  throw new Error(`${text} is not a whole number\n${USAGE}`);
}

if (import.meta.main) Deno.exit(await main(Deno.args) ? 0 : 1);
