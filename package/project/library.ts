/**
 * A Node program that uses the package: loads a model, tokenizes and continues a text, and decodes and
 * re-encodes a stored state. Prints its results as JSON.
 *
 * Arguments: the model's folder, a prompt, a state file, the path for its copy, a device.
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
const OPTIONS = { quant: "f16", slots: 2, maxStepTokens: 64 } as const;

const model = await openModel(
  new MemorySource("demo", await readFile(`${folder}/model.safetensors`)),
);
const tokenizer = new Tokenizer(
  parseVocabulary(await readFile(`${folder}/vocab.txt`, "utf8"), "vocab.txt"),
);
const tokens = tokenTable(tokenizer);
const reference = await CpuEngine.create(model, OPTIONS);
const engine = device === "webgpu"
  ? await createGpuEngine(model)
  : new CpuSamplingEngine(reference, tokens);

const ids = tokenizer.encode(prompt);
const options = { slot: 0, logits: "last" } as const;
const logits = await prefill(engine, ids, options);
const expected = await prefill(reference, ids, { ...options, slot: 1 });
let difference = 0;
logits.forEach((logit, i) => difference = Math.max(difference, Math.abs(logit - expected[i])));

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
// Dawn's threads would otherwise keep the process running.
process.exit(0);

async function createGpuEngine(model: Model): Promise<SamplingEngine> {
  // The cast lets this compile when the package is not installed.
  const { create }: { create(flags: string[]): Parameters<typeof openDevice>[0] } = await import(
    "webgpu" as string
  );
  const device = await openDevice(create([]));
  if (device === null) {
    console.error("Cannot find a WebGPU adapter");
    process.exit(3);
  }
  return await GpuEngine.create(device, model, { ...OPTIONS, tokenTable: tokens });
}

async function generate(engine: SamplingEngine): Promise<string> {
  const generation = new Scheduler(engine).submit({
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
  let generated = "";
  for await (const batch of generation) generated += text.push(tokenizer.decode(batch.tokens));
  await generation.finished;
  return generated + text.flush();
}

/** Decodes the file and its state, passes the state through the engine, and writes a copy. */
async function copyState() {
  const handle = await open(stateFile);
  const file = await decodeStateFile(handle.createReadStream());
  if (file.state === null) throw new Error("Cannot copy the state: the file has none");
  const { codec, shape } = readStateHeader(file.state);
  if (shape === null) throw new Error("Cannot copy the state: its header has no shape");
  const numbers = decodeState(file.state);
  await engine.writeState(1, numbers);
  const copied = await engine.readState(1);
  const pieces = await encodeStateFile({ ...file, state: encodeState(copied, { codec, shape }) });
  await writeFile(copy, pieces);
  return { model: file.model.fingerprint, own: model.fingerprint, codec, numbers: numbers.length };
}
