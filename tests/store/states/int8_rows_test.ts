import assert from "node:assert/strict";
import { decodeFloat16 } from "../../../src/core/float16.ts";
import { decodeRows, encodeRows } from "../../../src/store/states/int8_rows.ts";
import { seeded } from "../../support/random_data.ts";
import { hostileRow } from "./hostile_rows.ts";

const LENGTH = 9;

function encoded(numbers: Float32Array, rows = 1) {
  const target = { scales: new Uint16Array(rows), codes: new Int8Array(numbers.length) };
  assert.equal(encodeRows(numbers, target), true);
  const decoded = new Float32Array(numbers.length);
  assert.equal(decodeRows(target, decoded), -1);
  const steps = new Float32Array(rows);
  decodeFloat16(target.scales, steps);
  return { ...target, decoded, steps };
}

Deno.test("the error of a number is at most half a step, and the step is minimal", () => {
  const random = seeded(2);
  for (let i = 0; i < 20_000; i++) {
    const row = hostileRow(random, LENGTH);
    const { decoded, steps: [step], codes } = encoded(row);
    const largest = row.reduce((max, number) => Math.max(max, Math.abs(number)), 0);
    const message = `row ${i}, ${row.join(" ")}: step ${step}, ${decoded.join(" ")}`;
    // If the step is a normal float16, the largest number may be 127.07 steps. Otherwise the step is a
    // power of two. Numbers below the smallest float16 may become zeros.
    const maxStep = largest / 127 > 2 ** -14
      ? largest / 127 * (1 + 2 ** -11)
      : Math.max(2 ** -24, largest / 127 * 2);
    assert.ok(step <= maxStep, message);
    const bound = step === 0 ? 2 ** -25 : step / 2;
    row.forEach((number, j) => assert.ok(Math.abs(number - decoded[j]) <= bound, message));
    assert.ok(codes.every((code) => code >= -127), message);
  }
});

Deno.test("decoded rows are encoded to the same bytes", () => {
  const random = seeded(3);
  const exact = Float32Array.from({ length: 256 }, (_, code) => code - 128);
  for (let i = 0; i < 20_000; i++) {
    const row = i < 256 ? exact.map((code) => code * i * 2 ** -24) : hostileRow(random, LENGTH);
    const { scales, codes, decoded } = encoded(row);
    const again = encoded(decoded);
    assert.deepEqual(
      [again.scales[0], ...again.codes],
      [scales[0], ...codes],
      `row ${i}: ${row.join(" ")}`,
    );
  }
});

Deno.test("rows are encoded independently", () => {
  const random = seeded(4);
  const rows = Array.from({ length: 50 }, () => hostileRow(random, LENGTH));
  const joined = new Float32Array(50 * LENGTH);
  rows.forEach((row, i) => joined.set(row, i * LENGTH));
  const { scales, codes } = encoded(joined, 50);
  rows.forEach((row, i) => {
    const single = encoded(row);
    assert.equal(scales[i], single.scales[0]);
    assert.deepEqual(codes.slice(i * LENGTH, (i + 1) * LENGTH), single.codes);
  });
});

Deno.test("known rows have known scales and codes", () => {
  const cases: { row: number[]; step: number; codes: number[] }[] = [
    { row: [65504, 0, -257.5, 65468.5], step: 515.5, codes: [127, 0, 0, 127] },
    { row: [127, -127, 0.5, 1.5, -2.5], step: 1, codes: [127, -127, 0, 2, -2] },
    { row: [-0, 0, 0, -0], step: 0, codes: [0, 0, 0, 0] },
    { row: [2 ** -25, -(2 ** -25)], step: 0, codes: [0, 0] },
    { row: [1.5 * 2 ** -25, 1e-45], step: 2 ** -24, codes: [1, 0] },
    { row: [127.5 * 2 ** -24, 3 * 2 ** -24], step: 2 ** -23, codes: [64, 2] },
    { row: [127.25 * 2 ** -24, 3 * 2 ** -24], step: 2 ** -24, codes: [127, 3] },
  ];
  for (const { row, step, codes } of cases) {
    const target = encoded(Float32Array.from(row));
    assert.equal(target.steps[0], step, row.join(" "));
    assert.deepEqual([...target.codes], codes, row.join(" "));
  }
});

Deno.test("rows with numbers outside the range of float16 are rejected", () => {
  for (const number of [65504.004, -65520, Infinity, -Infinity, NaN, -NaN]) {
    const numbers = new Float32Array(8).fill(1);
    numbers[5] = number;
    const target = { scales: new Uint16Array(2), codes: new Int8Array(8) };
    assert.equal(encodeRows(numbers, target), false, `${number}`);
  }
});

Deno.test("an invalid scale is reported with its row", () => {
  for (const bad of [0x7c00, 0x7e01, 0x8000, 0xbc00, 0xfc00]) {
    const scales = Uint16Array.of(0x3c00, bad, 0x3c00);
    assert.equal(decodeRows({ scales, codes: new Int8Array(6) }, new Float32Array(6)), 1);
  }
  // The first of two invalid rows is reported.
  const scales = Uint16Array.of(0x3c00, 0xbc00, 0x7c00);
  assert.equal(decodeRows({ scales, codes: new Int8Array(6) }, new Float32Array(6)), 1);
});
