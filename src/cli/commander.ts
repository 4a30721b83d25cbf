import { createRequire } from 'node:module';

/** commander is CommonJS: required, it costs a third of what importing it costs at the start of every run. */
const commander: typeof import('commander') = createRequire(import.meta.url)('commander');

export const { Command, CommanderError, Option } = commander;
