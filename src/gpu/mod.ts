/** The GPU layer: devices, buffers, pipelines. */

export {
  findAdapter,
  type FoundAdapter,
  openAdapter,
  type OpenDevice,
  openDevice,
  REQUIRED_LIMITS,
} from "./device.ts";
export {
  type BufferDevice,
  DeviceBuffers,
  type MemoryBytes,
  type MemoryUse,
  readBytes,
  totalBytes,
  upload,
} from "./buffers.ts";
export {
  type BoundBuffer,
  type Dispatch,
  encode,
  Pipelines,
  sized,
  type SizedDispatch,
} from "./dispatch.ts";
export { DeviceQueue, Staging, StagingRing, type Work } from "./queue.ts";
export { DispatchClock } from "./dispatch_clock.ts";
