/** The GPU layer: devices, buffers, pipelines. */

export { type OpenDevice, openDevice } from "./device.ts";
export {
  type BufferDevice,
  DeviceBuffers,
  type MemoryBytes,
  readFloats,
  totalBytes,
  upload,
} from "./buffers.ts";
export { type BoundBuffer, type Dispatch, encode, Pipelines } from "./dispatch.ts";
