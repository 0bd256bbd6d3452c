/**
 * The package as a Node program uses it: a model from a file, a text tokenized and continued, a
 * stored state read and written again. Prints what it got as JSON.
 *
 * Arguments: the model's folder, a prompt, the state's file, where to write it again, a device.
 */

import { open, readFile, writeFile } from "node:fs/promises";
import {
  CpuEngine,
  CpuSamplingEngine,
  decodeState,
  decodeStateFile,
  encodeState,
  encodeStateFile,
  GpuEngine,
  MemorySource,
  type Model,
  NEUTRAL_SAMPLING,
  openDevice,
  openModel,
  parseVocabulary,
  prefill,
  readStateHeader,
  type SamplingEngine,
  Scheduler,
  TextStream,
  Tokenizer,
  tokenTable,
} from "@rwkv-edge/worker";

const [folder, prompt, stateFile, copy, device] = process.argv.slice(2);
const HELD = { quant: "f16", slots: 2, maxStepTokens: 64 } as const;

const model = await openModel(
  new MemorySource("demo", await readFile(`${folder}/model.safetensors`)),
);
const tokenizer = new Tokenizer(
  parseVocabulary(await readFile(`${folder}/vocab.txt`, "utf8"), "vocab.txt"),
);
const tokens = tokenTable(tokenizer);
const reference = await CpuEngine.create(model, HELD);
const engine = device === "webgpu" ? await onGpu(model) : new CpuSamplingEngine(reference, tokens);

const ids = tokenizer.encode(prompt);
const options = { slot: 0, logits: "last" } as const;
const logits = await prefill(engine, ids, options);
const wanted = await prefill(reference, ids, { ...options, slot: 1 });
let difference = 0;
logits.forEach((logit, i) => difference = Math.max(difference, Math.abs(logit - wanted[i])));

const generated = await generate(engine);
const state = await copyState();
await engine.close();
await model.close();
console.log(JSON.stringify({
  adapter: engine.info.adapter,
  ids,
  decoded: new TextDecoder().decode(tokenizer.decode(ids)),
  difference,
  generated,
  state,
}));
// Dawn's threads would keep the process alive.
process.exit(0);

async function onGpu(model: Model): Promise<SamplingEngine> {
  // Not imported by name, so that this compiles where the package is not installed.
  const { create }: { create(flags: string[]): Parameters<typeof openDevice>[0] } = await import(
    "webgpu" as string
  );
  const opened = await openDevice(create([]));
  if (opened === null) {
    console.error("no adapter");
    process.exit(3);
  }
  return await GpuEngine.create(opened, model, { ...HELD, tokenTable: tokens });
}

async function generate(engine: SamplingEngine): Promise<string> {
  const turn = new Scheduler(engine).submit({
    state: null,
    tokens: ids,
    sampling: { ...NEUTRAL_SAMPLING, temperature: 0, seed: 0n },
    counts: new Map(),
    position: 0,
    maxTokens: 40,
    endToken: tokenizer.endOfText,
    stops: null,
  });
  const text = new TextStream();
  let written = "";
  for await (const batch of turn) written += text.push(tokenizer.decode(batch.tokens));
  await turn.finished;
  return written + text.flush();
}

/** Reads the file, its state down to the numbers, and puts all together again. */
async function copyState() {
  const handle = await open(stateFile);
  const file = await decodeStateFile(handle.createReadStream());
  if (file.state === null) throw new Error("the file has no state");
  const { codec, shape } = readStateHeader(file.state);
  if (shape === null) throw new Error("the state does not tell its shape");
  const numbers = decodeState(file.state);
  await engine.writeState(1, numbers);
  const held = await engine.readState(1);
  const pieces = await encodeStateFile({ ...file, state: encodeState(held, { codec, shape }) });
  await writeFile(copy, pieces);
  return { model: file.model.fingerprint, own: model.fingerprint, codec, numbers: numbers.length };
}
