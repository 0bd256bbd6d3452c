/**
 * `deno task test:package`: packs the library, installs the tarball in a Node project of its own,
 * type-checks and compiles that against it, and holds what it does under Node against Deno.
 *
 * `--node VERSION` runs it under another Node, from npm. `--gpu` installs Dawn's `webgpu` as well and
 * computes with it, and ends with status 3 where that finds no adapter. Status 2: there is no npm.
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
    console.error("error: this needs Node 20 or later with npm, and there is none: install it");
    return 2;
  }
  await installPackage();
  // All of it with the DOM's types, which have WebGPU's; the client without; the rest, where what
  // types of WebGPU are missing is not looked at.
  for (const config of ["tsconfig.json", "tsconfig.client.json", "tsconfig.node.json"]) {
    await step(`types hold by ${config}`, () => need("npx", ["tsc", "-p", config]));
  }
  const version = (await need(...nodeCommand(["--version"]))).trim();
  const talked = await step(`the client talks to a worker, in Node ${version}`, talk);
  const file = `${folder}/talk.rwkvstate`;
  const exported = await rwkv([
    "state",
    "export",
    talked,
    file,
    "--kv",
    `${folder}/states.sqlite3`,
  ]);
  assert.equal(exported.code, 0, exported.stderr);
  await step("the library does what Deno does", () => library(file, "cpu"));
  if (!gpu) return 0;
  const found = await library(file, "webgpu");
  if (found !== null) {
    console.log(`and so does its GPU engine, on ${found}`);
    return 0;
  }
  console.error(
    `error: ${DAWN} finds no adapter here, so the GPU engine was not run in Node: install a Vulkan ` +
      "driver that it takes, or name one, such as Chromium's, by VK_ICD_FILENAMES=…_icd.json",
  );
  return 3;
}

async function installPackage(): Promise<void> {
  const tarball = await step("packs", pack);
  await step("installs", async () => {
    for await (const { name } of Deno.readDir(new URL("project", import.meta.url))) {
      await Deno.copyFile(new URL(`project/${name}`, import.meta.url), `${folder}/${name}`);
    }
    const own = gpu ? [tarball, DAWN] : [tarball];
    await need("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...own]);
    const installed = [...Deno.readDirSync(`${folder}/node_modules`)].map(({ name }) => name);
    assert.deepEqual(installed.filter((name) => /hono|openai|ajv|progress/.test(name)), []);
  });
}

/** @returns The id of the state that the talk has come to. */
async function talk(): Promise<string> {
  await using worker = await startWorkerProcess(`${folder}/states.sqlite3`, { device: "cpu" });
  const got = await inNode(["out/talk.js", worker.url]);
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

/** @returns The adapter, or `null` where a GPU is wanted and there is none. */
async function library(file: string, device: "cpu" | "webgpu"): Promise<string | null> {
  const flags = ["--model", MODEL, "--temperature", "0", "--max-tokens", "40", "--device", "cpu"];
  const plain = await rwkv(["generate", "--prompt", PROMPT, ...flags, "--json"]);
  assert.equal(plain.code, 0, plain.stderr);
  const tokenized = await rwkv(["tokenize", "--vocab", `${MODEL}/vocab.txt`, "--json"], PROMPT);
  const copy = `${folder}/copy-${device}.rwkvstate`;
  const ran = await run(...nodeCommand(["out/library.js", MODEL, PROMPT, file, copy, device]));
  if (ran?.code === 3 && device === "webgpu") return null;
  assert.equal(ran?.code, 0, `${ran?.stderr}`);
  const got = JSON.parse(ran!.stdout);
  assert.deepEqual(got.ids, JSON.parse(tokenized.stdout));
  assert.equal(got.decoded, PROMPT);
  assert.ok(got.generated.length > 0);
  assert.equal(got.generated, JSON.parse(plain.stdout).text);
  assert.ok(device === "cpu" ? got.difference === 0 : got.difference < 1e-3, `${got.difference}`);
  assert.equal(got.state.model, got.state.own);
  assert.deepEqual(await Deno.readFile(copy), await Deno.readFile(file));
  return got.adapter;
}

function nodeCommand(args: string[]): [string, string[]] {
  return node === undefined ? ["node", args] : ["npx", ["-y", `node@${node}`, ...args]];
}

async function inNode(args: string[]) {
  return JSON.parse(await need(...nodeCommand(args)));
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  console.log(`${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  return result;
}

/** What a command in the project prints; throws where it fails. */
async function need(command: string, args: string[]): Promise<string> {
  const ran = await run(command, args);
  assert.equal(ran?.code, 0, `${command} ${args.join(" ")}:\n${ran?.stdout}${ran?.stderr}`);
  return ran!.stdout;
}

/** `null` where there is no such command. */
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
