import assert from "node:assert/strict";
import { NF4, QUANTIZED_LAYOUTS, type QuantizedType } from "../../kernels/layouts.ts";
import { dequantize, quantize } from "../../src/quant/quantize.ts";
import { floats, seeded } from "../support/random_data.ts";

const TYPES: QuantizedType[] = ["int8", "nf4"];

/** Returns approximately normal values, like weights. */
function normal(length: number, seed: number): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += random();
    return sum * 0.02;
  });
}

function relativeError(values: Float32Array, type: QuantizedType, columns: number): number {
  const back = dequantize(quantize(values, { columns, type }), { columns, type });
  let error = 0, square = 0;
  values.forEach((value, i) => {
    error += (value - back[i]) ** 2;
    square += value * value;
  });
  return Math.sqrt(error / square);
}

Deno.test("errors match the number of bits, for unaligned widths too", () => {
  for (const columns of [1, 7, 63, 64, 65, 200, 1000]) {
    const values = normal(16 * columns, columns);
    assert.ok(relativeError(values, "int8", columns) < 0.008, `int8 at ${columns}`);
    assert.ok(relativeError(values, "nf4", columns) < 0.09, `nf4 at ${columns}`);
  }
});

Deno.test("the searched scale has a smaller error than the largest magnitude", () => {
  const columns = QUANTIZED_LAYOUTS.nf4.scaleBlock;
  const values = normal(200 * columns, 1);
  let plain = 0, square = 0;
  for (let row = 0; row < 200; row++) {
    const part = values.subarray(row * columns, (row + 1) * columns);
    const largest = Math.f16round(part.reduce((a, b) => Math.max(a, Math.abs(b)), 0));
    for (const value of part) {
      const nearest = Math.min(...NF4.map((v) => Math.abs(v * largest - value)));
      plain += nearest ** 2;
      square += value * value;
    }
  }
  assert.ok(relativeError(values, "nf4", columns) < 0.97 * Math.sqrt(plain / square));
});

Deno.test("scales of both signs are used, and the reported error is that of dequantization", () => {
  const columns = 32 * 50 + 7;
  const values = normal(20 * columns, 9);
  for (const type of TYPES) {
    const { squaredError, squaredValues, ...quantized } = quantize(values, { columns, type });
    const negative = quantized.scales.filter((scale) => scale < 0).length / quantized.scales.length;
    assert.ok(type === "int8" ? negative === 0 : Math.abs(negative - 0.5) < 0.1, `${negative}`);
    const back = dequantize(quantized, { columns, type });
    const error = values.reduce((sum, value, i) => sum + (value - back[i]) ** 2, 0);
    assert.ok(Math.abs(squaredError / error - 1) < 1e-4, `${squaredError} ${error}`);
    const square = values.reduce((sum, value) => sum + value * value, 0);
    assert.ok(Math.abs(squaredValues / square - 1) < 1e-9);
    assert.ok(Math.sqrt(error / square) < { int8: 0.0065, nf4: 0.078 }[type]);
  }
});

Deno.test("zeros, single values and extremes survive quantization", () => {
  for (const type of TYPES) {
    const back = (values: number[]) => {
      const columns = values.length;
      return [
        ...dequantize(quantize(Float32Array.from(values), { columns, type }), { columns, type }),
      ];
    };
    assert.deepEqual(back([0, 0, 0]), [0, 0, 0]);
    assert.deepEqual(back([0, 0.5, 0]), [0, 0.5, 0]);
    assert.deepEqual(back([-0.25]), [-0.25]);
    for (const large of [1e-7, 3e4]) {
      const [value] = back([large, 0]);
      assert.ok(Math.abs(value - large) <= 0.5 * large, `${type} of ${large}: ${value}`);
    }
    assert.ok(back([1e9, 1]).every(Number.isFinite));
  }
});

Deno.test("rows are quantized independently", () => {
  const columns = 70;
  for (const type of TYPES) {
    const values = floats(seeded(3), 5 * columns);
    const whole = quantize(values, { columns, type });
    const third = quantize(values.slice(2 * columns, 3 * columns), { columns, type });
    assert.deepEqual(whole.codes.slice(2 * columns, 3 * columns), third.codes);
    const blocks = Math.ceil(columns / QUANTIZED_LAYOUTS[type].scaleBlock);
    assert.deepEqual(whole.scales.slice(2 * blocks, 3 * blocks), third.scales);
  }
});

Deno.test("the nf4 table is sorted, with zero at the padding code", () => {
  assert.equal(NF4.length, 16);
  assert.equal(NF4[QUANTIZED_LAYOUTS.nf4.zeroCode], 0);
  assert.ok(NF4.every((value, i) => i === 0 || value > NF4[i - 1]));
});
