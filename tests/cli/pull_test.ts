/** `pull`, `models`, `rm` and `--model NAME`, as processes against a hub on the loopback. */

import assert from "node:assert/strict";
import { DEMO_MODEL } from "../../src/cli/model_files.ts";
import { FakeHub, madeUp } from "../hub/fake_hub.ts";
import { type CliResult, rwkv, startRwkv } from "./run_cli.ts";

const MB = 1_000_000;
const PIECE = 1 << 20;
const DEMO = "a/demo";
const WORLD = "BlinkDL/rwkv-5-world";

interface Setting {
  hub: FakeHub;
  /** The cache, in a folder where nothing else is. */
  home: string;
  env: Record<string, string>;
  run: (...args: string[]) => Promise<CliResult>;
}

function demoFiles(...names: string[]): Record<string, Uint8Array<ArrayBuffer>> {
  return Object.fromEntries(
    names.map((name) => [name, Deno.readFileSync(`${DEMO_MODEL}/${name}`)]),
  );
}

async function withHub(run: (setting: Setting) => Promise<void>): Promise<void> {
  const hub = new FakeHub({
    [DEMO]: {
      "README.md": new TextEncoder().encode("A model.\n"),
      ...demoFiles("model.safetensors", "config.json", "vocab.txt"),
    },
  });
  const folder = await Deno.makeTempDir();
  const home = `${folder}/cache`;
  const env = { HF_ENDPOINT: hub.endpoint, RWKV_HOME: home, HF_TOKEN: "" };
  try {
    await run({ hub, home, env, run: (...args) => rwkv(args, "", { env }) });
  } finally {
    await hub.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Every file below a folder, with its size. */
async function filesBelow(folder: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (!isDirectory) found.set(path, (await Deno.stat(path)).size);
    else for (const [inner, size] of await filesBelow(path)) found.set(inner, size);
  }
  return found;
}

/** A running process whose stderr can be waited for. */
class Running {
  readonly child: Deno.ChildProcess;
  #stderr = "";
  #waiting: {
    pattern: RegExp;
    resolve: (match: RegExpMatchArray) => void;
    reject: (error: Error) => void;
  }[] = [];
  #ended = false;
  readonly #read: Promise<void>;

  constructor(args: string[], env: Record<string, string>) {
    this.child = startRwkv(args, { env });
    this.#read = this.#follow();
  }

  async #follow(): Promise<void> {
    for await (const text of this.child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr += text;
      this.#look();
    }
    this.#ended = true;
    this.#look();
  }

  #look(): void {
    for (const { pattern, resolve } of this.#waiting) {
      const match = this.#stderr.match(pattern);
      if (match) resolve(match);
    }
    this.#waiting = this.#waiting.filter(({ pattern }) => !pattern.test(this.#stderr));
    if (!this.#ended) return;
    for (const { pattern, reject } of this.#waiting) {
      reject(new Error(`it ended before it said ${pattern}: ${this.#stderr}`));
    }
  }

  /** Resolves when stderr has what matches; rejects when it has ended without. */
  says(pattern: RegExp): Promise<RegExpMatchArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpMatchArray>();
    this.#waiting.push({ pattern, resolve, reject });
    this.#look();
    return promise;
  }

  async end(signal?: Deno.Signal): Promise<CliResult> {
    if (signal) this.child.kill(signal);
    await this.child.stdin.close().catch(() => {});
    const stdout = await new Response(this.child.stdout).text();
    const { code } = await this.child.status;
    await this.#read;
    return { code, stdout, stderr: this.#stderr };
  }
}

/** What a worker that listens answers when it is greeted. */
async function greet(worker: Running): Promise<string> {
  const [, port] = await worker.says(/http:\/\/localhost:(\d+)/);
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      messages: [{ role: "user", content: "Hi, my name is Ada." }],
      temperature: 0,
      max_tokens: 8,
    }),
  });
  assert.equal(response.status, 200);
  const { model, choices } = await response.json();
  assert.equal(model, "demo");
  return choices[0].message.content;
}

