/** Seeded test data. */

/** Returns a generator of numbers in [0, 1), deterministic for a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns `length` floats in [low, high). */
export function floats(
  random: () => number,
  length: number,
  { low = -1, high = 1 }: { low?: number; high?: number } = {},
): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, () => low + (high - low) * random());
}

/** Random choices, deterministic for a seed. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seeded(seed);
  }

  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  chance(of: number): boolean {
    return this.#next() < of;
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  some<T>(values: readonly T[], count: number): T[] {
    const remaining = [...values];
    return Array.from(
      { length: count },
      () => remaining.splice(this.below(remaining.length), 1)[0],
    );
  }
}
