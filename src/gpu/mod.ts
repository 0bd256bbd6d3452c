/** The GPU layer: devices, buffers, pipelines. */

export { type OpenDevice, openDevice } from "./device.ts";
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