Deno.test("a pulled model is served by its name, also without its hub", async () => {
  await withHub(async ({ hub, home, env, run }) => {
    const pulled = await run("pull", DEMO, "--json");
    assert.equal(pulled.code, 0, pulled.stderr);
    assert.match(pulled.stderr, /serve --model demo\n/);
    const entry = JSON.parse(pulled.stdout);
    assert.deepEqual([entry.name, entry.version, entry.complete], ["demo", "5.2", true]);
    const names = [...Deno.readDirSync(entry.folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["config.json", "model.safetensors", "pulled.json", "vocab.txt"]);
    for (const name of ["config.json", "model.safetensors", "vocab.txt"]) {
      const [got, wanted] = [`${entry.folder}/${name}`, `${DEMO_MODEL}/${name}`].map((path) =>
        Deno.readFileSync(path)
      );
      assert.deepEqual(got, wanted, name);
    }
    const before = hub.seen.length;
    hub.hubFaults.set(`/api/models/${DEMO}/tree/main`, Array(99).fill({ status: 500 }));
    const flags = ["--port", "0", "--kv", `${home}/states`, "--device", "cpu"];
    const worker = new Running(["serve", "--model", DEMO, "--pull", ...flags], env);
    assert.ok((await greet(worker)).length > 0);
    assert.equal((await worker.end("SIGTERM")).code, 0);
    assert.equal(hub.seen.length, before);

    const listed = await run("models");
    assert.match(listed.stdout, /^NAME .*\ndemo +- +5\.96 MB +- +5\.2 +2\.95M +20/);
    assert.deepEqual(JSON.parse((await run("models", "--json")).stdout), [entry]);
    const wrong = await run("rm", "demos");
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^error: Cannot remove demos: .* did you mean demo\?/m);
    const removed = await run("rm", DEMO, "--json");
    assert.deepEqual(JSON.parse(removed.stdout).map(({ name }: { name: string }) => name), [
      "demo",
    ]);
    assert.deepEqual([...await filesBelow(`${home}/models`)], []);
    assert.equal((await run("models", "--json")).stdout, "[]\n");
  });
});

Deno.test("serve --pull downloads first, and says until then that it starts", async () => {
  await withHub(async ({ hub, home, env }) => {
    const path = "model.safetensors";
    hub.faults.set(path, [{ stallAfter: 2 * MB }]);
    const flags = ["--port", "0", "--kv", `${home}/states`, "--device", "cpu"];
    const asked = { ...env, RWKV_PULL: "1" };
    const first = new Running(["serve", "--model", DEMO, ...flags], asked);
    const [, port] = await first.says(/http:\/\/localhost:(\d+)/);
    await hub.reached(path, 2 * MB);
    const ready = await fetch(`http://127.0.0.1:${port}/ready`);
    await ready.body?.cancel();
    assert.equal(ready.status, 503);
    // Told to stop, it does not wait for the rest.
    assert.equal((await first.end("SIGTERM")).code, 0);
    const second = new Running(["serve", "--model", DEMO, "--pull", ...flags], env);
    await greet(second);
    const { stderr } = await second.end("SIGTERM");
    assert.match(stderr, /"Downloading model\.safetensors \(5\.93 MB\) of a\/demo"/);
  });
});

