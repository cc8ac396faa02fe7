import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { addon } from '../native.js';

type Build = typeof addon.build;

/** A check of the Metal backend as its last kept run left it: on which sources, and what it counted (docs/verification.json). */
interface Result {
  check: string;
  figure: string;
  kernels: string;
  /** Absent where the check sees the kernels alone. */
  host?: string;
}

/** Every kept result, and whether it is of the very sources in this build. A result of other sources says nothing about it. */
export function verification(build: Build): (Result & { ofThisBuild: boolean })[] {
  const results = JSON.parse(readFileSync(path.join(__dirname, 'verification.json'), 'utf8')) as Result[];
  return results.map((result) => ({
    ...result,
    ofThisBuild: build.metal && result.kernels === build.kernels && (result.host === undefined || result.host === build.host),
  }));
}

/** What doctor says of the build: lines. */
export function describeBuild(build: Build): string[] {
  const sanitizer = build.sanitizer === '' ? '' : `, ${build.sanitizer} sanitizer`;
  const lines = [`build      ${build.compiler}, ${build.metal ? 'with Metal and Metal Performance Shaders' : 'without Metal'}${sanitizer}`];
  if (!build.metal) return [...lines, 'verified   nothing of the Metal backend: it is not in this build'];
  lines.push(`sources    kernels ${build.kernels}, host ${build.host}`);
  const width = Math.max(...verification(build).map(({ check }) => check.length));
  for (const { check, figure, kernels, host, ofThisBuild } of verification(build)) {
    const of = host === undefined ? kernels : `${kernels}, ${host}`;
    lines.push(`${ofThisBuild ? 'verified ' : 'not known'}  ${check.padEnd(width)}  ${ofThisBuild ? figure : `last run on other sources (${of})`}`);
  }
  return lines;
}
