import assert from "node:assert/strict";
import { meanCalibration, type Calibration, turnsPerSecond } from "../../capacity/calibrate.ts";
import { counterRates } from "../../capacity/worker_counters.ts";
import { PLAIN } from "./fleet_options.ts";

function calibration(ms: number, cores: number): Calibration {
  return {
    profile: {
      ...PLAIN,
      decode: [1, 2, 4, 8].map((batch) => ({ batch, ms: ms * batch })),
      read: { step: 1, token: ms },
    },
    cores,
    request: ms,
    kv: { load: ms, save: 2 * ms },
    around: 5,
  };
}

Deno.test("two measurements are taken for their mean", () => {
  const mean = meanCalibration(calibration(2, 1.5), calibration(4, 1.7));
  assert.deepEqual(mean, calibration(3, 1.6));
});

Deno.test("what workers can do at most follows from what turns take", () => {
  // 15 tokens read and 25 written take 80 ms of a core, and there are one and a half.
  const most = turnsPerSecond(calibration(2, 1.5), { prompt: () => 10, reply: () => 25 });
  assert.ok(Math.abs(most - 1500 / 80) < 1e-9, `${most}`);
});

Deno.test("counts of two moments become figures of the time between them", () => {
  const marks = [{ steps: 100, read: 50 }, { steps: 300, read: 450 }];
  assert.deepEqual(counterRates(marks, { seconds: 10, written: 40 }), { batch: 2, read_per_second: 40 });
});
