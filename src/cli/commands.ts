/**
 * The commands, in the order of help. Help, parsing, suggestions and completions are built from
 * this table, so a new command needs only a line here.
 */

import { bench } from "./commands/bench.ts";
import { chat } from "./commands/chat.ts";
import type { Command } from "./args/command.ts";
import { completionsCommand } from "./commands/completions.ts";
import { convert } from "./commands/convert.ts";
import { evaluate } from "./commands/eval.ts";
import { generate } from "./commands/generate.ts";
import { helpCommand } from "./args/help.ts";
import { info } from "./commands/info.ts";
import { keys } from "./commands/keys.ts";
import { logits } from "./commands/logits.ts";
import { models } from "./commands/models.ts";
import { pull } from "./commands/pull.ts";
import { rm } from "./commands/rm.ts";
import { serve } from "./commands/serve.ts";
import { state } from "./commands/state.ts";
import { tokenize } from "./commands/tokenize.ts";
import { tuneCommand } from "./commands/tune.ts";

export const COMMANDS: readonly Command[] = [
  serve,
  chat,
  generate,
  pull,
  models,
  rm,
  state,
  keys,
  convert,
  info,
  evaluate,
  logits,
  tokenize,
  bench,
  tuneCommand,
  completionsCommand(() => COMMANDS),
  helpCommand(() => COMMANDS),
];
