/**
 * Builds the image as a folder by executing `deploy/Dockerfile` with debootstrap instead of Docker.
 * Layers and image metadata are missing.
 */

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type Instruction, pairs, parseDockerfile, type Stage } from "./dockerfile.ts";
import { debian, mustRun, ROOT, WORK } from "./tools.ts";

/** The image and its run configuration. */
export interface Image {
  root: string;
  /** Root folder of the base image. */
  base: string;
  env: Record<string, string>;
  folder: string;
  user: string;
  entrypoint: string[];
  command: string[];
  healthcheck: string[];
  stopSignal: Deno.Signal;
}

/** Debian release names by the version in a tag. */
const SUITES: Record<string, string> = { 12: "bookworm", 13: "trixie" };

/** Certificates of this machine, which proxied registries may need. */
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
const SHOWN = "/run/certificates.crt";

export async function buildRoot(log: (line: string) => void): Promise<Image> {
  await mustRun("rm", ["-rf", `${WORK}/image`]);
  const built = new Map<string, Image>();
  let last: Image | undefined;
  for (const stage of await parseDockerfile(`${ROOT}deploy/Dockerfile`)) {
    last = await buildStage(stage, built, log);
    if (stage.name) built.set(stage.name, last);
  }
  assert.ok(last);
  return last;
}

async function buildStage(
  stage: Stage,
  built: ReadonlyMap<string, Image>,
  log: (line: string) => void,
): Promise<Image> {
  const image: Image = {
    root: `${WORK}/image/${stage.name ?? "final"}`,
    base: await base(stage.from, log),
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    folder: "/",
    user: "0:0",
    entrypoint: [],
    command: [],
    healthcheck: [],
    stopSignal: "SIGKILL",
  };
  await mustRun("mkdir", ["-p", dirname(image.root)]);
  await mustRun("cp", ["-a", image.base, image.root]);
  const args: Record<string, string> = {};
  for (const instruction of stage.instructions) {
    const { cmd, value } = instruction;
    log(`${cmd} ${[...instruction.flags, ...value].join(" ").replaceAll(/ +/g, " ")}`);
    if (cmd === "RUN") {
      await mustRun(...inRoot({ ...image, env: { ...image.env, ...args } }, value));
    } else if (cmd === "COPY") await copy(image, instruction, built);
    else if (cmd === "ENV") Object.assign(image.env, Object.fromEntries(pairs(instruction)));
    else if (cmd === "ARG") Object.assign(args, Object.fromEntries([value[0].split("=")]));
    else if (cmd === "USER") image.user = value[0];
    else if (cmd === "WORKDIR") {
      await mustRun("mkdir", ["-p", image.root + (image.folder = value[0])]);
    } else if (cmd === "ENTRYPOINT") image.entrypoint = execForm(instruction, value);
    else if (cmd === "CMD") image.command = execForm(instruction, value);
    else if (cmd === "HEALTHCHECK") image.healthcheck = execForm(instruction, value.slice(1));
    else if (cmd === "STOPSIGNAL") image.stopSignal = value[0] as Deno.Signal;
    else assert.ok(["VOLUME", "EXPOSE"].includes(cmd), `unknown instruction ${cmd}`);
  }
  return image;
}

/** Rejects the shell form, in which a shell would not forward signals. */
function execForm({ cmd, json }: Instruction, value: string[]): string[] {
  assert.ok(json, `${cmd} is not in exec form`);
  return value;
}

/** Returns a minimal Debian of the release in a tag. Built once and cached. */
async function base(from: string, log: (line: string) => void): Promise<string> {
  const suite = SUITES[from.match(/^debian:(\d+)/)?.[1] ?? ""];
  assert.ok(suite, `only Debian base images are supported, not ${from}`);
  const folder = `${WORK}/base-${suite}`;
  if (await Deno.stat(folder).then(() => true, () => false)) return folder;
  log(`debootstrap ${suite}, in place of ${from}`);
  const part = `${folder}.part`;
  await mustRun("rm", ["-rf", part]);
  await mustRun("mkdir", ["-p", part]);
  await mustRun(await debian("debootstrap"), ["--variant=minbase", suite, part]);
  await slim(part);
  await Deno.rename(part, folder);
  return folder;
}

