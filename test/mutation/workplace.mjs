// Builds and runs mutants. A kernel mutant needs no build: the software Metal compiles the mutated source in place of the original. A
// fault of the host is compiled into a copy of the test programs. Each worker has a folder and a kernel cache of its own.
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { flatten, kernels, libraries } from '../../scripts/embed-kernels.mjs';
import { root } from '../../scripts/run.mjs';

const native = path.join(root, 'build', 'softmetal-native');
export const home = path.join(root, 'build', 'mutation');

/** The text of a kernel library as the add-on holds it. */
const libraryText = (name, text) =>
  flatten(path.join(kernels, name), text)
    .map(({ content }) => `${content}\n`)
    .join('');

/** Libraries whose text a change to `file` changes: [{ name, from, to }]. */
export function replacements({ file, mutated }) {
  const target = path.join(root, file);
  const text = (name) => (name === target ? mutated : readFileSync(name, 'utf8'));
  return libraries()
    .map((name) => ({ name: path.basename(name, '.metal'), from: libraryText(name), to: libraryText(name, text) }))
    .filter(({ from, to }) => from !== to);
}

/** Processor time of a process and of the children it waited for, and whether any of its children still runs. */
function progress(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    const children = readdirSync(`/proc/${pid}/task`).some((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8') !== '');
    return { ticks: fields.slice(11, 15).join(' '), children };
  } catch {
    return { ticks: '', children: false };
  }
}

const idleSeconds = 20;

/** Runs a program under a limit of processor time, and until it has done nothing for a while. */
export function runLimited(program, args, { cwd, env, cpuSeconds }) {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', `ulimit -c 0 -t ${Math.ceil(cpuSeconds)}; exec "$@"`, 'bash', program, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (data) => {
      if (output.length < 65536) output += data;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const start = Date.now();
    let [last, since, hung] = ['', Date.now(), false];
    const watch = setInterval(() => {
      const { ticks, children } = progress(child.pid);
      if (ticks !== last || children) [last, since] = [ticks, Date.now()];
      if (Date.now() - since < idleSeconds * 1000) return;
      hung = true;
      child.kill('SIGKILL');
    }, 500);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      resolve({
        ok: code === 0,
        timedOut: hung || signal === 'SIGXCPU' || (signal === 'SIGKILL' && !hung),
        code,
        signal,
        output,
        seconds: (Date.now() - start) / 1000,
      });
    });
  });
}

/** Seconds of processor time that a program took, from the shell. */
async function timed(program, args, options) {
  const result = await runLimited('bash', ['-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', program, ...args], { ...options, cpuSeconds: 600 });
  const times = /([\d.]+) ([\d.]+)\s*$/.exec(result.output);
  return { ...result, cpuSeconds: times ? Number(times[1]) + Number(times[2]) : 600 };
}

const commands = () =>
  new Map(JSON.parse(readFileSync(path.join(native, 'compile_commands.json'), 'utf8')).map((entry) => [path.relative(root, entry.file), entry]));

export class Worker {
  constructor(number) {
    this.folder = path.join(home, `worker-${number}`);
    this.cache = path.join(this.folder, 'cache');
    mkdirSync(path.join(this.cache, 'softmetal'), { recursive: true });
  }

  /** Starts from the kernels that a worker compiled. */
  shareKernels(other) {
    if (other !== this) cpSync(other.cache, this.cache, { recursive: true });
    this.known = new Set(readdirSync(path.join(this.cache, 'softmetal')));
  }

  /** Runs a part unmutated: it has to pass. Returns the processor time it takes, with what it compiles. */
  async baseline(part) {
    let result;
    // A busy machine may make one that waits for something late: it has another chance.
    for (let attempt = 0; attempt < 3 && !result?.ok; attempt++)
      result = await timed(path.join(native, part.program), [part.part], { cwd: this.folder, env: this.env(part) });
    if (!result.ok) throw new Error(`${part.name} fails without any mutant:\n${result.output}`);
    return result.cpuSeconds;
  }

  env(part, more = {}) {
    return { ...part.env, ...more, XDG_CACHE_HOME: this.cache, WEIGHTNORM_TEST_STOP: '1' };
  }

  /** Runs the parts in turn until one fails: { status, by, output }. */
  async kill(mutant, parts) {
    const prepared = mutant.kind === 'kernel' ? this.replace(mutant) : await this.compile(mutant);
    if (prepared.error) return { status: 'invalid', by: '', output: prepared.error };
    try {
      for (const part of parts) {
        const program = path.join(prepared.programs, part.program);
        const result = await runLimited(program, [part.part], { cwd: this.folder, env: this.env(part, prepared.env), cpuSeconds: 15 + 4 * part.seconds });
        if (result.timedOut) return { status: 'timeout', by: part.name, output: '' };
        if (result.ok) continue;
        const invalid = /did not compile \(MTLLibraryErrorDomain, code 3/.test(result.output);
        return { status: invalid ? 'invalid' : 'killed', by: part.name, output: reason(result) };
      }
      return { status: 'survived', by: '', output: '' };
    } finally {
      for (const name of readdirSync(path.join(this.cache, 'softmetal')))
        if (!this.known.has(name)) rmSync(path.join(this.cache, 'softmetal', name), { recursive: true, force: true });
    }
  }

  replace(mutant) {
    const folder = path.join(this.folder, 'replace');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const { name, from, to } of replacements(mutant)) {
      writeFileSync(path.join(folder, `${name}.from`), from);
      writeFileSync(path.join(folder, `${name}.to`), to);
    }
    return { programs: native, env: { SOFTMETAL_REPLACE: folder } };
  }

  /** Compiles the mutated file as the build does, and links the programs with it. */
  async compile({ file, mutated }) {
    const { directory, command } = commands().get(file);
    const source = path.join(this.folder, path.basename(file));
    const object = path.join(this.folder, `${path.basename(file)}.o`);
    writeFileSync(source, mutated);
    const original = /-o (\S+)/.exec(command)[1];
    const mine = command
      .replace(/^\S*ccache\S*\/(?=clang)/, '')
      .replace(/-o \S+/, `-o ${object}`)
      .replace(/-c \S+/, `-c ${source}`);
    try {
      execFileSync('bash', ['-c', mine], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
      for (const program of ['native_metal', 'native_metal_kernels']) {
        const link = readFileSync(path.join(native, 'CMakeFiles', `${program}.dir`, 'link.txt'), 'utf8').trim();
        if (!link.includes(original)) throw new Error(`${program} does not contain ${original}`);
        const changed = link.replace(original, object).replace(/-o \S+/, `-o ${path.join(this.folder, program)}`);
        execFileSync('bash', ['-c', changed], { cwd: native, stdio: ['ignore', 'pipe', 'pipe'] });
      }
    } catch (error) {
      return { error: `${error.message}\n${error.stderr ?? ''}` };
    }
    return { programs: this.folder, env: {} };
  }
}

/** The line that says what was noticed. */
function reason({ output, signal }) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.find((line) => /FAILED|violation|softmetal:|what\(\)/.test(line)) ?? lines[0] ?? '';
  return `${signal ? `${signal}: ` : ''}${telling}`.slice(0, 300);
}

export const isBuilt = () => existsSync(path.join(native, 'compile_commands.json'));
