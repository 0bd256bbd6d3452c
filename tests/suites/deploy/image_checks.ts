/**
 * Tests the worker in the image that `image.ts` has built: startup, restart, shutdown, permissions.
 */

import assert from "node:assert/strict";
import { continueStreams, type InterruptedStreams, interruptStreams } from "../e2e/cut_streams.ts";
import { sendMessage } from "../e2e/worker_process.ts";
import { type Image, isolated } from "./image_root.ts";
import { mustRun, ROOT, run, WORK } from "./tools.ts";

const image: Image = JSON.parse(await Deno.readTextFile(`${WORK}/image.json`));
const VOLUME = `${WORK}/volume`;
const URL_WITHIN = `http://127.0.0.1:${image.env.PORT}`;

/** The mounts of a cluster: a read-only image, a volume, and an empty /tmp. */
const MOUNTS = `mount -o remount,bind,ro ${image.root}
  mount --bind ${VOLUME} ${image.root}/data
  mount -t tmpfs tmpfs ${image.root}/tmp`;

interface Container extends AsyncDisposable {
  /** Sends a signal to the worker, which is process 1, and returns the exit status. */
  end(signal: Deno.Signal): Promise<number>;
  log(): string;
}

/** Creates a volume like Docker: with the ownership of the image's folder. */
async function newVolume(): Promise<void> {
  await mustRun("rm", ["-rf", VOLUME]);
  await mustRun("cp", ["-a", `${image.root}/data`, VOLUME]);
}

function start(env: Record<string, string> = {}): Container {
  const [program, args] = isolated(
    // The worker listens on all addresses, which requires a key or RWKV_OPEN.
    { ...image, env: { ...image.env, RWKV_OPEN: "1", ...env } },
    [...image.entrypoint, ...image.command],
    MOUNTS,
  );
  const child = new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).spawn();
  let log = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text;
  })();
  const end = async (signal: Deno.Signal) => {
    const first = (await Deno.readTextFile(`/proc/${child.pid}/task/${child.pid}/children`)
      .catch(() => "")).trim();
    if (first) Deno.kill(Number(first), signal);
    const { code } = await child.status;
    await reading;
    return code;
  };
  return { end, log: () => log, [Symbol.asyncDispose]: async () => void await end("SIGKILL") };
}

/** Returns the status of a path, or 0 without a response. */
async function status(path: string): Promise<number> {
  const response = await fetch(URL_WITHIN + path).catch(() => null);
  await response?.body?.cancel();
  return response?.status ?? 0;
}