Deno.test("a name that was not pulled is an error that tells how to", async () => {
  await withHub(async ({ home, run }) => {
    const cases: [string, RegExp][] = [
      ["0.4b", /Cannot use 0\.4b: .*`rwkv pull 0\.4b` downloads it/],
      ["0.4", /Cannot use 0\.4: .*did you mean 0\.4b\?/],
      ["none/such", /`rwkv pull none\/such` downloads it/],
      ["none/such.pth", /there is no such file or folder.*--model names one/],
    ];
    for (const [name, message] of cases) {
      const { code, stderr } = await run("info", "--model", name);
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
    // Nothing was made by looking.
    await assert.rejects(Deno.stat(home), Deno.errors.NotFound);
  });
});

Deno.test("a short name is the newest file of that size, and --quant writes it quantized too", async () => {
  await withHub(async ({ hub, run }) => {
    const bytes = Deno.readFileSync(`${DEMO_MODEL}/model.safetensors`);
    hub.add(WORLD, {
      "RWKV-5-World-0.4B-v2-20231101-ctx4096.pth": { content: madeUp(10) },
      "RWKV-5-World-0.4B-v2-20231113-ctx4096.pth": bytes,
      "RWKV-5-World-3B-v2-20231118-ctx16k.pth": { content: madeUp(10) },
    });
    const { code, stderr, stdout } = await run("pull", "0.4B", "--quant", "int8", "--json");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^0\.4b is RWKV-5-World-0\.4B-v2-20231113-ctx4096\.pth, the newest/m);
    // The demo model's vocabulary is none of World's, and the repository has none.
    assert.match(stderr, /^There is no vocabulary .*--vocab FILE/m);
    const { name, names, quant } = JSON.parse(stdout);
    assert.equal(name, "RWKV-5-World-0.4B-v2-20231113-ctx4096-int8");
    assert.deepEqual([names, quant], [["0.4b-int8"], "int8"]);
    for (const [model, held] of [["0.4b", "f16"], ["0.4B-int8", "int8"]]) {
      const info = await run("info", "--model", model, "--json");
      assert.equal(JSON.parse(info.stdout).quant, held, info.stderr);
    }
    const again = await run("pull", "0.4b", "--quant", "int8");
    assert.match(again.stderr, /^RWKV-5-World-0\.4B-v2-20231113-ctx4096 is here already/m);
    assert.match(again.stderr, /^RWKV-5-World-0\.4B-v2-20231113-ctx4096-int8 is here already/m);
    // A newer one takes the name over.
    hub.add(WORLD, { "RWKV-5-World-0.4B-v2-20240101-ctx4096.pth": bytes });
    hub.add(WORLD, demoFiles("vocab.txt"));
    assert.equal((await run("pull", "0.4b")).code, 0);
    const info = await run("info", "--model", "0.4b", "--json");
    assert.equal(JSON.parse(info.stdout).id, "RWKV-5-World-0.4B-v2-20240101-ctx4096");
    assert.equal((await run("pull", "1.5b")).code, 1);
  });
});

Deno.test("a repository with several models wants a file; a wrong one gets the nearest", async () => {
  await withHub(async ({ hub, run }) => {
    hub.add(
      "a/many",
      Object.fromEntries(
        ["one.pth", "two.pth", "three/four.safetensors", "notes.txt"]
          .map((path) => [path, { content: madeUp(100) }]),
      ),
    );
    const several = await run("pull", "a/many");
    assert.equal(several.code, 2);
    assert.match(
      several.stderr,
      /name one of\n +one\.pth +\(100 bytes\)\n +two\.pth .*\n +three\//,
    );
    const near = await run("pull", "a/many", "tow.pth");
    assert.equal(near.code, 1);
    assert.match(near.stderr, /no such file in a\/many; did you mean two\.pth\?/);
    const far = await run("pull", "a/many", "something-else.pth");
    assert.match(far.stderr, /no such file in a\/many; it has one of\n/);
    assert.match((await run("pull", "a/many", "notes.txt")).stderr, /a model is one \.pth or/);
    const short = await run("pull", "0.5b");
    assert.equal(short.code, 2);
    assert.match(short.stderr, /did you mean 0\.1b|did you mean 0\.4b|did you mean 1\.5b/);
    assert.equal((await run("pull", "a/many", "one.pth")).code, 0);
    const other = await run("pull", "a/many", "three/four.safetensors", "--name", "one");
    assert.match(other.stderr, /as one: that is the name of one\.pth of a\/many; .*--name/);
  });
});

