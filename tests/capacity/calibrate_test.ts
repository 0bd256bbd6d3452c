import assert from "node:assert/strict";
import { type Calibration, meanCalibration, turnsPerSecond } from "../../capacity/calibrate.ts";
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

Deno.test("meanCalibration averages two calibrations", () => {
  const mean = meanCalibration(calibration(2, 1.5), calibration(4, 1.7));
  assert.deepEqual(mean, calibration(3, 1.6));
});

Deno.test("maximum turn rate follows from the duration of a turn", () => {
  // 15 prompt tokens and 25 generated ones take 80 ms of a core; there are 1.5 cores.
  const maximum = turnsPerSecond(calibration(2, 1.5), { prompt: () => 10, reply: () => 25 });
  assert.ok(Math.abs(maximum - 1500 / 80) < 1e-9, `${maximum}`);
});

Deno.test("two counter readings give the rates of the time between them", () => {
  const counters = [{ steps: 100, read: 50 }, { steps: 300, read: 450 }];
  assert.deepEqual(counterRates(counters, { seconds: 10, written: 40 }), {
    batch: 2,
    read_per_second: 40,
  });
});
