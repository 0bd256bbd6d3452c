/**
 * `deno task pack`: packs the portable library as an npm tarball in `dist`. `deno pack` packs the staged
 * modules; this script then adds the package.json fields for which `deno pack` has no setting.
 */

import { stage } from "./stage.ts";

const DIST = new URL("../dist/", import.meta.url);

/** The package.json fields that `deno pack` does not write. */
const MANIFEST = {
  description:
    "RWKV-5 language models in TypeScript: checkpoints, tokenizer, engines on WebGPU or the CPU, " +
    "sampler, scheduler, and a client for workers that store conversations as states.",
  keywords: ["rwkv", "webgpu", "wgsl", "llm", "inference", "rnn"],
  engines: { node: ">=20" },
  sideEffects: false,
  // The application passes a GPU object; in Node, it comes from this package.
  peerDependencies: { webgpu: ">=0.6.0" },
  peerDependenciesMeta: { webgpu: { optional: true } },
};

/** @returns The tarball's path. */
export async function pack(): Promise<string> {
  const [staged, unpacked] = ["stage/", "npm/"].map((name) => new URL(name, DIST));
  await stage(staged);
  await Deno.remove(unpacked, { recursive: true }).catch(() => {});
  await Deno.mkdir(unpacked);
  // `deno pack` considers all files in an ignored folder uncommitted.
  await run(Deno.execPath(), ["pack", "--quiet", "--allow-dirty", "-o", "package.tgz"], staged);
  await run("tar", ["-xzf", "../stage/package.tgz"], unpacked);
  const file = new URL("package/package.json", unpacked);
  const manifest = { ...JSON.parse(await Deno.readTextFile(file)), ...MANIFEST };
  await Deno.writeTextFile(file, JSON.stringify(manifest, null, 2) + "\n");
  const name = `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`;
  await run("tar", ["-czf", `../${name}`, "package"], unpacked);
  return new URL(name, DIST).pathname;
}

async function run(command: string, args: string[], cwd: URL): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }
}

if (import.meta.main) console.log(await pack());
