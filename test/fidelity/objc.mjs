// Clang's view of one Objective-C++ file for a Mac: what it complains of, what it uses of Apple's API.
import { spawnSync } from 'node:child_process';

const warnings = [
  '-Wall -Wextra -Werror',
  // Calls that macOS 13 lacks, whatever the SDK's age.
  '-Wunguarded-availability -Wunguarded-availability-new -Wdeprecated-declarations',
  // Lifetimes under ARC.
  '-Warc-retain-cycles -Warc-unsafe-retained-assign -Warc-repeated-use-of-weak -Warc-maybe-repeated-use-of-weak -Warc-bridge-casts-disallowed-in-nonarc',
  '-Wblock-capture-autoreleasing -Wimplicit-retain-self -Wautoreleasing-property-with-error-parameter',
  // Messages and conversions.
  '-Wundeclared-selector -Wstrict-selector-match -Wselector-type-mismatch -Wobjc-method-access -Wobjc-string-concatenation -Wobjc-literal-conversion',
  '-Wconditional-uninitialized -Wint-conversion -Wbool-conversion -Wformat=2',
  '-Wno-unused-command-line-argument -Wno-unknown-warning-option',
]
  .join(' ')
  .split(' ');

function compile({ root, sdk, tools, arch }, file, more) {
  const target = ['-target', `${arch}-apple-macos13.0`, '-isysroot', sdk, '-stdlib++-isystem', `${sdk}/usr/include/c++/v1`];
  const language = ['-x', 'objective-c++', '-std=c++20', '-fobjc-arc', '-fvisibility=hidden', '-Inative', '-DWEIGHTNORM_METAL'];
  return spawnSync(tools.cxx, [...target, ...language, ...warnings, ...more, file], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 30 });
}

const errors = (result) => result.stderr.split('\n').filter((line) => /: (fatal )?error: /.test(line));

/** The errors of a file, warnings being errors. */
export const diagnose = (setup, file) => errors(compile(setup, file, ['-fsyntax-only', '-ferror-limit=0']));

/** The errors, and `nodes`: the syntax tree of what is declared in `namespace`. */
export function parse(setup, file, namespace) {
  const result = compile(setup, file, ['-fsyntax-only', '-ferror-limit=0', '-Xclang', '-ast-dump=json', '-Xclang', `-ast-dump-filter=${namespace}`]);
  const nodes = result.stdout
    .split(/^(?=\{$)/m)
    .filter((text) => text.trim().length > 0)
    .map((text) => JSON.parse(text));
  return { errors: errors(result), nodes };
}

/** Compiles to an object file. */
export const compileObject = (setup, file, output) => errors(compile(setup, file, ['-O0', '-c', '-o', output]));
