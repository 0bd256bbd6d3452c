/** Rows of numbers that are hard to hold in few bits. */

/** A row of `length` numbers, each of which float16 has room for. */
export function hostileRow(random: () => number, length: number): Float32Array {
  const row = new Float32Array(length);
  const signed = () => 2 * random() - 1;
  const place = () => Math.floor(random() * length);
  switch (Math.floor(random() * 9)) {
    case 0: // Zeros, some of them negative.
      return row.map(() => random() < 0.5 ? -0 : 0);
    case 1: // All equal.
      return row.fill(signed() * 2 ** (30 * random() - 25));
    case 2: // One huge value.
      row.forEach((_, i) => row[i] = signed());
      row[place()] = random() < 0.5 ? 65504 : -65504;
      return row;
    case 3: // Subnormal as float16.
      return row.map(() => signed() * 2 ** (-14 - 12 * random()));
    case 4: // Subnormal as float32.
      return row.map(() => signed() * 2 ** (-126 - 23 * random()));
    case 5: // Scales that float16 holds as subnormals.
      return row.map(() => signed() * 2 ** (-6 - 20 * random()));
    case 6: { // Largest numbers at and beside the borders between scales, and between codes.
      const step = 2 ** -Math.floor(13 + 12 * random());
      row.forEach((_, i) => row[i] = Math.trunc(signed() * 255) / 2 * step);
      row[place()] = 127.5 * step * (1 + Math.trunc(signed() * 2) * 2 ** -23);
      return row;
    }
    case 7: // Magnitudes of all sizes.
      return row.map(() => signed() * 2 ** (60 * random() - 45));
    default: { // Like a trained model's.
      const size = 4 ** (8 * random() - 5);
      return row.map(() => (signed() + signed() + signed()) * size);
    }
  }
}
