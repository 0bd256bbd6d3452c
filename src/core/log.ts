/** Log lines on stderr: plain text on a terminal, JSON otherwise. */

export type LogFields = Record<string, string | number | boolean | null | undefined>;

export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Logs a frequent event, such as a request: at level info as JSON, not at all as text. */
  verbose(message: string, fields?: LogFields): void;
}

export interface LoggerOptions {
  /** Receives every line, without its newline. */
  write: (line: string) => void;
  format: "text" | "json";
  now: () => Date;
}

/** Creates a logger that passes each line to `write`. */
export function createLogger({ write, format, now }: LoggerOptions): Logger {
  const log = (level: "info" | "warn" | "error") => (message: string, fields: LogFields = {}) => {
    if (format === "json") {
      write(JSON.stringify({ time: now().toISOString(), level, message, ...fields }));
      return;
    }
    const fieldTexts = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${value}`);
    write(`${level === "info" ? "" : `${level}: `}${message}${fieldTexts.join("")}`);
  };
  const info = log("info");
  const verbose = format === "json" ? info : () => {};
  return { info, warn: log("warn"), error: log("error"), verbose };
}
