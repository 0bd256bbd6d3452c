import assert from "node:assert/strict";
import { VirtualClock } from "../../capacity/clock.ts";
import { Cores } from "../../capacity/cores.ts";

Deno.test("events run in order of time, simultaneous ones in scheduling order", async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const times = [5, 3, 9, 3, 1, 7, 3, 8, 2, 6];
  times.forEach((time, i) => clock.at(time, () => seen.push(`${clock.now}:${i}`)));
  await clock.run();
  assert.deepEqual(seen, "1:4 2:8 3:1 3:3 3:6 5:0 6:9 7:5 8:7 9:2".split(" "));
});

Deno.test("promise callbacks of an event run at the event's time", async () => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  const chain = async () => {
    await clock.wait(10);
    for (let i = 0; i < 100; i++) await null;
    seen.push(clock.now);
    await clock.wait(5);
    seen.push(clock.now);
  };
  clock.at(11, () => seen.push(clock.now));
  void chain();
  await clock.run();
  assert.deepEqual(seen, [10, 11, 15]);
});

Deno.test("an event in the past runs next", async () => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  clock.at(10, () => clock.at(3, () => seen.push(clock.now)));
  clock.at(20, () => seen.push(clock.now));
  await clock.run();
  assert.deepEqual(seen, [10, 20]);
});

/** Returns the times at which jobs, given as [start, milliseconds], are done. */
async function endTimes(jobs: [number, number][], cores: number): Promise<number[]> {
  const clock = new VirtualClock();
  const shared = new Cores(clock, cores);
  const done: number[] = [];
  jobs.forEach(([from, ms], i) => clock.at(from, () => shared.run(ms, () => done[i] = clock.now)));
  await clock.run();
  return done;
}

Deno.test("jobs share cores evenly and use at most one each", async () => {
  assert.deepEqual(await endTimes([[0, 10], [0, 20], [0, 30]], 1), [30, 50, 60]);
  assert.deepEqual(await endTimes([[0, 10], [5, 10]], 1), [15, 20]);
  assert.deepEqual(await endTimes([[0, 10], [0, 20], [0, 30]], 3), [10, 20, 30]);
  assert.deepEqual(await endTimes([[0, 10], [0, 10], [0, 10], [0, 10]], 2), [20, 20, 20, 20]);
  assert.deepEqual(await endTimes([[0, 10], [0, 20]], 1.5), [
    10 / 0.75,
    20 / 0.75 - 10 / 0.75 + 10,
  ]);
  assert.deepEqual(await endTimes([[0, 10], [2, 20], [4, 30]], Infinity), [10, 22, 34]);
});
