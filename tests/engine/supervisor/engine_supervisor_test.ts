/** Device failures under a scheduler: which turns end, which wait, and what runs afterwards. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { slowTest } from "../../support/quick.ts";
import {
  ENDLESS,
  runWithoutFaults,
  SLOTS,
  start,
  type SupervisorCase,
  supervisorCase,
  turn,
} from "./supervisor_fixtures.ts";

/** Returns whether an error is an engine failure that the client should retry. */
function passes(error: unknown): boolean {
  return error instanceof InferenceError && error.code === "device_lost" && error.status === 503 &&
    error.retryAfter! >= 1;
}

/** Loses the device while the engine is idle, and waits until the supervisor notices. */
async function loseIdle({ faults, engine }: SupervisorCase): Promise<void> {
  faults.lose();
  while (engine.status.state === "running") await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("a lost device ends the turns in slots; waiting and later turns run on the next device", async () => {
  const expected = [await runWithoutFaults(turn(8)), await runWithoutFaults(turn(9))];
  await using it = await supervisorCase();
  const running = Array.from({ length: SLOTS }, (_, i) => start(it.scheduler, turn(i, ENDLESS)));
  await Promise.all(running.map(({ begun }) => begun));
  const waiting = start(it.scheduler, turn(8));
  it.faults.lose();
  for (const { ended } of running) await assert.rejects(ended, passes);
  assert.deepEqual(await waiting.ended, expected[0]);
  assert.deepEqual(await start(it.scheduler, turn(9)).ended, expected[1]);
  assert.deepEqual(it.seen, ["device_lost", "rebuilt"]);
  assert.deepEqual(it.engine.status, { state: "running", fault: null });
  assert.equal(it.faults.devices.length, 2);
});

slowTest(
  "a device lost while idle is replaced without affecting any turn",
  async () => {
    const expected = await runWithoutFaults(turn(3));
    await using it = await supervisorCase();
    await loseIdle(it);
    assert.deepEqual(await start(it.scheduler, turn(3)).ended, expected);
    assert.deepEqual(it.seen, ["device_lost", "rebuilt"]);
  },
);

slowTest(
  "states that were in slots are loaded again, including one that gets its key afterwards",
  async () => {
    await using it = await supervisorCase();
    const first = start(it.scheduler, turn(1));
    const second = start(it.scheduler, turn(2));
    const states = [(await first.ended).state!, (await second.ended).state!];
    first.generation.keepWarm("first", undefined);
    it.faults.lose();
    await assert.rejects(start(it.scheduler, turn(3)).ended, passes);
    second.generation.keepWarm("second", undefined);
    for (const [i, key] of ["first", "second"].entries()) {
      let loaded = 0;
      const load = () => {
        loaded++;
        return Promise.resolve(states[i]);
      };
      const further = turn(5, { state: { stateKey: key, load } });
      const { tokens } = await start(it.scheduler, further).ended;
      assert.equal(loaded, 1);
      assert.deepEqual(tokens, (await runWithoutFaults(further)).tokens);
    }
    assert.equal(it.scheduler.snapshot.warmSlotHits, 0);
  },
);

Deno.test("weights corrupted to NaN end all turns and are reloaded", async () => {
  const expected = await runWithoutFaults(turn(4));
  await using it = await supervisorCase();
  const turns = [0, 1].map((seed) => start(it.scheduler, turn(seed, ENDLESS)));
  await Promise.all(turns.map(({ begun }) => begun));
  it.faults.spoilWeights();
  for (const { ended } of turns) {
    await assert.rejects(
      ended,
      (error) => passes(error) && /computes invalid results/.test(String(error)),
    );
  }
  assert.deepEqual(await start(it.scheduler, turn(4)).ended, expected);
  assert.deepEqual(it.seen, ["numeric", "rebuilt"]);
});

Deno.test("a state that yields NaN ends only its own turn", async () => {
  const expected = await runWithoutFaults(turn(6));
  const state = (await runWithoutFaults(turn(1))).state!.map((v) => Math.sign(v) * 3e38);
  await using it = await supervisorCase();
  const other = start(it.scheduler, turn(6));
  const broken = turn(2, { state: { stateKey: null, load: () => Promise.resolve(state) } });
  await assert.rejects(start(it.scheduler, broken).ended, (error) => {
    return error instanceof InferenceError && error.code === "numeric_fault";
  });
  assert.deepEqual(await other.ended, expected);
  assert.deepEqual(it.seen, ["turn numeric"]);
  assert.equal(it.faults.devices.length, 1);
});

Deno.test("a prefill-only turn with such a state fails as well", async () => {
  const state = (await runWithoutFaults(turn(1))).state!.map((v) => Math.sign(v) * 3e38);
  await using it = await supervisorCase();
  const read = turn(2, {
    state: { stateKey: null, load: () => Promise.resolve(state) },
    maxTokens: 0,
  });
  await assert.rejects(it.scheduler.submit(read).finished, { code: "numeric_fault" });
});

Deno.test("a hanging device is abandoned, and waiting turns run on the next one", async () => {
  const expected = await runWithoutFaults(turn(7));
  await using it = await supervisorCase();
  it.faults.hang = true;
  const { ended } = start(it.scheduler, turn(0, ENDLESS));
  const waiting = start(it.scheduler, turn(7));
  await it.faults.hung;
  it.timers.pass(599_000);
  assert.deepEqual(it.seen, []);
  it.timers.pass(2000);
  assert.deepEqual(it.seen, ["hung"]);
  await assert.rejects(ended, (error) => passes(error) && /hangs/.test(String(error)));
  it.faults.hang = false;
  // The supervisor waits no longer than this for the old device.
  it.timers.pass(10_000);
  assert.deepEqual(await waiting.ended, expected);
  assert.deepEqual(it.seen, ["hung", "rebuilt"]);
});

slowTest("a device that reports out of memory is replaced", async () => {
  await using it = await supervisorCase();
  const { begun, ended } = start(it.scheduler, turn(1, ENDLESS));
  await begun;
  it.faults.exhaust();
  await assert.rejects(ended, (error) => passes(error) && /out of memory/.test(String(error)));
  assert.equal((await start(it.scheduler, turn(1)).ended).tokens.length, 40);
  assert.deepEqual(it.seen, ["out_of_memory", "rebuilt"]);
});

slowTest("a restart that runs out of memory is retried later", async () => {
  const expected = await runWithoutFaults(turn(7));
  await using it = await supervisorCase();
  it.faults.full = true;
  it.faults.lose();
  await assert.rejects(start(it.scheduler, turn(1)).ended, passes);
  const waiting = start(it.scheduler, turn(7)).ended;
  while (it.seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  it.faults.full = false;
  assert.deepEqual(await it.timers.until(waiting, 1000), expected);
  assert.deepEqual(it.seen, ["device_lost", "out_of_memory", "rebuilt"]);
});

Deno.test("if kernels no longer compile, waiting turns end and new ones are rejected", async () => {
  await using it = await supervisorCase();
  it.faults.noPipelines = true;
  await loseIdle(it);
  const waiting = start(it.scheduler, turn(1)).ended;
  await assert.rejects(it.timers.until(waiting, 1000), { code: "device_lost" });
  assert.deepEqual(it.seen, ["device_lost", "shader", "shader", "end"]);
  assert.deepEqual(it.engine.status, { state: "failed", fault: "shader" });
  assert.throws(() => it.scheduler.submit(turn(1)), { code: "device_lost" });
});

slowTest("three losses in a row are final, unless a turn completes in between", async () => {
  await using it = await supervisorCase();
  const lose = async () => {
    const { begun, ended } = start(it.scheduler, turn(1, ENDLESS));
    await begun;
    it.faults.lose();
    await assert.rejects(ended, { code: "device_lost" });
  };
  await lose();
  await lose();
  await start(it.scheduler, turn(2)).ended;
  await lose();
  await lose();
  assert.equal(it.seen.filter((event) => event === "rebuilt").length, 3);
  await lose();
  await assert.rejects(it.engine.recover(), { code: "device_lost" });
  assert.equal(it.engine.status.state, "failed");
  assert.equal(it.seen.at(-1), "end");
});

slowTest("an engine of another model is not accepted as a replacement", async () => {
  await using it = await supervisorCase();
  it.file.index = 1;
  it.faults.lose();
  const waiting = start(it.scheduler, turn(1));
  await assert.rejects(it.timers.until(waiting.ended, 1000), { code: "device_lost" });
  await assert.rejects(it.timers.until(it.engine.recover(), 1000), { code: "device_lost" });
  assert.deepEqual(it.seen, ["device_lost", "reload", "reload", "end"]);
});

slowTest("a turn that waits for a restart can be cancelled", async () => {
  await using it = await supervisorCase();
  it.faults.full = true;
  await loseIdle(it);
  const abort = new AbortController();
  const { ended } = start(it.scheduler, turn(1, { signal: abort.signal }));
  abort.abort();
  assert.deepEqual(await ended, { tokens: [], state: null });
  it.faults.full = false;
  await it.timers.until(it.engine.recover(), 1000);
});
