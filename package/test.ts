/**
 * `deno task test:package`: packs the library, installs the tarball in a new Node project, type-checks
 * and compiles the project, and compares its results in Node with those of Deno.
 *
 * `--node VERSION` uses another version of Node from npm. `--gpu` also installs Dawn's `webgpu` and runs
 * the GPU engine. Exit status 2: npm is missing. Exit status 3: Dawn finds no adapter.
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { rwkv } from "../tests/suites/cli/run_cli.ts";
import { startWorkerProcess } from "../tests/suites/e2e/worker_process.ts";
import { pack } from "./pack.ts";

const ROOT = new URL("..", import.meta.url);
const MODEL = new URL("models/demo", ROOT).pathname;
const PROMPT = "User: Hi! My name is Ada.\n\nAssistant:";
const DAWN = "webgpu@0.6.2";

const { values: { node, gpu } } = parseArgs({
  options: { node: { type: "string" }, gpu: { type: "boolean", default: false } },
});

const folder = await Deno.makeTempDir({ prefix: "package-" });
let status = 1;
try {
  status = await main();
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(status);

async function main(): Promise<number> {
  const npm = await run("npm", ["--version"]);
  if (npm === null) {
    console.error("error: Cannot find npm: install Node 20 or later with npm");
    return 2;
  }
  await installPackage();
  // The whole project with the DOM's types, which include WebGPU's; the client without them; the rest
  // with `skipLibCheck`, which ignores the missing WebGPU types.
  for (const config of ["tsconfig.json", "tsconfig.client.json", "tsconfig.node.json"]) {
    await step(`type-checks with ${config}`, () => runOrFail("npx", ["tsc", "-p", config]));
  }
  const version = (await runOrFail(...nodeCommand(["--version"]))).trim();
  const stateId = await step(`the client works in Node ${version}`, testClient);
  const file = `${folder}/chat.rwkvstate`;
  const exported = await rwkv([
    "state",
    "export",
    stateId,
    file,
    "--kv",
    `${folder}/states.sqlite3`,
  ]);
  assert.equal(exported.code, 0, exported.stderr);
  await step("the library gives the same results as Deno", () => testLibrary(file, "cpu"));
  if (!gpu) return 0;
  const adapter = await testLibrary(file, "webgpu");
  if (adapter !== null) {
    console.log(`the GPU engine gives the same results on ${adapter}`);
    return 0;
  }
  console.error(
    `error: Cannot run the GPU engine in Node: ${DAWN} finds no adapter; install a Vulkan driver that ` +
      "it supports, or set VK_ICD_FILENAMES to a driver's …_icd.json, such as Chromium's",
  );
  return 3;
}

async function installPackage(): Promise<void> {
  const tarball = await step("packs", pack);
  await step("installs", async () => {
    for await (const { name } of Deno.readDir(new URL("project", import.meta.url))) {
      await Deno.copyFile(new URL(`project/${name}`, import.meta.url), `${folder}/${name}`);
    }
    const packages = gpu ? [tarball, DAWN] : [tarball];
    await runOrFail("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...packages]);
    const installed = [...Deno.readDirSync(`${folder}/node_modules`)].map(({ name }) => name);
    assert.deepEqual(installed.filter((name) => /hono|openai|ajv|progress/.test(name)), []);
  });
}

/** @returns The id of the conversation's last state. */
async function testClient(): Promise<string> {
  await using worker = await startWorkerProcess(`${folder}/states.sqlite3`, { device: "cpu" });
  const got = await inNode(["out/chat.js", worker.url]);
  assert.equal(got.streamed, got.joined);
  assert.equal(got.streamed, got.whole);
  assert.ok(got.first.length > 0 && got.pieces > 1);
  assert.deepEqual(got.transcript, [
    "user: Hi! My name is Ada.",
    `assistant: ${got.first}`,
    "user: What is my name?",
    `assistant: ${got.streamed}`,
  ]);
  assert.equal(got.model, "demo");
  assert.deepEqual(got.missing, [404, "state_not_found"]);
  assert.equal(await worker.stop(), 0, worker.log());
  return got.stateId;
}

/** @returns The adapter, or `null` if the GPU engine finds none. */
async function testLibrary(file: string, device: "cpu" | "webgpu"): Promise<string | null> {
  const flags = ["--model", MODEL, "--temperature", "0", "--max-tokens", "40", "--device", "cpu"];
  const generated = await rwkv(["generate", "--prompt", PROMPT, ...flags, "--json"]);
  assert.equal(generated.code, 0, generated.stderr);
  const tokenized = await rwkv(["tokenize", "--vocab", `${MODEL}/vocab.txt`, "--json"], PROMPT);
  const copy = `${folder}/copy-${device}.rwkvstate`;
  const result = await run(...nodeCommand(["out/library.js", MODEL, PROMPT, file, copy, device]));
  if (result?.code === 3 && device === "webgpu") return null;
  assert.equal(result?.code, 0, `${result?.stderr}`);
  const got = JSON.parse(result!.stdout);
  assert.deepEqual(got.ids, JSON.parse(tokenized.stdout));
  assert.equal(got.decoded, PROMPT);
  assert.ok(got.generated.length > 0);
  assert.equal(got.generated, JSON.parse(generated.stdout).text);
  assert.ok(device === "cpu" ? got.difference === 0 : got.difference < 1e-3, `${got.difference}`);
  assert.equal(got.state.model, got.state.own);
  assert.deepEqual(await Deno.readFile(copy), await Deno.readFile(file));
  return got.adapter;
}

function nodeCommand(args: string[]): [string, string[]] {
  return node === undefined ? ["node", args] : ["npx", ["-y", `node@${node}`, ...args]];
}

async function inNode(args: string[]) {
  return JSON.parse(await runOrFail(...nodeCommand(args)));
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  console.log(`${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  return result;
}

/** Runs a command in the project and returns its output; throws if it fails. */
async function runOrFail(command: string, args: string[]): Promise<string> {
  const result = await run(command, args);
  assert.equal(
    result?.code,
    0,
    `${command} ${args.join(" ")}:\n${result?.stdout}${result?.stderr}`,
  );
  return result!.stdout;
}

/** Runs a command in the project; returns `null` if the command does not exist. */
async function run(command: string, args: string[]) {
  try {
    const child = new Deno.Command(command, {
      args,
      cwd: folder,
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stdout, stderr } = await child.output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code, stdout: out, stderr: err };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