/** Removes package archives and documentation, like Docker's slim images. */
async function slim(root: string): Promise<void> {
  const folders = ["doc", "info", "locale", "man"].map((name) => `/usr/share/${name}`);
  await Deno.writeTextFile(
    `${root}/etc/apt/apt.conf.d/docker-clean`,
    'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n' +
      'APT::Keep-Downloaded-Packages "false";\nDir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
  );
  await Deno.writeTextFile(
    `${root}/etc/dpkg/dpkg.cfg.d/docker`,
    folders.map((folder) => `path-exclude ${folder}/*\n`).join(""),
  );
  const script = `rm -rf ${
    ["/var/cache/apt/*.bin", "/var/cache/apt/archives/*.deb"].concat(
      ["/var/lib/apt/lists/*", ...folders.map((folder) => `${folder}/*`)],
    ).join(" ")
  }`;
  await mustRun("chroot", [root, "sh", "-c", script]);
}

/** Returns the command that runs a shell line in the image with this machine's network. */
function inRoot(image: Image, [line]: string[]): Parameters<typeof mustRun> {
  const { root } = image;
  const certificates = root + SHOWN;
  const setUp = `cp /etc/resolv.conf ${root}/etc/resolv.conf; touch ${certificates}
    mount --bind ${CERTIFICATES} ${certificates} || rm ${certificates}`;
  const env = { ...image.env, NODE_EXTRA_CA_CERTS: SHOWN, DENO_CERT: SHOWN };
  return isolated({ ...image, env }, ["/bin/sh", "-c", line], setUp);
}

/**
 * Returns the command that runs a program in the image as process 1, with the image's user and
 * environment.
 */
export function isolated(
  { root, env, folder, user }: Pick<Image, "root" | "env" | "folder" | "user">,
  command: readonly string[],
  setUp = "",
): [string, string[]] {
  const [uid, gid] = user.split(":");
  const script = `set -e
    mount --bind ${root} ${root}
    mount -t proc proc ${root}/proc
    mount --rbind /dev ${root}/dev
    ${setUp}
    exec env -i "$@"`;
  const entries = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const asUser = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs"];
  return ["unshare", [
    ...["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"],
    ...entries,
    ...["chroot", root, ...(uid === "0" ? [] : asUser), "env", "-C", folder, ...command],
  ]];
}

async function copy(
  { root, folder }: Image,
  { flags, value }: Instruction,
  built: ReadonlyMap<string, Image>,
): Promise<void> {
  const stage = flags.find((flag) => flag.startsWith("--from="))?.slice("--from=".length);
  const sources = value.slice(0, -1);
  const target = value.at(-1)!;
  const to = root + (target.startsWith("/") ? target : `${folder}/${target}`);
  const allowed = await dockerContext();
  for (const source of sources) {
    const from = stage ? built.get(stage)!.root + source : ROOT + source;
    if (!stage) assert.ok(allowed.includes(source), `.dockerignore excludes ${source}`);
    const isFolder = (await Deno.stat(from)).isDirectory;
    const into = isFolder || !target.endsWith("/") ? to : to + source.replace(/^.*\//, "");
    await mustRun("mkdir", ["-p", isFolder ? into : dirname(into)]);
    await mustRun("cp", ["-a", "--no-preserve=ownership", isFolder ? `${from}/.` : from, into]);
  }
}

/** Returns the paths in `.dockerignore`, which excludes everything else. */
async function dockerContext(): Promise<string[]> {
  const lines = (await Deno.readTextFile(`${ROOT}.dockerignore`)).split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(lines[0], "*");
  assert.ok(lines.slice(1).every((line) => /^![\w./]+$/.test(line)), "a line is not a plain path");
  return lines.slice(1).map((line) => line.slice(1));
}
