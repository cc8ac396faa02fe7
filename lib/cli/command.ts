import type { ParseArgsConfig } from 'node:util';
import type { Progress } from './progress.js';

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {}

/** What a command is given to work with. */
export interface Invocation {
  /** Arguments that are no options, as many as the command asks for. */
  positionals: string[];
  values: Readonly<Record<string, string | boolean | undefined>>;
  /** Aborts on Ctrl-C and on termination. */
  signal: AbortSignal;
  progress: Progress;
}

/** What a command has to say: lines for people, and the same for programs. */
export interface Report {
  lines: string[];
  json: unknown;
  /** The command ran, but what it reports is a failure: exit code 1. */
  failed?: boolean;
}

/** One command of the program, in a file of its own. */
export interface Command {
  /** The text of `--help`, without the options that every command has. */
  help: string;
  /** Names of the positional arguments; those in brackets may be left out. */
  positionals: readonly string[];
  options: NonNullable<ParseArgsConfig['options']>;
  run(invocation: Invocation): Promise<Report>;
}

/** An option that must be given. */
export function required(values: Invocation['values'], option: string, usage: string): string {
  const value = values[option];
  if (typeof value !== 'string' || value === '') throw new UsageError(`${usage} is missing`);
  return value;
}
