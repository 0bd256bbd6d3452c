/**
 * `deno task test:python`: OpenAI's Python client, in a virtual environment under `data/`, against
 * a worker with the demo model. Ends with status 2 where there is no Python with pip and venv.
 */

import { startWorkerProcess } from "../e2e/worker_process.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const FOLDER = `${ROOT}data/python-client`;
const PACKAGE = "openai>=2,<3";

Deno.exit(await main());

async function main(): Promise<number> {
  const python = await findPython();
  if (python === null) {
    console.error(
      "error: this needs Python 3.9 or later with pip and venv, and there is none: install it, on " +
        "Debian the packages python3-pip and python3-venv",
    );
    return 2;
  }
  await Deno.mkdir(`${ROOT}data`, { recursive: true });
  const own = `${FOLDER}/bin/python`;
  if (await run(own, ["-c", "import openai"], "null") !== 0) {
    const made = await run(python, ["-m", "venv", "--clear", FOLDER]);
    if (made !== 0) return made;
    const installed = await run(own, ["-m", "pip", "install", "--quiet", PACKAGE]);
    if (installed !== 0) return installed;
  }
  const kv = await Deno.makeTempFile({ dir: `${ROOT}data`, suffix: ".sqlite3" });
  try {
    await using worker = await startWorkerProcess(kv, { device: "cpu" });
    return await run(own, [`${ROOT}tests/python/client.py`, `${worker.url}/v1`]);
  } finally {
    for (const suffix of ["", "-shm", "-wal"]) await Deno.remove(kv + suffix).catch(() => {});
  }
}

async function findPython(): Promise<string | null> {
  const check = "import sys, pip, venv, ensurepip; sys.exit(sys.version_info < (3, 9))";
  for (const name of ["python3", "python"]) {
    if (await run(name, ["-c", check], "null") === 0) return name;
  }
  return null;
}

/** The exit status; 127 where there is no such command. */
async function run(
  command: string,
  args: string[],
  output: "inherit" | "null" = "inherit",
): Promise<number> {
  try {
    const child = new Deno.Command(command, { args, stdout: output, stderr: output });
    return (await child.output()).code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 127;
    throw error;
  }
}
