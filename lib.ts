/**
 * The parts of the library that run on every runtime, Node and browsers included: checkpoints,
 * tokenizer, WebGPU and CPU engines, sampler, scheduler, state codecs, and the API client.
 *
 * @module
 */

export {
  type ErrorCode,
  type FaultKind,
  InferenceError,
  type InferenceErrorOptions,
  type LimitKind,
} from "./src/core/errors.ts";
export { type ByteSource, MemorySource } from "./src/formats/byte_source.ts";
export { type ByteSink, MemorySink } from "./src/formats/byte_sink.ts";
export {
  type Checkpoint,
  type CheckpointFormat,
  openCheckpoint,
  type TensorInfo,
} from "./src/formats/checkpoint.ts";
export { BYTE_VOCABULARY, parseVocabulary, type Vocabulary } from "./src/tokenizer/vocabulary.ts";
export { Tokenizer } from "./src/tokenizer/tokenizer.ts";
export { tokenTable, type TokenVocabulary } from "./src/tokenizer/token_table.ts";
export { TextStream } from "./src/tokenizer/text_stream.ts";
export type { Dimensions, Version } from "./src/model/dimensions.ts";
export { stateLength } from "./src/model/architectures/registry.ts";
export { loadModel, type Model, type ModelOptions, openModel } from "./src/model/load.ts";
export { convertModel, type ConvertOptions } from "./src/model/convert.ts";
export type { ConversionInfo, ConvertedMatrix } from "./src/model/converted_file.ts";
export { randomCheckpoint } from "./src/model/random_checkpoint.ts";
export { MODEL_SIZES, type ModelSize } from "./src/model/architectures/registry.ts";
export {
  type MatrixSource,
  type PackedRows,
  parseQuant,
  type Quant,
  QUANT_NAMES,
  type QuantName,
  type WeightType,
} from "./src/quant/mod.ts";
export { type MemoryUse, type OpenDevice, openDevice } from "./src/gpu/mod.ts";
export type {
  DeviceSelection,
  Engine,
  EngineInfo,
  GenerateResult,
  GenerateRun,
  LoadTimes,
  LogitsSelection,
  MemoryBytes,
  OnProgress,
  Run,
  SamplingEngine,
  SamplingFault,
  SlotSampling,
} from "./src/engine/engine.ts";
export { CpuEngine, type CpuEngineOptions } from "./src/engine/cpu/cpu_engine.ts";
export { GpuEngine } from "./src/engine/gpu/gpu_engine.ts";
export type { GpuEngineOptions } from "./src/engine/gpu/parts.ts";
export type { EngineRecovery } from "./src/engine/supervisor/engine_recovery.ts";
export type { BufferOptions } from "./src/engine/gpu/buffers.ts";
export type { LinearChoice } from "./src/engine/gpu/linear_choice.ts";
export type { RowsTile } from "./kernels/linear_rows.ts";
export type { KernelProfile, StepProfile } from "./src/engine/gpu/profile.ts";
export { prefill } from "./src/engine/prefill.ts";
export {
  type Constraint,
  type CreateTokenConstraint,
  NEUTRAL_SAMPLING,
  type SamplingParams,
  type StopSearch,
  type StopStrings,
  type TokenConstraint,
  type TokenLogprobs,
  type TokenTable,
} from "./src/core/sampling.ts";
export {
  createTokenConstraints,
  type TokenConstraintOptions,
} from "./src/grammar/token_constraints.ts";
export { sample } from "./src/sampler/sampler.ts";
export { CpuSamplingEngine, type CpuSamplingOptions } from "./src/scheduler/cpu_sampling.ts";
export { randomAt } from "./src/sampler/random.ts";
export { Scheduler, type SchedulerOptions } from "./src/scheduler/scheduler.ts";
export type { SchedulerSnapshot } from "./src/scheduler/scheduler_stats.ts";
export type {
  Generation,
  GenerationRequest,
  GenerationResult,
  GenerationRunner,
  StateSource,
  TokenBatch,
} from "./src/scheduler/scheduler_types.ts";
export {
  decodeState,
  encodeState,
  readStateHeader,
  STATE_CODECS,
  STATE_HEADER_BYTES,
  type StateCodec,
  type StateHeader,
  type StateShape,
} from "./src/store/states/state_codec.ts";
export type { ModelIdentity } from "./src/store/states/manifest.ts";
export {
  decodeStateFile,
  encodeStateFile,
  type StateFile,
  type StateFileFacts,
} from "./src/store/states/state_file.ts";
export * from "./src/client/mod.ts";
export type { SamplingValues } from "./src/core/sampling_parameters.ts";
