/**
 * What the tasks in Python have in common: a virtual environment under `data/`, a worker with the
 * demo model on the CPU engine, and a status for the task.
 */

import { startWorkerProcess } from "../e2e/worker_process.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;

export interface PythonTask {
  /** Of the folder under `data/`. */
  name: string;
  /** What pip installs, with a range of versions. */
  requirement: string;
  /** Its name in Python. */
  module: string;
  /** Arguments for Python, given the worker's URL. */
  args: (url: string) => string[];
  env?: Record<string, string>;
}

/**
 * Runs a task against a worker of its own.
 *
 * @returns The exit status; 2 where there is no Python with pip and venv.
 */
export async function runPythonTask(task: PythonTask): Promise<number> {
  const folder = `${ROOT}data/${task.name}`;
  const python = await findPython();
  if (python === null) {
    console.error(
      "error: this needs Python 3.10 or later with pip and venv, and there is none: install it, " +
        "on Debian the packages python3-pip and python3-venv",
    );
    return 2;
  }
  await Deno.mkdir(`${ROOT}data`, { recursive: true });
  const own = `${folder}/bin/python`;
  if (await run(own, ["-c", `import ${task.module}`], { output: "null" }) !== 0) {
    const made = await run(python, ["-m", "venv", "--clear", folder]);
    if (made !== 0) return made;
    const installed = await run(own, ["-m", "pip", "install", "--quiet", task.requirement]);
    if (installed !== 0) return installed;
  }
  const kv = await Deno.makeTempFile({ dir: `${ROOT}data`, suffix: ".sqlite3" });
  try {
    await using worker = await startWorkerProcess(kv, { device: "cpu" });
    return await run(own, task.args(worker.url), { cwd: folder, env: task.env ?? {} });
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

/** The exit status; 127 where there is no such command. */
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
