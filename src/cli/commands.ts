/**
 * The commands, in the order in which help lists them. Help, parsing, nearest matches and
 * completions are all made of this table: a new command is a line here.
 */

import { bench } from "./bench.ts";
import { chat } from "./chat.ts";
import type { Command } from "./command.ts";
import { completionsCommand } from "./completions.ts";
import { convert } from "./convert.ts";
import { evaluate } from "./eval.ts";
import { generate } from "./generate.ts";
import { helpCommand } from "./help.ts";
import { info } from "./info.ts";
import { keys } from "./keys.ts";
import { logits } from "./logits.ts";
import { models } from "./models.ts";
import { pull } from "./pull.ts";
import { rm } from "./rm.ts";
import { serve } from "./serve.ts";
import { state } from "./state.ts";
import { tokenize } from "./tokenize.ts";
import { tuneCommand } from "./tune.ts";

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
