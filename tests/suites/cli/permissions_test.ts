/**
 * Permissions of the worker with `deno task start` and with `deploy/start.sh`: everything it needs
 * and nothing else.
 */

import assert from "node:assert/strict";
import { sendMessage } from "../e2e/worker_process.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;
const PROBE = `${ROOT}tests/suites/cli/permissions_probe.ts`;

const FORBIDDEN = [
  ["write", "/tmp/permissions-probe"],
  ["write", `${ROOT}permissions-probe`],
  ["write", `${ROOT}data/../permissions-probe`],
  ["write", `${ROOT}database`],
  ["env", "AWS_SECRET_ACCESS_KEY"],
  ["env", "PATH"],
  ["run", "true"],
  ["run", Deno.execPath()],
  ["ffi", "libc.so.6"],
  ["hostname"],
  ["import", "deno.land"],
];

interface Started {
  url: string;
  stop(): Promise<string>;
}

async function output(
  program: string,
  args: string[],
  options: Deno.CommandOptions = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, ...options })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Returns the attempts with the result that the probe reports for each. */
async function attempt(attempts: string[][], run: (attempts: string) => Promise<string>) {
  const results: string[] = JSON.parse(await run(JSON.stringify(attempts)));
  return attempts.map((one, i) => [...one, results[i]].join(" "));
}

function withResult(attempts: string[][], result: string): string[] {
  return attempts.map((one) => [...one, result].join(" "));
}

async function startWorker(
  program: string,
  args: string[],
  options: Deno.CommandOptions,
): Promise<Started> {
  const child = new Deno.Command(program, {
    args,
    ...options,
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<string>();
  let log = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      log += text;
      const port = log.match(/Serving on http:\/\/localhost:(\d+)/)?.[1];
      if (port && log.includes('"Ready"')) listening.resolve(`http://127.0.0.1:${port}`);
    }
    listening.reject(new Error(`the worker exited before it was ready:\n${log}`));
  })();
  return {
    url: await listening.promise,
    stop: async () => {
      child.kill("SIGTERM");
      assert.equal((await child.status).code, 0, log);
      await reading;
      return log;
    },
  };
}

/** Runs a turn, restarts the worker, and runs a turn that resumes the first one. */
async function runTwoTurns(start: () => Promise<Started>): Promise<string> {
  const first = await start();
  const { stateId } = await sendMessage(first.url, "Hi! My name is Zorvin.", { maxTokens: 8 });
  await first.stop();
  const second = await start();
  await sendMessage(second.url, "What is my name?", { stateId, maxTokens: 8 });
  return await second.stop();
}

Deno.test("deno task start may read, listen and write to ./data, and nothing else", async () => {
  const allowed = [
    ["read", `${ROOT}README.md`],
    ["write", `${ROOT}data/permissions-probe`],
    ["listen", "127.0.0.1", "0"],
    ["env", "RWKV_MODEL"],
    ["env", "DENO_KV_ACCESS_TOKEN"],
    ["memory"],
  ];
  await Deno.mkdir(`${ROOT}data`, { recursive: true });
  const run = (attempts: string) =>
    output(Deno.execPath(), ["run", "-P=start", "--no-prompt", PROBE, attempts], { cwd: ROOT });
  assert.deepEqual(await attempt(allowed, run), withResult(allowed, "done"));
  assert.deepEqual(await attempt(FORBIDDEN, run), withResult(FORBIDDEN, "NotCapable"));
});

Deno.test("deno task start has all permissions that it needs", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const [program, ...args] = tasks.start.command.split(" ");
  assert.equal(program, "deno");
  const kv = `data/permissions-${crypto.randomUUID()}.sqlite3`;
  try {
    await runTwoTurns(() =>
      startWorker(Deno.execPath(), [...args, "--port", "0", "--kv", kv], { cwd: ROOT })
    );
  } finally {
    for (const end of ["", "-shm", "-wal"]) await Deno.remove(ROOT + kv + end).catch(() => {});
  }
});

/** Runs `deploy/start.sh` in a new folder with `program` as the `deno` on its PATH. */
async function withStartScript(
  program: string,
  body: (folder: string, options: Deno.CommandOptions) => Promise<void>,
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${folder}/data`);
    await Deno.writeTextFile(`${folder}/deno`, program, { mode: 0o755 });
    const env = { PATH: `${folder}:${Deno.env.get("PATH")}`, PORT: "0", RWKV_DEVICE: "cpu" };
    await body(folder, { cwd: folder, env });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const unix = { ignore: Deno.build.os === "windows" };

Deno.test(
  "deploy/start.sh grants the permissions that the settings need, and nothing else",
  unix,
  async () => {
    // Runs the probe with the permissions that the script gives the worker.
    const program = `#!/bin/sh
    for arg; do
      shift
      case $arg in */src/cli/main.ts) arg=${PROBE} ;; esac
      set -- "$@" "$arg"
    done
    exec ${Deno.execPath()} "$@"`;
    await withStartScript(program, async (folder, { env, ...options }) => {
      await Deno.mkdir(`${folder}/weights`);
      await Deno.writeTextFile(`${folder}/weights/model.pth`, "");
      await Deno.mkdir(`${folder}/keys`);
      const settings = {
        ...env,
        HOST: "127.0.0.1",
        PORT: "18431",
        RWKV_MODEL: `${folder}/weights/model.pth`,
        RWKV_KEYS: `${folder}/keys/keys.txt`,
        RWKV_KV: "http://user@127.0.0.1:18432/kv?x",
        RWKV_ALLOW_NET: "127.0.0.1:18433",
      };
      const run = (attempts: string) =>
        output(`${ROOT}deploy/start.sh`, [attempts], { ...options, env: settings });
      const allowed = [
        ["read", `${ROOT}models/demo/vocab.txt`],
        ["read", `${folder}/data`],
        ["read", `${folder}/weights`],
        ["read", `${folder}/keys`],
        ["write", `${folder}/data/states.sqlite3`],
        ["listen", "127.0.0.1", "18431"],
        ["connect", "127.0.0.1", "18432"],
        ["connect", "127.0.0.1", "18433"],
        ["env", "RWKV_MODEL"],
        ["env", "DENO_KV_ACCESS_TOKEN"],
        ["memory"],
      ];
      const forbidden = [
        ...FORBIDDEN,
        ["read", "/etc/passwd"],
        ["read", folder],
        ["write", `${ROOT}data/permissions-probe`],
        ["write", `${folder}/weights/model.pth`],
        ["write", `${folder}/keys/keys.txt`],
        ["listen", "127.0.0.1", "18434"],
        ["listen", "0.0.0.0", "18431"],
        ["connect", "127.0.0.1", "18434"],
        ["connect", "192.0.2.1", "80"],
      ];
      assert.deepEqual(await attempt(allowed, run), withResult(allowed, "done"));
      assert.deepEqual(await attempt(forbidden, run), withResult(forbidden, "NotCapable"));
    });
  },
);

Deno.test(
  "a worker started by deploy/start.sh has all permissions that it needs",
  unix,
  async () => {
    const program = `#!/bin/sh\nexec ${Deno.execPath()} "$@"`;
    await withStartScript(program, async (folder, options) => {
      await runTwoTurns(() => startWorker(`${ROOT}deploy/start.sh`, ["serve"], options));
      assert.ok((await Deno.stat(`${folder}/data/states.sqlite3`)).isFile);
    });
  },
);