/** Waits until the worker is ready and returns all responses of `/ready` and `/ping`. */
async function untilReady(container: Container): Promise<string[]> {
  const seen = new Set<string>();
  for (const end = Date.now() + 120_000; Date.now() < end;) {
    const ready = await status("/ready");
    seen.add(`/ready ${ready}`).add(`/ping ${await status("/ping")}`);
    if (ready === 200) return [...seen];
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the worker was not ready after two minutes:\n${container.log()}`);
}

async function healthcheck(): Promise<number> {
  return (await run(...isolated(image, image.healthcheck, MOUNTS))).code;
}

Deno.test("the worker starts without a network on a read-only root and reports its health", async () => {
  await newVolume();
  await using container = start();
  assert.equal(await healthcheck(), 1);
  const seen = await untilReady(container);
  assert.ok(seen.includes("/ready 503") && seen.includes("/ping 204"), seen.join(", "));
  assert.equal(await status("/ping"), 200);
  assert.equal(await healthcheck(), 0);
  const { device, device_reason, store } = await (await fetch(`${URL_WITHIN}/health`)).json();
  assert.equal(device, "cpu");
  assert.match(device_reason, /llvmpipe/, "the image's software adapter was not found");
  assert.deepEqual([store.kind, store.status], ["file", "reachable"]);
  assert.equal(await container.end(image.stopSignal), 0, container.log());
  // Every line is a JSON log entry.
  assert.deepEqual(container.log().trim().split("\n").filter((line) => !line.startsWith("{")), []);
});

Deno.test("a conversation continues unchanged after SIGKILL", async () => {
  await newVolume();
  const questions = ["Hi! My name is Zorvin.", "What is my name?"];
  let uninterrupted: string;
  let stateId: string;
  {
    await using container = start({ RWKV_KV: "/data/states.sqlite3" });
    await untilReady(container);
    const first = await sendMessage(URL_WITHIN, questions[0]);
    stateId = first.stateId;
    uninterrupted = (await sendMessage(URL_WITHIN, questions[1], { stateId })).text;
    assert.match(uninterrupted, /Zorvin/);
    await container.end("SIGKILL");
  }
  await using container = start({ RWKV_KV: "/data/states.sqlite3" });
  await untilReady(container);
  assert.equal((await sendMessage(URL_WITHIN, questions[1], { stateId })).text, uninterrupted);
});

Deno.test("on SIGTERM the worker ends its streams, and the next worker continues them", async () => {
  await newVolume();
  let interrupted: InterruptedStreams;
  {
    await using container = start({ RWKV_GRACE: "0.1" });
    await untilReady(container);
    interrupted = await interruptStreams(URL_WITHIN, () => container.end(image.stopSignal));
    assert.equal(interrupted.code, 0, container.log());
  }
  await using container = start();
  await untilReady(container);
  await continueStreams(URL_WITHIN, interrupted);
});

Deno.test("the worker has the permissions that its settings need, and nothing else", async () => {
  await newVolume();
  const probe = `${image.root}/app/src/cli/permissions_probe.ts`;
  const shim = `${image.root}/app/shim`;
  await Deno.copyFile(`${ROOT}tests/suites/cli/permissions_probe.ts`, probe);
  await Deno.mkdir(shim, { recursive: true });
  // The real entry point, but it starts the probe instead of the worker.
  const program = `#!/bin/sh
    for arg; do
      shift
      case $arg in */src/cli/main.ts) arg=/app/src/cli/permissions_probe.ts ;; esac
      set -- "$@" "$arg"
    done
    exec /usr/local/bin/deno "$@"`;
  await Deno.writeTextFile(`${shim}/deno`, program, { mode: 0o755 });
  const env = {
    ...image.env,
    PATH: `/app/shim:${image.env.PATH}`,
    RWKV_KV: "http://127.0.0.1:4512",
  };
  const attempt = async (attempts: string[][]) => {
    const command = [...image.entrypoint, JSON.stringify(attempts)];
    return JSON.parse(await mustRun(...isolated({ ...image, env }, command, MOUNTS)));
  };
  const allowed = [
    ["read", "/app/models/demo/vocab.txt"],
    ["read", "/models"],
    ["write", "/data/states.sqlite3"],
    ["listen", "0.0.0.0", "8000"],
    ["connect", "127.0.0.1", "4512"],
    ["env", "DENO_KV_ACCESS_TOKEN"],
    ["memory"],
  ];
  const forbidden = [
    ["read", "/etc/passwd"],
    ["read", "/opt/deno"],
    ["write", "/models/x"],
    ["write", "/app/x"],
    ["write", "/tmp/x"],
    ["listen", "0.0.0.0", "8001"],
    ["connect", "127.0.0.1", "4513"],
    ["connect", "192.0.2.1", "80"],
    ["import", "deno.land"],
    ["env", "PATH"],
    ["run", "/bin/true"],
    ["ffi", "libc.so.6"],
    ["hostname"],
  ];
  assert.deepEqual(await attempt(allowed), allowed.map(() => "done"));
  assert.deepEqual(await attempt(forbidden), forbidden.map(() => "NotCapable"));
  await Deno.remove(probe);
  await Deno.remove(shim, { recursive: true });
});

Deno.test("the file system lets the user write only to the volume and /tmp", async () => {
  const script = "id -u; for path in /app /opt/deno /models /etc /data /tmp; do " +
    "touch $path/x 2>/dev/null && echo $path; done; rm /data/x; test ! -e /usr/bin/npm && echo small";
  const { stdout } = await run(...isolated(image, ["sh", "-c", script]));
  assert.deepEqual(stdout.trim().split("\n"), ["10001", "/data", "/tmp", "small"]);
});
