/**
 * `deno task test:image`: executes `deploy/Dockerfile` in a folder, with debootstrap instead of
 * Docker, and tests the worker there. Needs root on Linux and takes about three minutes.
 */

import { buildRoot, type Image } from "./image_root.ts";
import { debian, ROOT, run, WORK } from "./tools.ts";

const started = Date.now();

function log(line: string): void {
  console.error(`${((Date.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`);
}

async function megabytes(folder: string): Promise<number> {
  return parseInt((await run("du", ["-sm", folder])).stdout);
}

Deno.exit(await main());

async function main(): Promise<number> {
  const root = await run("id", ["-u"]);
  if (Deno.build.os !== "linux" || root.stdout.trim() !== "0") {
    console.error("error: root on Linux is required for chroot and namespaces");
    return 2;
  }
  for (const program of ["debootstrap", "unshare", "ip"]) await debian(program);
  const image: Image = await buildRoot(log);
  const [all, base] = await Promise.all([image.root, image.base].map(megabytes));
  log(`the image takes ${all} MB, including ${base} MB of the base image`);
  await Deno.writeTextFile(`${WORK}/image.json`, JSON.stringify(image));
  // An empty network namespace, so that files missing from the image cannot be downloaded.
  const child = new Deno.Command("unshare", {
    args: ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"].concat(
      ...[Deno.execPath(), "test", "--no-check", "-A", "tests/suites/deploy/image_checks.ts"],
    ),
    cwd: ROOT,
  }).spawn();
  return (await child.status).code;
}
