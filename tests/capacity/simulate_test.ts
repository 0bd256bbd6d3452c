import assert from "node:assert/strict";

const ROOT = new URL("../..", import.meta.url).pathname;
const QUICK = ["--arrivals", "10", "--seconds", "20", "--warmup", "5"];

/** Runs the simulation with the permissions of its task. */
async function run(args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=simulate", "--no-prompt", "--lock=tests/deno.lock"]
      .concat("capacity/main.ts", ...args),
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("the simulation prints one JSON document, the same for the same seed", async () => {
  const args = ["--workers", "2,3", "--ttft-p95", "1", "--json", ...QUICK];
  const [first, again] = await Promise.all([run(args), run(args)]);
  assert.equal(first.code, 0, first.stderr);
  assert.equal(again.stdout, first.stdout);
  const { profile, goals, rows, found } = JSON.parse(first.stdout);
  assert.match(profile, /^demo as f16 on llvmpipe/);
  assert.deepEqual(goals, { "ttft-p95": 1 });
  assert.equal(found, undefined);
  assert.deepEqual(rows.map(({ workers }: { workers: number }) => workers), [2, 3]);
  for (const { missed, turns, ttft_ms, utilisation } of rows) {
    assert.deepEqual(missed, ["ttft-p95"]);
    assert.ok(turns.asked > 100 && ttft_ms.p50 > 0 && utilisation.mean <= 1);
  }
});

Deno.test("the simulation finds the smallest number of workers that meets the goals", async () => {
  const goal = ["--queue-p95", "100", "--refused", "0"];
  const { code, stdout } = await run(["--find", "--json", ...goal, ...QUICK]);
  assert.equal(code, 0);
  const { found, rows } = JSON.parse(stdout);
  for (const { workers, missed } of rows) assert.equal(missed.length === 0, workers >= found);
  assert.ok(found > 1);
  const none = await run(["--find", "--most", "2", "--ttft-p50", "1", ...QUICK]);
  assert.equal(none.code, 1);
  assert.match(
    none.stdout,
    /^demo as f16.*\nworkers +1 +2\n[\s\S]*no number of workers meets the goals/,
  );
});

Deno.test("the simulation rejects invalid flags with status 2 and names the value", async () => {
  const cases = [
    [["--workers", "0"], "--workers 0"],
    [["--reply", "many"], "--reply many"],
    [["--find"], "--find without a goal"],
    [["--arrivals", "1", "--conversations", "5"], "--arrivals with --conversations"],
    [["--refused", "2"], "--refused 2"],
    [["--profile", "deno.json"], "--profile deno.json: model"],
    [["--nonsense"], "--nonsense"],
  ] as const;
  await Promise.all(cases.map(async ([args, message]) => {
    const { code, stdout, stderr } = await run(args);
    assert.deepEqual([code, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
    assert.ok(stderr.startsWith("error: ") && stderr.includes(message), stderr);
  }));
});
