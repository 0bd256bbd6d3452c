/**
 * Pickle globals that represent plain data next to the tensors, such as a trainer's arguments, paths,
 * dtypes and random generator states. Calling one creates an empty placeholder. No Python code is
 * looked up or run, regardless of the arguments.
 */

import { PickleGlobal, PickleInert, type PickleValue } from "./pickle_value.ts";

/** Objects whose content is not needed, by module. */
const OBJECTS: Readonly<Record<string, string>> = {
  "argparse": "Namespace",
  "types": "SimpleNamespace",
  "torch": "device",
  "torch.serialization": "_get_layout",
  "torch.torch_version": "TorchVersion",
  "pathlib": "PosixPath WindowsPath PurePosixPath PureWindowsPath",
  "pathlib._local": "PosixPath WindowsPath PurePosixPath PureWindowsPath",
  "datetime": "datetime date timedelta timezone",
  "numpy": "dtype ndarray",
  "numpy.core.multiarray": "scalar _reconstruct",
  "numpy._core.multiarray": "scalar _reconstruct",
  "_codecs": "encode",
  "builtins": "complex bytearray bytes int float str bool object range slice",
  "__builtin__": "complex bytearray bytes int float str unicode bool object xrange slice",
};

/** Dict classes, whose items are set one by one. */
const DICTS: Readonly<Record<string, string>> = {
  "collections": "defaultdict Counter",
  "builtins": "dict",
  "__builtin__": "dict",
  "lightning.fabric.utilities.data": "AttributeDict",
  "lightning_fabric.utilities.data": "AttributeDict",
  "lightning.pytorch.utilities.parsing": "AttributeDict",
  "pytorch_lightning.utilities.parsing": "AttributeDict",
};

/** Classes that are constructed from one sequence. */
const SEQUENCES: Readonly<Record<string, string>> = {
  "torch": "Size",
  "collections": "deque",
  "builtins": "list tuple set frozenset",
  "__builtin__": "list tuple set frozenset",
};

/** Values that are referenced and never called. */
const CONSTANTS: Readonly<Record<string, string>> = {
  "torch": "float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short " +
    "int8 uint8 bool complex64 complex128 float8_e4m3fn float8_e5m2",
};

/** Returns the inert globals of the allow-list, by "module name". */
export function inertGlobals(): Map<string, PickleGlobal> {
  const globals = new Map<string, PickleGlobal>();
  const add = (
    table: Readonly<Record<string, string>>,
    call?: (name: string, args: readonly PickleValue[]) => PickleValue,
  ) => {
    for (const [module, names] of Object.entries(table)) {
      for (const name of names.split(" ")) {
        const construct = call && ((args: readonly PickleValue[]) => call(name, args));
        globals.set(`${module} ${name}`, new PickleGlobal(name, construct));
      }
    }
  };
  add(OBJECTS, (name) => new PickleInert(name));
  add(DICTS, () => new Map());
  add(SEQUENCES, (_, [items]) => Array.isArray(items) ? items : []);
  add(CONSTANTS);
  return globals;
}
