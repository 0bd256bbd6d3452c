/** `pull`, `models`, `rm` and `--model NAME`, with a fake hub on the loopback interface. */

import assert from "node:assert/strict";
import { DEMO_MODEL } from "../../src/model_files/find_model.ts";
import { syntheticContent } from "../hub/fake_hub.ts";
import { DEMO, demoFiles, filesBelow, RunningCommand, withHub } from "./pull_fixtures.ts";
import { rwkv } from "../suites/cli/shared_cli.ts";

const MB = 1_000_000;
const WORLD = "BlinkDL/rwkv-5-world";

/** Sends a greeting to a listening worker and returns the reply. */
async function greet(worker: RunningCommand): Promise<string> {
  const [, port] = await worker.waitForOutput(/http:\/\/localhost:(\d+)/);
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

Deno.test("a pulled model is served by name, even without the hub", async () => {
  await withHub(async ({ hub, home, env, run }) => {
    const pulled = await run("pull", DEMO, "--json");
    assert.equal(pulled.code, 0, pulled.stderr);
    assert.match(pulled.stderr, /serve --model demo\n/);
    const entry = JSON.parse(pulled.stdout);
    assert.deepEqual([entry.name, entry.version, entry.complete], ["demo", "5.2", true]);
    const names = [...Deno.readDirSync(entry.folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["config.json", "model.safetensors", "pulled.json", "vocab.txt"]);
    for (const name of ["config.json", "model.safetensors", "vocab.txt"]) {
      const [got, expected] = [`${entry.folder}/${name}`, `${DEMO_MODEL}/${name}`].map((path) =>
        Deno.readFileSync(path)
      );
      assert.deepEqual(got, expected, name);
    }
    const before = hub.requests.length;
    hub.hubFaults.set(`/api/models/${DEMO}/tree/main`, Array(99).fill({ status: 500 }));
    const flags = ["--port", "0", "--kv", `${home}/states`, "--device", "cpu"];
    const worker = new RunningCommand(["serve", "--model", DEMO, "--pull", ...flags], env);
    assert.ok((await greet(worker)).length > 0);
    assert.equal((await worker.end("SIGTERM")).code, 0);
    assert.equal(hub.requests.length, before);

    const listed = await run("models");
    assert.match(
      listed.stdout,
      /^NAME .*\ndemo +- +model\.safetensors +5\.96 MB +- +5\.2 +2\.95M +20/,
    );
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

Deno.test("serve --pull downloads the model and is not ready until then", async () => {
  await withHub(async ({ hub, home, env }) => {
    const path = "model.safetensors";
    hub.faults.set(path, [{ stallAfter: 2 * MB }]);
    const flags = ["--port", "0", "--kv", `${home}/states`, "--device", "cpu"];
    const pullEnv = { ...env, RWKV_PULL: "1" };
    const first = new RunningCommand(["serve", "--model", DEMO, ...flags], pullEnv);
    const [, port] = await first.waitForOutput(/http:\/\/localhost:(\d+)/);
    await hub.waitForBytes(path, 2 * MB);
    const ready = await fetch(`http://127.0.0.1:${port}/ready`);
    await ready.body?.cancel();
    assert.equal(ready.status, 503);
    // A stop signal ends the worker without waiting for the download.
    assert.equal((await first.end("SIGTERM")).code, 0);
    const second = new RunningCommand(["serve", "--model", DEMO, "--pull", ...flags], env);
    await greet(second);
    const { stderr } = await second.end("SIGTERM");
    assert.match(stderr, /"Downloading model\.safetensors \(5\.93 MB\) of a\/demo"/);
  });
});

Deno.test("the error for a model that was not pulled names the command to pull it", async () => {
  await withHub(async ({ home, run }) => {
    const cases: [string, RegExp][] = [
      ["0.4b", /Cannot use 0\.4b: .*`deno task rwkv pull 0\.4b` downloads it/],
      ["0.4", /Cannot use 0\.4: .*did you mean 0\.4b\?/],
      ["none/such", /`deno task rwkv pull none\/such` downloads it/],
      ["none/such.pth", /there is no such file or folder.*name one with --model/],
    ];
    for (const [name, message] of cases) {
      const { code, stderr } = await run("info", "--model", name);
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
    // A failed lookup creates no files.
    await assert.rejects(Deno.stat(home), Deno.errors.NotFound);
  });
});

Deno.test("a short name selects the newest file of its size, and --quant adds a quantized copy", async () => {
  await withHub(async ({ hub, run }) => {
    const bytes = Deno.readFileSync(`${DEMO_MODEL}/model.safetensors`);
    hub.add(WORLD, {
      "RWKV-5-World-0.4B-v2-20231101-ctx4096.pth": { content: syntheticContent(10) },
      "RWKV-5-World-0.4B-v2-20231113-ctx4096.pth": bytes,
      "RWKV-5-World-3B-v2-20231118-ctx16k.pth": { content: syntheticContent(10) },
    });
    const { code, stderr, stdout } = await run("pull", "0.4B", "--quant", "int8", "--json");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^0\.4b is RWKV-5-World-0\.4B-v2-20231113-ctx4096\.pth, the newest/m);
    // The demo model does not use the World vocabulary, and the repository has none.
    assert.match(stderr, /^There is no valid vocabulary .*--vocab FILE/m);
    const { name, names, quant } = JSON.parse(stdout);
    assert.equal(name, "RWKV-5-World-0.4B-v2-20231113-ctx4096-int8");
    assert.deepEqual([names, quant], [["0.4b-int8"], "int8"]);
    for (const [model, quant] of [["0.4b", "f16"], ["0.4B-int8", "int8"]]) {
      const info = await run("info", "--model", model, "--json");
      assert.equal(JSON.parse(info.stdout).quant, quant, info.stderr);
    }
    const again = await run("pull", "0.4b", "--quant", "int8");
    assert.match(again.stderr, /^RWKV-5-World-0\.4B-v2-20231113-ctx4096 already exists/m);
    assert.match(again.stderr, /^RWKV-5-World-0\.4B-v2-20231113-ctx4096-int8 already exists/m);
    // A newer file takes over the short name.
    hub.add(WORLD, { "RWKV-5-World-0.4B-v2-20240101-ctx4096.pth": bytes });
    hub.add(WORLD, demoFiles("vocab.txt"));
    assert.equal((await run("pull", "0.4b")).code, 0);
    const info = await run("info", "--model", "0.4b", "--json");
    assert.equal(JSON.parse(info.stdout).id, "RWKV-5-World-0.4B-v2-20240101-ctx4096");
    assert.equal((await run("pull", "1.5b")).code, 1);
  });
});

Deno.test("a repository with several models requires a file name and suggests a similar one", async () => {
  await withHub(async ({ hub, run }) => {
    hub.add(
      "a/many",
      Object.fromEntries(
        ["one.pth", "two.pth", "three/four.safetensors", "notes.txt"]
          .map((path) => [path, { content: syntheticContent(100) }]),
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
    assert.match(far.stderr, /no such file in a\/many; name one of\n/);
    assert.match(
      (await run("pull", "a/many", "notes.txt")).stderr,
      /it does not have the extension of a model file/,
    );
    const short = await run("pull", "0.5b");
    assert.equal(short.code, 2);
    assert.match(short.stderr, /did you mean 0\.1b|did you mean 0\.4b|did you mean 1\.5b/);
    assert.equal((await run("pull", "a/many", "one.pth")).code, 0);
    const other = await run("pull", "a/many", "three/four.safetensors", "--name", "one");
    assert.match(other.stderr, /as one: that name is taken by one\.pth of a\/many; .*--name/);
  });
});

Deno.test("an inaccessible repository is reported with a remedy", async () => {
  await withHub(async ({ hub, env }) => {
    const file = { "a.pth": { content: syntheticContent(100) } };
    for (const name of ["gated/one", "gated/no-access", "private/one"]) hub.add(name, file);
    const cases: [string, string, RegExp | null][] = [
      ["gated/one", "", /accept its licence at http\S+\/gated\/one and set HF_TOKEN/],
      [
        "gated/no-access",
        hub.token,
        /accept its licence at http\S+\/gated\/no-access with the account of the token in HF_TOKEN/,
      ],
      ["gated/one", "hf_wrong", /rejects the token in HF_TOKEN/],
      [
        "private/one",
        "",
        /repository does not exist, or it is private and needs a token in HF_TOKEN/,
      ],
      ["none/such", hub.token, /the repository does not exist at http/],
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
    assert.ok(hub.requests.every((seen) => seen.origin === "hub" || seen.authorization === null));
  });
});

Deno.test("hostile names do not escape the cache", async () => {
  await withHub(async ({ hub, home, run }) => {
    const content = syntheticContent(1000);
    const hostile = ["../../evil.pth", "/tmp/evil.pth", "a/../../../evil.pth", "..\\evil.pth"];
    hub.add("a/evil", Object.fromEntries(hostile.map((path) => [path, { content }])));
    const all = await run("pull", "a/evil");
    assert.match(all.stderr, /it has no model \(\.pth, \.safetensors/);
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
