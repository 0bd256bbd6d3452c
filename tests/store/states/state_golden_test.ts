/** States that another program has encoded, in another language: tests/golden/states. */

import assert from "node:assert/strict";
import { decodeState, encodeState, STATE_CODECS } from "../../../src/store/states/state_codec.ts";
import { GOLDEN } from "../../support/golden_data.ts";
import { assertSameNumbers } from "../../support/same_numbers.ts";

const SHAPE = { layers: 2, width: 16, headSize: 8 };

const bytesOf = (name: string) => Deno.readFile(`${GOLDEN}states/${name}.bin`);

const numbersOf = async (name: string) => new Float32Array((await bytesOf(name)).buffer);

/** What is read of a file. */
const DECODED = {
  version1: "numbers",
  f32: "numbers",
  f16: "f16_decoded",
  q8: "q8_decoded",
};

for (const [name, numbers] of Object.entries(DECODED)) {
  Deno.test(`the golden state ${name} is read to the bit`, async () => {
    assertSameNumbers(decodeState(await bytesOf(name)), await numbersOf(numbers), name);
  });
}

for (const codec of STATE_CODECS) {
  Deno.test(`the golden numbers are written to the golden bytes as ${codec}`, async () => {
    const expected = await bytesOf(codec);
    for (const numbers of ["numbers", DECODED[codec]]) {
      const bytes = encodeState(await numbersOf(numbers), { codec, shape: SHAPE });
      assert.deepEqual(bytes, expected, numbers);
    }
  });
}
