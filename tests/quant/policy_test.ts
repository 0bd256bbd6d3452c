import assert from "node:assert/strict";
import { assignTypes, parseQuant, type Quant } from "../../src/quant/mod.ts";

const MATRICES = [
  "emb.weight",
  "blocks.0.att.key.weight",
  "blocks.1.att.key.weight",
  "blocks.10.att.key.weight",
  "blocks.1.ffn.key.weight",
  "head.weight",
];

Deno.test("a single type applies to every matrix", () => {
  const words = [["none", "f32"], ["f16", "f16"], ["int8", "int8"], ["nf4", "nf4"]] as const;
  for (const [word, type] of words) {
    assert.deepEqual([...assignTypes(word, MATRICES)], MATRICES.map((name) => [name, type]));
  }
});

Deno.test("exceptions match whole segments, and the last match applies", () => {
  const types = (quant: string) => [...assignTypes(parseQuant(quant), MATRICES).values()];
  assert.deepEqual(types("nf4,head=int8"), ["nf4", "nf4", "nf4", "nf4", "nf4", "int8"]);
  assert.deepEqual(types("nf4,blocks.1=f16"), ["nf4", "nf4", "f16", "nf4", "f16", "nf4"]);
  assert.deepEqual(types("nf4,key=f16,att.key=none"), ["nf4", "f32", "f32", "f32", "f16", "nf4"]);
  assert.deepEqual(types("int8,emb.weight=nf4"), ["nf4", ...new Array(5).fill("int8")]);
});

Deno.test("an invalid policy is rejected with its invalid part", () => {
  const cases: [string, RegExp][] = [
    ["", /"" is not one of none, f16, int8, nf4/],
    ["nf5", /"nf5" is not one of/],
    ["NF4", /"NF4" is not one of/],
    ["constructor", /"constructor" is not one of/],
    ["nf4,", /"" is not an exception such as head=int8/],
    ["nf4,head", /"head" is not an exception/],
    ["nf4,head=int4", /"int4" is not one of/],
    ["nf4,head=int8=f16", /"head=int8=f16" is not an exception/],
    ["nf4,he ad=int8", /"he ad=int8" is not an exception/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseQuant(text), { code: "invalid_value", message });
  }
  for (const part of ["haed", "hea", "blocks.2", "att"]) {
    const quant: Quant = `nf4,${part}=int8`;
    if (part === "att") assert.equal(assignTypes(quant, MATRICES).get(MATRICES[1]), "int8");
    else assert.throws(() => assignTypes(quant, MATRICES), /matches no matrix/);
  }
});
