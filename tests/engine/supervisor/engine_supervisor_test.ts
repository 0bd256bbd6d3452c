/** Device failures under a scheduler: which turns end, which wait, and what runs afterwards. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { slowTest } from "../../support/quick.ts";
import {
  runWithoutFaults,
  SLOTS,
  startTurn,
  type SupervisorCase,
  supervisorCase,
  turnRequest,
  UNTIL_FAILURE,
} from "./supervisor_fixtures.ts";

/** Returns whether an error is an engine failure that the client should retry. */
function isRetryable(error: unknown): boolean {
  return error instanceof InferenceError && error.code === "device_lost" && error.status === 503 &&
    error.retryAfter! >= 1;
}

/** Loses the device while the engine is idle, and waits until the supervisor notices. */
async function loseIdle({ faults, engine }: SupervisorCase): Promise<void> {
  faults.loseDevice();
  while (engine.status.state === "running") await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("a lost device ends the turns in slots; waiting and later turns run on the next device", async () => {
  const expected = [await runWithoutFaults(turnRequest(8)), await runWithoutFaults(turnRequest(9))];
  await using fixture = await supervisorCase();
  const running = Array.from(
    { length: SLOTS },
    (_, i) => startTurn(fixture.scheduler, turnRequest(i, UNTIL_FAILURE)),
  );
  await Promise.all(running.map(({ started }) => started));
  const waiting = startTurn(fixture.scheduler, turnRequest(8));
  fixture.faults.loseDevice();
  for (const { ended } of running) await assert.rejects(ended, isRetryable);
  assert.deepEqual(await waiting.ended, expected[0]);
  assert.deepEqual(await startTurn(fixture.scheduler, turnRequest(9)).ended, expected[1]);
  assert.deepEqual(fixture.events, ["device_lost", "rebuilt"]);
  assert.deepEqual(fixture.engine.status, { state: "running", fault: null });
  assert.equal(fixture.faults.devices.length, 2);
});

slowTest(
  "a device lost while idle is replaced without affecting any turn",
  async () => {
    const expected = await runWithoutFaults(turnRequest(3));
    await using fixture = await supervisorCase();
    await loseIdle(fixture);
    assert.deepEqual(await startTurn(fixture.scheduler, turnRequest(3)).ended, expected);
    assert.deepEqual(fixture.events, ["device_lost", "rebuilt"]);
  },
);

slowTest(
  "states that were in slots are loaded again, including one that gets its key afterwards",
  async () => {
    await using fixture = await supervisorCase();
    const first = startTurn(fixture.scheduler, turnRequest(1));
    const second = startTurn(fixture.scheduler, turnRequest(2));
    const states = [(await first.ended).state!, (await second.ended).state!];
    first.generation.keepWarm("first", undefined);
    fixture.faults.loseDevice();
    await assert.rejects(startTurn(fixture.scheduler, turnRequest(3)).ended, isRetryable);
    second.generation.keepWarm("second", undefined);
    for (const [i, key] of ["first", "second"].entries()) {
      let loaded = 0;
      const load = () => {
        loaded++;
        return Promise.resolve(states[i]);
      };
      const further = turnRequest(5, { state: { stateKey: key, load } });
      const { tokens } = await startTurn(fixture.scheduler, further).ended;
      assert.equal(loaded, 1);
      assert.deepEqual(tokens, (await runWithoutFaults(further)).tokens);
    }
    assert.equal(fixture.scheduler.snapshot.warmSlotHits, 0);
  },
);

Deno.test("weights corrupted to NaN end all turns and are reloaded", async () => {
  const expected = await runWithoutFaults(turnRequest(4));
  await using fixture = await supervisorCase();
  const turns = [0, 1].map((seed) =>
    startTurn(fixture.scheduler, turnRequest(seed, UNTIL_FAILURE))
  );
  await Promise.all(turns.map(({ started }) => started));
  fixture.faults.corruptWeights();
  for (const { ended } of turns) {
    await assert.rejects(
      ended,
      (error) => isRetryable(error) && /computes invalid results/.test(String(error)),
    );
  }
  assert.deepEqual(await startTurn(fixture.scheduler, turnRequest(4)).ended, expected);
  assert.deepEqual(fixture.events, ["numeric", "rebuilt"]);
});

Deno.test("a state that yields NaN ends only its own turn", async () => {
  const expected = await runWithoutFaults(turnRequest(6));
  const state = (await runWithoutFaults(turnRequest(1))).state!.map((v) => Math.sign(v) * 3e38);
  await using fixture = await supervisorCase();
  const other = startTurn(fixture.scheduler, turnRequest(6));
  const broken = turnRequest(2, {
    state: { stateKey: null, load: () => Promise.resolve(state) },
  });
  await assert.rejects(startTurn(fixture.scheduler, broken).ended, (error) => {
    return error instanceof InferenceError && error.code === "numeric_fault";
  });
  assert.deepEqual(await other.ended, expected);
  assert.deepEqual(fixture.events, ["turn numeric"]);
  assert.equal(fixture.faults.devices.length, 1);
});

Deno.test("a prefill-only turn with such a state fails as well", async () => {
  const state = (await runWithoutFaults(turnRequest(1))).state!.map((v) => Math.sign(v) * 3e38);
  await using fixture = await supervisorCase();
  const read = turnRequest(2, {
    state: { stateKey: null, load: () => Promise.resolve(state) },
    maxTokens: 0,
  });
  await assert.rejects(fixture.scheduler.submit(read).finished, { code: "numeric_fault" });
});

Deno.test("a hanging device is abandoned, and waiting turns run on the next one", async () => {
  const expected = await runWithoutFaults(turnRequest(7));
  await using fixture = await supervisorCase();
  fixture.faults.hang = true;
  const { ended } = startTurn(fixture.scheduler, turnRequest(0, UNTIL_FAILURE));
  const waiting = startTurn(fixture.scheduler, turnRequest(7));
  await fixture.faults.hung;
  fixture.timers.advance(599_000);
  assert.deepEqual(fixture.events, []);
  fixture.timers.advance(2000);
  assert.deepEqual(fixture.events, ["hung"]);
  await assert.rejects(ended, (error) => isRetryable(error) && /hangs/.test(String(error)));
  fixture.faults.hang = false;
  // The supervisor waits no longer than this for the old device.
  fixture.timers.advance(10_000);
  assert.deepEqual(await waiting.ended, expected);
  assert.deepEqual(fixture.events, ["hung", "rebuilt"]);
});

slowTest("a device that reports out of memory is replaced", async () => {
  await using fixture = await supervisorCase();
  const { started, ended } = startTurn(fixture.scheduler, turnRequest(1, UNTIL_FAILURE));
  await started;
  fixture.faults.reportOutOfMemory();
  await assert.rejects(ended, (error) => isRetryable(error) && /out of memory/.test(String(error)));
  assert.equal((await startTurn(fixture.scheduler, turnRequest(1)).ended).tokens.length, 40);
  assert.deepEqual(fixture.events, ["out_of_memory", "rebuilt"]);
});

slowTest("a restart that runs out of memory is retried later", async () => {
  const expected = await runWithoutFaults(turnRequest(7));
  await using fixture = await supervisorCase();
  fixture.faults.outOfMemory = true;
  fixture.faults.loseDevice();
  await assert.rejects(startTurn(fixture.scheduler, turnRequest(1)).ended, isRetryable);
  const waiting = startTurn(fixture.scheduler, turnRequest(7)).ended;
  while (fixture.events.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  fixture.faults.outOfMemory = false;
  assert.deepEqual(await fixture.timers.advanceUntil(waiting, 1000), expected);
  assert.deepEqual(fixture.events, ["device_lost", "out_of_memory", "rebuilt"]);
});

Deno.test("if kernels no longer compile, waiting turns end and new ones are rejected", async () => {
  await using fixture = await supervisorCase();
  fixture.faults.failPipelines = true;
  await loseIdle(fixture);
  const waiting = startTurn(fixture.scheduler, turnRequest(1)).ended;
  await assert.rejects(fixture.timers.advanceUntil(waiting, 1000), { code: "device_lost" });
  assert.deepEqual(fixture.events, ["device_lost", "shader", "shader", "end"]);
  assert.deepEqual(fixture.engine.status, { state: "failed", fault: "shader" });
  assert.throws(() => fixture.scheduler.submit(turnRequest(1)), { code: "device_lost" });
});

slowTest("three losses in a row are final, unless a turn completes in between", async () => {
  await using fixture = await supervisorCase();
  const lose = async () => {
    const { started, ended } = startTurn(fixture.scheduler, turnRequest(1, UNTIL_FAILURE));
    await started;
    fixture.faults.loseDevice();
    await assert.rejects(ended, { code: "device_lost" });
  };
  await lose();
  await lose();
  await startTurn(fixture.scheduler, turnRequest(2)).ended;
  await lose();
  await lose();
  assert.equal(fixture.events.filter((event) => event === "rebuilt").length, 3);
  await lose();
  await assert.rejects(fixture.engine.recover(), { code: "device_lost" });
  assert.equal(fixture.engine.status.state, "failed");
  assert.equal(fixture.events.at(-1), "end");
});

slowTest("an engine of another model is not accepted as a replacement", async () => {
  await using fixture = await supervisorCase();
  fixture.nextModel.index = 1;
  fixture.faults.loseDevice();
  const waiting = startTurn(fixture.scheduler, turnRequest(1));
  await assert.rejects(fixture.timers.advanceUntil(waiting.ended, 1000), { code: "device_lost" });
  await assert.rejects(fixture.timers.advanceUntil(fixture.engine.recover(), 1000), {
    code: "device_lost",
  });
  assert.deepEqual(fixture.events, ["device_lost", "reload", "reload", "end"]);
});

slowTest("a turn that waits for a restart can be cancelled", async () => {
  await using fixture = await supervisorCase();
  fixture.faults.outOfMemory = true;
  await loseIdle(fixture);
  const abort = new AbortController();
  const { ended } = startTurn(fixture.scheduler, turnRequest(1, { signal: abort.signal }));
  abort.abort();
  assert.deepEqual(await ended, { tokens: [], state: null });
  fixture.faults.outOfMemory = false;
  await fixture.timers.advanceUntil(fixture.engine.recover(), 1000);
});
