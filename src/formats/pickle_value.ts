/** The values that a pickle can describe, as plain data. */

/** Anything a pickle can hold here. Lists and tuples are arrays, dicts are maps. */
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

/** Base of what the caller's functions make; opaque to the reader. */
export abstract class PickleObject {}

/** A name a pickle may use. `call` is what calling it with a tuple of arguments gives, if it may. */
export class PickleGlobal extends PickleObject {
  constructor(
    readonly name: string,
    readonly call?: (args: readonly PickleValue[]) => PickleValue,
  ) {
    super();
  }
}

/** A value of which nothing is needed; attributes may be set on it, and are dropped. */
export class PickleInert extends PickleObject {
  constructor(readonly name: string) {
    super();
  }
}
