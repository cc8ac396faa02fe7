#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { WeightNormError } from '../errors.js';
import { type Command, UsageError } from './command.js';
import { Progress } from './progress.js';
import { version } from './version.js';

/** Commands are loaded when they run, so that help and version need no native add-on. */
const commands: Readonly<Record<string, { summary: string; load: () => Promise<Command> }>> = {
  synth: { summary: 'resynthesise a recording, or a mel spectrogram, with a neural vocoder', load: async () => (await import('./synth.js')).synth },
  fold: { summary: 'replace the weight-normalised weights of a checkpoint by plain ones', load: async () => (await import('./fold.js')).fold },
  convert: { summary: 'write a torch, npz or safetensors checkpoint as safetensors', load: async () => (await import('./convert.js')).convert },
  doctor: { summary: 'check every kernel of this machine against the CPU', load: async () => (await import('./doctor.js')).doctor },
  bench: { summary: 'measure this machine, also beside other libraries', load: async () => (await import('./bench.js')).bench },
  build: { summary: 'compile the native add-on from the packed sources', load: async () => (await import('./build.js')).build },
  inspect: { summary: 'list the tensors of a checkpoint and how its weights are normalised', load: async () => (await import('./inspect.js')).inspect },
};

const help = `Usage: weightnorm <command> [options]

Commands:
${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`)
  .join('\n')}

Options:
  -h, --help     show this text, or that of a command: weightnorm <command> --help
  -v, --version  show the version

Exit codes: 0 success, 1 failure, 2 wrong usage.`;

const commonHelp = `  --json         print the result as JSON
  -h, --help     show this text`;

function parse(command: Command, args: string[]): { values: Record<string, string | boolean | undefined>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { ...command.options, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function runCommand(command: Command, args: string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parse(command, args);
  if (values.help) {
    print(`${command.help}\n${commonHelp}`);
    return 0;
  }
  const missing = command.positionals[positionals.length];
  if (missing && !missing.startsWith('[')) throw new UsageError(`${missing} is missing`);
  const extra = positionals[command.positionals.length];
  if (extra !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`);
  const progress = new Progress();
  try {
    const report = await command.run({ positionals, values, signal, progress });
    progress.clear();
    print(values.json ? JSON.stringify(report.json) : report.lines.join('\n'));
    return report.failed ? 1 : 0;
  } catch (error) {
    progress.clear();
    if (values.json && !(error instanceof UsageError)) print(JSON.stringify({ error: { code: codeOf(error), message: (error as Error).message } }));
    throw error;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function codeOf(error: unknown): string {
  return error instanceof WeightNormError ? error.code : 'ERR_UNEXPECTED';
}

/** Runs the program and returns its exit code. */
async function main(args: string[], signal: AbortSignal): Promise<number> {
  const [name, ...rest] = args;
  const known = `the commands are ${Object.keys(commands).join(', ')}`;
  try {
    if (name === '--version' || name === '-v') {
      print(version());
    } else if (name === '--help' || name === '-h') {
      print(help);
    } else if (name === undefined) {
      throw new UsageError(`no command given; ${known}`);
    } else if (!Object.hasOwn(commands, name)) {
      throw new UsageError(`unknown ${name.startsWith('-') ? 'option' : 'command'} ${JSON.stringify(name)}; ${known}`);
    } else {
      return await runCommand(await (commands[name] as (typeof commands)[string]).load(), rest, signal);
    }
    return 0;
  } catch (error) {
    const usage = error instanceof UsageError;
    const hint = usage ? ` (see weightnorm ${name && Object.hasOwn(commands, name) ? `${name} ` : ''}--help)` : '';
    const label = usage || error instanceof WeightNormError ? '' : 'unexpected failure: ';
    process.stderr.write(`weightnorm: ${label}${String((error as Error).message).replace(/\s*\n\s*/g, ' ')}${hint}\n`);
    return usage ? 2 : 1;
  }
}

const abort = new AbortController();
for (const event of ['SIGINT', 'SIGTERM'] as const) process.once(event, () => abort.abort());
// A reader that closed the pipe, such as head, has seen what it wanted.
process.stdout.on('error', () => process.exit(0));
main(process.argv.slice(2), abort.signal).then((code) => {
  // Work that was queued before an abort would keep the process alive.
  if (abort.signal.aborted) process.exit(code);
  process.exitCode = code;
});
