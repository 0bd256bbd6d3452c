/** Log lines on stderr: for people on a terminal, JSON elsewhere. */

export type LogFields = Record<string, string | number | boolean | null | undefined>;

export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Of what happens all the time: not for people who look on. */
  verbose(message: string, fields?: LogFields): void;
}

export interface LoggerOptions {
  /** Receives every line, without its newline. */
  write: (line: string) => void;
  format: "text" | "json";
  now: () => Date;
}

/** A logger over `write`. */
export function createLogger({ write, format, now }: LoggerOptions): Logger {
  const log = (level: "info" | "warn" | "error") => (message: string, fields: LogFields = {}) => {
    if (format === "json") {
      write(JSON.stringify({ time: now().toISOString(), level, message, ...fields }));
      return;
    }
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${value}`);
    write(`${level === "info" ? "" : `${level}: `}${message}${rest.join("")}`);
  };
  const info = log("info");
  const routine = format === "json" ? info : () => {};
  return { info, warn: log("warn"), error: log("error"), verbose: routine };
}
