/** The pickle globals of torch: storages, tensors, parameters and dicts. */

import { invalidCheckpoint } from "./byte_source.ts";
import { inertGlobals } from "./inert_globals.ts";
import { readPickle } from "./pickle.ts";
import { PickleGlobal, PickleObject, type PickleValue } from "./pickle_value.ts";

/** Dtypes of torch's storage classes. */
const STORAGE_DTYPES: Readonly<Record<string, string>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** Maximum number of dimensions of a tensor; no layer has more than five. */
const MAX_RANK = 8;

/** Maximum number of tensors; the largest models have some thousands. */
const MAX_TENSORS = 65_535;

class StorageClass extends PickleGlobal {
  constructor(name: string, readonly dtype: string) {
    super(name);
  }
}

/** A sequence of elements of one dtype, in its own archive entry. */
export class TorchStorage extends PickleObject {
  /** @param key Name of the archive entry under `data/`. */
  constructor(readonly key: string, readonly dtype: string, readonly elements: number) {
    super();
  }
}

/** A view of a storage. Its sizes come from the pickle and are not validated. */
export class TorchTensor extends PickleObject {
  constructor(
    readonly storage: TorchStorage,
    readonly view: {
      /** In elements of the storage. */
      offset: number;
      shape: readonly number[];
      /** In elements. */
      strides: readonly number[];
    },
  ) {
    super();
  }
}

/**
 * Reads the `data.pkl` of a torch archive, with tensors as {@linkcode TorchTensor}.
 *
 * @throws InferenceError `invalid_checkpoint`
 */
export function readTorchPickle(bytes: Uint8Array, name: string): PickleValue {
  const fail = (problem: string) => invalidCheckpoint(name, `its pickle ${problem}`);

  let tensors = 0;
  const rebuildTensor = ([storage, offset, shape, strides]: readonly PickleValue[]) => {
    const valid = storage instanceof TorchStorage && isSize(offset) &&
      isSizes(shape) && isSizes(strides) && shape.length === strides.length;
    if (!valid) throw fail("describes a tensor with an invalid shape, stride or offset");
    if (++tensors > MAX_TENSORS) throw fail(`describes more than ${MAX_TENSORS} tensors`);
    return new TorchTensor(storage, { offset, shape: [...shape], strides: [...strides] });
  };
  const rebuildParameter = ([tensor]: readonly PickleValue[]) => {
    if (!(tensor instanceof TorchTensor)) throw fail("describes a parameter that is not a tensor");
    return tensor;
  };
  const orderedDict = (args: readonly PickleValue[]) => {
    if (args.length > 0) throw fail("makes an OrderedDict with arguments");
    return new Map();
  };

  const globals = new Map<string, PickleGlobal>([
    ...inertGlobals(),
    ["collections OrderedDict", new PickleGlobal("OrderedDict", orderedDict)],
    ["torch._utils _rebuild_tensor_v2", new PickleGlobal("_rebuild_tensor_v2", rebuildTensor)],
  ]);
  for (const name of ["_rebuild_parameter", "_rebuild_parameter_with_state"]) {
    globals.set(`torch._utils ${name}`, new PickleGlobal(name, rebuildParameter));
  }
  for (const [className, dtype] of Object.entries(STORAGE_DTYPES)) {
    globals.set(`torch ${className}`, new StorageClass(className, dtype));
  }

  const persistent = (id: PickleValue) => {
    const [kind, type, key, , elements] = Array.isArray(id) ? id : [];
    const valid = kind === "storage" && type instanceof StorageClass && typeof key === "string" &&
      isSize(elements);
    if (!valid) throw fail("has a persistent id that is not a storage");
    return new TorchStorage(key, type.dtype, elements);
  };

  return readPickle(bytes, { name, globals, persistent });
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isSizes(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.length <= MAX_RANK && value.every(isSize);
}
