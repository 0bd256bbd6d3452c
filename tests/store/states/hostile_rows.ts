/** Rows of numbers that are difficult to quantize. */

/** Returns a row of `length` numbers within the range of float16. */
export function hostileRow(random: () => number, length: number): Float32Array {
  const row = new Float32Array(length);
  const signed = () => 2 * random() - 1;
  const position = () => Math.floor(random() * length);
  switch (Math.floor(random() * 9)) {
    case 0: // Positive and negative zeros.
      return row.map(() => random() < 0.5 ? -0 : 0);
    case 1: // All equal.
      return row.fill(signed() * 2 ** (30 * random() - 25));
    case 2: // One huge value.
      row.forEach((_, i) => row[i] = signed());
      row[position()] = random() < 0.5 ? 65504 : -65504;
      return row;
    case 3: // Subnormal as float16.
      return row.map(() => signed() * 2 ** (-14 - 12 * random()));
    case 4: // Subnormal as float32.
      return row.map(() => signed() * 2 ** (-126 - 23 * random()));
    case 5: // Scales that are subnormal as float16.
      return row.map(() => signed() * 2 ** (-6 - 20 * random()));
    case 6: { // Largest numbers at and next to the boundaries of scales and codes.
      const step = 2 ** -Math.floor(13 + 12 * random());
      row.forEach((_, i) => row[i] = Math.trunc(signed() * 255) / 2 * step);
      row[position()] = 127.5 * step * (1 + Math.trunc(signed() * 2) * 2 ** -23);
      return row;
    }
    case 7: // Magnitudes of all sizes.
      return row.map(() => signed() * 2 ** (60 * random() - 45));
    default: { // Similar to the states of a trained model.
      const size = 4 ** (8 * random() - 5);
      return row.map(() => (signed() + signed() + signed()) * size);
    }
  }
}