Deno.test("who may not have a repository is told what to do", async () => {
  await withHub(async ({ hub, env }) => {
    const file = { "a.pth": { content: madeUp(100) } };
    for (const name of ["gated/one", "gated/unasked", "private/one"]) hub.add(name, file);
    const cases: [string, string, RegExp | null][] = [
      ["gated/one", "", /accept its licence at http\S+\/gated\/one, and set HF_TOKEN/],
      [
        "gated/unasked",
        hub.token,
        /accept its licence at http\S+\/gated\/unasked, as the one whose/,
      ],
      ["gated/one", "hf_wrong", /does not take the token in HF_TOKEN/],
      ["private/one", "", /no such repository, or it is private and needs a token in HF_TOKEN/],
      ["none/such", hub.token, /there is no such repository at http/],
      ["gated/one", hub.token, null],
      ["private/one", hub.token, null],
    ];
    for (const [repo, token, message] of cases) {
      const options = { env: { ...env, HF_TOKEN: token } };
      const name = repo.replace("/", "-");
      const { code, stderr } = await rwkv(["pull", repo, "--name", name], "", options);
      assert.equal(code, message ? 1 : 0, stderr);
      if (message) assert.match(stderr, message);
      assert.ok(!token || !stderr.includes(token));
    }
    assert.ok(hub.seen.every((seen) => seen.origin === "hub" || seen.authorization === null));
  });
});

Deno.test("two processes at once download once", async () => {
  await withHub(async ({ hub, env }) => {
    const path = "model.safetensors";
    const { size } = await Deno.stat(`${DEMO_MODEL}/${path}`);
    const gate = hub.hold(path, 2 * MB);
    const first = new Running(["pull", DEMO], env);
    await hub.reached(path, 2 * MB);
    const second = new Running(["pull", DEMO], env);
    await second.says(/Another process is pulling demo: waiting/);
    gate();
    const [one, two] = await Promise.all([first.end(), second.end()]);
    assert.deepEqual([one.code, two.code], [0, 0], one.stderr + two.stderr);
    assert.match(two.stderr, /demo is here already/);
    assert.equal(hub.served.get(path), size);
    assert.equal(hub.fetches(path).length, 1);
  });
});

Deno.test("kill -9 in the middle, and the one that waits goes on from there", async () => {
  await withHub(async ({ hub, home, env, run }) => {
    const content = madeUp(20 * MB);
    hub.add("a/big", { "big.pth": { content } });
    hub.hold("big.pth", 12 * MB);
    const folder = `${home}/models/big`;
    const first = new Running(["pull", "a/big"], env);
    await hub.reached("big.pth", 12 * MB);
    const second = new Running(["pull", "a/big"], env);
    await second.says(/Another process is pulling big: waiting/);
    const there = await partOf(folder, 12 * MB - PIECE);
    assert.match(JSON.parse((await run("models", "--json")).stdout)[0].name, /^big$/);
    const refused = await run("rm", "big");
    assert.match(refused.stderr, /Cannot remove big: it is being pulled/);
    assert.match((await run("info", "--model", "big")).stderr, /download is not whole/);
    await first.end("SIGKILL");
    const { code, stderr } = await second.end();
    assert.equal(code, 0, stderr);
    const [, resumed] = hub.fetches("big.pth");
    assert.equal(resumed.range, `bytes=${there}-`);
    assert.ok(hub.served.get("big.pth")! - content.size <= PIECE);
    const files = [...await filesBelow(folder)].map((
      [path, size],
    ) => [path.slice(folder.length), size]);
    assert.deepEqual(files.find(([path]) => path === "/big.pth"), ["/big.pth", content.size]);
    assert.equal(files.length, 2, `${files}`);
  });
});

/** The size of a folder's part when it has so many bytes. */
async function partOf(folder: string, least: number): Promise<number> {
  const watcher = Deno.watchFs(folder);
  try {
    while (true) {
      for (const [path, size] of await filesBelow(folder)) {
        if (path.endsWith(".part") && size > least) return size;
      }
      await watcher[Symbol.asyncIterator]().next();
    }
  } finally {
    watcher.close();
  }
}

