/**
 * Shared parts of the Python tasks: a virtual environment in `data/`, a worker with the demo model
 * on the CPU engine, and the task's exit status.
 */

import { startWorkerProcess } from "../e2e/worker_process.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;

export interface PythonTask {
  /** Name of the folder in `data/`. */
  name: string;
  /** The pip requirement, with a version range. */
  requirement: string;
  /** The name of its Python module. */
  module: string;
  /** Returns Python's arguments for a worker's URL. */
  args: (url: string) => string[];
  env?: Record<string, string>;
}

/**
 * Runs a task against its own worker.
 *
 * @returns The exit status; 2 without Python, pip and venv.
 */
export async function runPythonTask(task: PythonTask): Promise<number> {
  const folder = `${ROOT}data/${task.name}`;
  const python = await findPython();
  if (python === null) {
    console.error(
      "error: Cannot find Python 3.10 or later with pip and venv: install it, " +
        "on Debian the packages python3-pip and python3-venv",
    );
    return 2;
  }
  await Deno.mkdir(`${ROOT}data`, { recursive: true });
  const venvPython = `${folder}/bin/python`;
  if (await run(venvPython, ["-c", `import ${task.module}`], { output: "null" }) !== 0) {
    const created = await run(python, ["-m", "venv", "--clear", folder]);
    if (created !== 0) return created;
    const installed = await run(venvPython, ["-m", "pip", "install", "--quiet", task.requirement]);
    if (installed !== 0) return installed;
  }
  const kv = await Deno.makeTempFile({ dir: `${ROOT}data`, suffix: ".sqlite3" });
  try {
    await using worker = await startWorkerProcess(kv, { device: "cpu" });
    return await run(venvPython, task.args(worker.url), { cwd: folder, env: task.env ?? {} });
  } finally {
    for (const suffix of ["", "-shm", "-wal"]) await Deno.remove(kv + suffix).catch(() => {});
  }
}

async function findPython(): Promise<string | null> {
  const check = "import sys, pip, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
  for (const name of ["python3", "python"]) {
    if (await run(name, ["-c", check], { output: "null" }) === 0) return name;
  }
  return null;
}

/** Returns the exit status; 127 if the command does not exist. */
async function run(
  command: string,
  args: string[],
  { output = "inherit", ...options }: {
    output?: "inherit" | "null";
    cwd?: string;
    env?: Record<string, string>;
  } = {},
): Promise<number> {
  try {
    const child = new Deno.Command(command, { args, stdout: output, stderr: output, ...options });
    return (await child.output()).code;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 127;
    throw error;
  }
}
