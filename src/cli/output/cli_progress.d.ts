/**
 * The part of `cli-progress` that is used. The package's own types would add Node's types to every
 * installation.
 */

export interface Options {
  format: string;
  barCompleteChar: string;
  barIncompleteChar: string;
  barsize: number;
  clearOnComplete: boolean;
  hideCursor: boolean;
  linewrap: boolean;
}

export class SingleBar {
  constructor(options: Options);
  start(total: number, done: number, payload: Record<string, string>): void;
  update(done: number, payload: Record<string, string>): void;
  stop(): void;
}
