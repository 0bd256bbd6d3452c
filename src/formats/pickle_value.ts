/** The values of pickles, as plain data. */

/** Any supported value. Lists and tuples are arrays; dicts are maps. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleObject
  | PickleValue[]
  | Map<PickleValue, PickleValue>;

/** Base class of the values that the caller's globals create; opaque to the reader. */
export abstract class PickleObject {}

/** A global that a pickle may reference. `call` evaluates a call with a tuple of arguments, if allowed. */
export class PickleGlobal extends PickleObject {
  constructor(
    readonly name: string,
    readonly call?: (args: readonly PickleValue[]) => PickleValue,
  ) {
    super();
  }
}

/** A placeholder for a value that is not needed. Its attributes are dropped. */
export class PickleInert extends PickleObject {
  constructor(readonly name: string) {
    super();
  }
}