Deno.test("a file that changes on the hub under its download is downloaded anew", async () => {
  await withHub(async ({ hub, home, env }) => {
    const [old, other] = [madeUp(5 * MB), madeUp(5 * MB, 2)];
    hub.add("a/big", { "big.pth": { content: old } });
    const cut = hub.hold("big.pth", 3 * MB, { cut: true });
    const pulling = new Running(["pull", "a/big"], env);
    await hub.reached("big.pth", 3 * MB);
    hub.add("a/big", { "big.pth": { content: other } });
    cut();
    const { code, stderr } = await pulling.end();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^big\.pth has changed on the hub: starting afresh$/m);
    const folder = `${home}/models/big`;
    assert.deepEqual(await Deno.readFile(`${folder}/big.pth`), other.slice(0, other.size));
    assert.equal((await filesBelow(folder)).size, 2);
  });
});

Deno.test("what is left of a download that was given up is removed with its name", async () => {
  await withHub(async ({ hub, home, env, run }) => {
    hub.add("a/big", { "big.pth": { content: madeUp(5 * MB) } });
    hub.hold("big.pth", 4 * MB);
    const stopped = new Running(["pull", "a/big"], env);
    await partOf(await made(`${home}/models/big`), 4 * MB - PIECE);
    const { code, stderr } = await stopped.end("SIGINT");
    assert.equal(code, 1);
    assert.match(stderr, /^error: Stopped; what has been downloaded is kept/m);
    assert.match((await run("models")).stdout, /^big .* not whole \(/m);
    assert.equal((await run("rm", "big")).code, 0);
    assert.deepEqual([...await filesBelow(`${home}/models`)], []);
  });
});

/** A folder, made here if it is not there yet, so that it can be watched. */
async function made(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  return folder;
}

Deno.test("a wrong hash leaves nothing that looks whole", async () => {
  await withHub(async ({ hub, home, run }) => {
    hub.add("a/bad", { "bad.pth": { content: madeUp(MB), hash: "1".repeat(64) } });
    const { code, stderr } = await run("pull", "a/bad");
    assert.equal(code, 1);
    assert.match(stderr, /Cannot use bad\.pth: the SHA-256 of what came is/);
    assert.deepEqual([...await filesBelow(`${home}/models`)], []);
    assert.equal((await run("models", "--json")).stdout, "[]\n");
    assert.match((await run("info", "--model", "bad")).stderr, /nor a pulled model of that name/);
  });
});

Deno.test("names from outside do not leave the cache", async () => {
  await withHub(async ({ hub, home, run }) => {
    const content = madeUp(1000);
    const hostile = ["../../evil.pth", "/tmp/evil.pth", "a/../../../evil.pth", "..\\evil.pth"];
    hub.add("a/evil", Object.fromEntries(hostile.map((path) => [path, { content }])));
    const all = await run("pull", "a/evil");
    assert.match(all.stderr, /it has no \.pth and no \.safetensors file/);
    for (const path of hostile) assert.equal((await run("pull", "a/evil", path)).code, 1);
    hub.add("a/fine", { "fine.pth": { content } });
    for (const name of ["../evil", "/tmp/evil", "a/b", "..", ".", "", "\x1b[2J"]) {
      assert.equal((await run("pull", "a/fine", "--name", name)).code, 2, name);
    }
    assert.equal((await run("pull", "a/fine")).code, 0);
    for (const name of ["../models/fine", "..", ".", "/", "fine/../fine"]) {
      assert.equal((await run("rm", name)).code, 1, name);
    }
    const outside = [...await filesBelow(`${home}/..`)].map(([path]) => path)
      .filter((path) =>
        !/\/cache\/(models\/fine\/(fine\.pth|pulled\.json)|locks\/fine\.lock)$/.test(path)
      );
    assert.deepEqual(outside, []);
  });
});
