/** Runs test files in several processes, each with a batch of files. */

import { type Counts, type FileResult, fileResults, summaryCounts } from "./results.ts";

const ROOT = new URL("../../", import.meta.url);

/** JUnit files of the last run; `data` is the only folder in which tests leave files. */
const JUNIT = "data/tests";

/** Concurrent processes. Each also keeps the software adapter's threads busy. */
export const JOBS = Math.min(4, navigator.hardwareConcurrency);

/** Batches for each process: few enough to start quickly, enough to share the work evenly. */
const BATCHES_PER_JOB = 8;

/** Minutes after which a batch counts as hung and is killed. */
const TIMEOUT_MINUTES = 20;

/** Flags of all test processes. */
export const TEST_FLAGS = ["-A", "--unstable-kv", "--lock=tests/deno.lock"];

/** Suites that have their own tasks. */
export const OTHER_SUITES = ["tests/suites/clients", "tests/suites/browser"];

/** Outcome of all batches. */
export interface SuiteResult extends Counts {
  files: FileResult[];
}

/**
 * Runs every test file and the type checker; prints a line for each file, and the output of failed
 * batches.
 */
export async function runSuite(env: Record<string, string>): Promise<SuiteResult> {
  const result: SuiteResult = { passed: 0, failed: 0, files: [] };
  await Deno.mkdir(new URL(JUNIT, ROOT), { recursive: true });
  for await (const { name } of Deno.readDir(new URL(JUNIT, ROOT))) {
    await Deno.remove(new URL(`${JUNIT}/${name}`, ROOT));
  }
  const jobs = batches(testFiles(), JOBS * BATCHES_PER_JOB).map((files, i) => async () => {
    const junit = `${JUNIT}/junit-${i}.xml`;
    const args = ["test", "--no-check", ...TEST_FLAGS, `--junit-path=${junit}`, ...files];
    const { output, success } = await run(args, env);
    // A process that crashed before its summary, or that leaked, counts as failed.
    const counts = summaryCounts(output) ?? { passed: 0, failed: 0 };
    const failed = success ? 0 : Math.max(1, counts.failed);
    const results = await Deno.readTextFile(new URL(junit, ROOT)).then(fileResults, () => []);
    for (const { file, tests, seconds } of failed > 0 ? [] : results) {
      console.log(`ok ${seconds.toFixed(1).padStart(6)} s  ${file.replace("./", "")} (${tests})`);
    }
    if (failed > 0) console.log(output);
    result.passed += counts.passed;
    result.failed += failed;
    result.files.push(...results);
  });
  const checkTypes = async () => {
    const { output, success } = await run(
      ["check", "-q", "--lock=tests/suites/clients/deno.lock"],
      env,
    );
    console.log(success ? "ok types" : output);
    if (!success) result.failed++;
  };
  const queue = [checkTypes, ...jobs];
  const work = async () => {
    for (let job; (job = queue.shift());) await job();
  };
  await Promise.all(Array.from({ length: JOBS }, work));
  return result;
}

/** Returns the paths of all test files, from the project's root, in alphabetical order. */
function testFiles(): string[] {
  const files: string[] = [];
  const visit = (folder: string) => {
    if (OTHER_SUITES.includes(folder)) return;
    for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
      const path = `${folder}/${name}`;
      if (isDirectory) visit(path);
      else if (name.endsWith("_test.ts")) files.push(path);
    }
  };
  visit("tests");
  return files.sort();
}

/** Distributes files round-robin, so that files of a slow folder are in different batches. */
function batches(files: readonly string[], count: number): string[][] {
  const groups = Array.from({ length: count }, (_, i) => files.filter((_, at) => at % count === i));
  return groups.filter(({ length }) => length > 0);
}

async function run(
  args: string[],
  env: Record<string, string>,
): Promise<{ output: string; success: boolean }> {
  const signal = AbortSignal.timeout(TIMEOUT_MINUTES * 60_000);
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env,
    signal,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  return { success, output: signal.aborted ? `${output}\nkilled: time limit exceeded` : output };
}
