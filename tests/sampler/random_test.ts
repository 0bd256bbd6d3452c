import assert from "node:assert/strict";
import { philox4x32, randomAt, type Words4 } from "../../src/sampler/random.ts";

Deno.test("Philox4x32-10 matches its authors' test vectors", () => {
  // kat_vectors of Random123: counter, key, result.
  const ones = 0xffffffff;
  const known: [Words4, [number, number], Words4][] = [
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[ones, ones, ones, ones], [ones, ones], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  for (const [counter, key, result] of known) assert.deepEqual(philox4x32(counter, key), result);
});

Deno.test("a random number consists of the first 53 bits in a fixed order", () => {
  const bits = 0x6627e8d5n >> 5n << 26n | 0xe169c58dn >> 6n;
  assert.equal(randomAt(0n, 0), Number(bits) / 2 ** 53);
  const [a, b] = philox4x32([7, 3, 0, 0], [0x89abcdef, 0x01234567]);
  assert.equal(
    randomAt(0x0123456789abcdefn, 3 * 2 ** 32 + 7),
    Number(BigInt(a) >> 5n << 26n | BigInt(b) >> 6n) / 2 ** 53,
  );
});

Deno.test("all bits of seed and position matter", () => {
  const seen = new Set<number>();
  for (let bit = 0; bit < 64; bit++) seen.add(randomAt(1n << BigInt(bit), 0));
  for (let bit = 0; bit < 53; bit++) seen.add(randomAt(0n, 2 ** bit));
  assert.equal(seen.size, 64 + 53);
});

Deno.test("random numbers are uniform over positions and seeds", () => {
  for (const draw of [(i: number) => randomAt(99n, i), (i: number) => randomAt(BigInt(i), 3)]) {
    const cells = new Array<number>(100).fill(0);
    for (let i = 0; i < 50_000; i++) {
      const x = draw(i);
      assert(x >= 0 && x < 1);
      cells[Math.floor(x * 100)]++;
    }
    const chiSquare = cells.reduce((sum, n) => sum + (n - 500) ** 2 / 500, 0);
    assert(chiSquare > 50 && chiSquare < 170, `${chiSquare}`);
  }
});
