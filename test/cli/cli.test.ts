import { readFileSync } from 'node:fs';
import { runCli } from '../support/cli';
import { safetensorsBytes, temporaryFolder } from '../support/files';

const folder = temporaryFolder();
const checkpoint = 'test/golden/checkpoint_weight_g_v.safetensors';

describe('the program', () => {
  test('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await runCli(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test('--help lists the commands', async () => {
    const { code, stdout, stderr } = await runCli(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const command of ['synth', 'fold', 'convert', 'inspect']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  });

  test.each(['synth', 'fold', 'convert', 'inspect'])('%s --help shows its usage and its options', async (command) => {
    const { code, stdout, stderr } = await runCli([command, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^Usage: weightnorm ${command} <`));
    expect(stdout).toMatch(/--json/);
  });

  test('help and version need no native add-on', async () => {
    expect((await runCli(['inspect', checkpoint], { WEIGHTNORM_ADDON: '/nowhere' })).code).toBe(0);
    expect((await runCli(['--help'], { WEIGHTNORM_ADDON: '/nowhere' })).code).toBe(0);
    const { code, stderr } = await runCli(['fold', checkpoint, '-o', folder.file('x')], { WEIGHTNORM_ADDON: '/nowhere' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^weightnorm: the native add-on of weightnorm cannot be loaded: .*\n$/);
  });

  test.each<[string, string[], RegExp]>([
    ['no command', [], /no command given; the commands are synth, fold/],
    ['an unknown command', ['sing'], /unknown command "sing"; the commands are/],
    ['an inherited name as command', ['constructor'], /unknown command "constructor"/],
    ['an unknown option', ['--loud'], /unknown option "--loud"/],
    ['an unknown option of a command', ['inspect', '--loud', checkpoint], /Unknown option '--loud'.*see weightnorm inspect --help/],
    ['no input', ['inspect'], /the input file is missing/],
    ['two inputs', ['inspect', checkpoint, 'b'], /unexpected argument "b"/],
    ['no output', ['fold', checkpoint], /the output file \(-o out\.safetensors\) is missing/],
    ['an option without its value', ['fold', checkpoint, '-o'], /'-o, --output <value>' argument missing/],
    ['convert to another layout', ['convert', checkpoint, '-o', 'x', '--layout', 'tf'], /--layout is "tf"; it must be torch or mlx/],
    ['convert to mlx without the transposed layers', ['convert', checkpoint, '-o', 'x', '--layout', 'mlx'], /--transposed is missing; --layout mlx needs/],
    ['transposed layers without mlx', ['convert', checkpoint, '-o', 'x', '--transposed', 'ups.*'], /--transposed goes with --layout mlx/],
    [
      'transposed layers misspelt',
      ['convert', checkpoint, '-o', 'x', '--layout', 'mlx', '--transposed', 'ups=x'],
      /--transposed is "ups=x"; it must be layers/,
    ],
    ['synth without output', ['synth', 'examples/voice/sample-1.wav'], /the output file \(-o out\.wav\) is missing/],
    ['synth of another kind of file', ['synth', 'speech.mp3', '-o', 'x.wav'], /the input file is "speech\.mp3"; its name must end in \.wav or \.npy/],
    ['an unknown device', ['synth', 'a.wav', '-o', 'x.wav', '--device', 'tpu'], /--device is "tpu"; it must be metal or cpu/],
  ])('%s is wrong usage: one line, exit code 2', async (_, args, message) => {
    const { code, stdout, stderr } = await runCli(args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^weightnorm: [^\n]*--help\)\n$/);
  });
});

describe('inspect', () => {
  test('lists tensors, spellings, parameters and bytes', async () => {
    const { code, stdout } = await runCli(['inspect', checkpoint]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^tensor +dtype +shape +parameters +bytes$/m);
    expect(stdout).toMatch(/^0\.weight_v +F32 +\[16, 8, 7\] +896 +3584$/m);
    expect(stdout).toMatch(/^2\.weight +weight_g\/weight_v$/m);
    expect(stdout).toMatch(/^weights +3: 3 weight_g\/weight_v$/m);
    expect(stdout).toMatch(/^metadata +format: pt$/m);
  });

  test('--json has the same', async () => {
    const { code, stdout, stderr } = await runCli(['inspect', '--json', 'test/golden/checkpoint_parametrizations.safetensors']);
    expect([code, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ bytes: 9656, metadata: { format: 'pt' } });
    expect(report.layers).toEqual(['0', '2', '4'].map((layer) => ({ name: `${layer}.weight`, spelling: 'parametrizations' })));
    expect(report.tensors).toHaveLength(11);
    expect(report.parameters).toBe(report.tensors.reduce((sum: number, tensor: { parameters: number }) => sum + tensor.parameters, 0));
    expect(report.tensors.find(({ name }: { name: string }) => name === '0.bias')).toEqual({
      name: '0.bias',
      dtype: 'F32',
      shape: [16],
      parameters: 16,
      bytes: 64,
    });
  });

  test('plain, mixed and half-present weights are told apart; control characters do not reach the terminal', async () => {
    const f32 = (begin: number) => ({ dtype: 'F32', shape: [1], data_offsets: [begin, begin + 4] });
    const file = folder.file(
      'mixed.safetensors',
      safetensorsBytes({ 'a.weight': f32(0), 'a.weight_g': f32(4), 'b.weight': f32(8), 'c.weight_v': f32(12), '\u001b[31m': f32(16) }, new Uint8Array(20)),
    );
    const { stdout } = await runCli(['inspect', file]);
    expect(stdout).toMatch(/^a\.weight +plain and weight_g\/weight_v$/m);
    expect(stdout).toMatch(/^b\.weight +plain$/m);
    expect(stdout).toMatch(/^c\.weight +weight_g\/weight_v$/m);
    expect(stdout).toContain('\\u001b[31m');
    expect(stdout).not.toContain('\u001b');
  });
});

describe('fold', () => {
  test.each(['weight_g_v', 'parametrizations'])('%s becomes plain weights', async (spelling) => {
    const output = folder.file(`${spelling}.safetensors`);
    const { code, stdout, stderr } = await runCli(['fold', `test/golden/checkpoint_${spelling}.safetensors`, '-o', output, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual({ input: `test/golden/checkpoint_${spelling}.safetensors`, output, folded: ['0', '2', '4'] });
    const inspected = JSON.parse((await runCli(['inspect', output, '--json'])).stdout);
    expect(inspected.layers.map(({ spelling: kind }: { spelling: string }) => kind)).toEqual(['plain', 'plain', 'plain']);
    expect((await runCli(['fold', output, '-o', folder.file('again.safetensors')])).stdout).toMatch(
      /again\.safetensors: a copy; no weight of .* is weight-normalised\n$/,
    );
  });
});

describe('convert', () => {
  test('a torch checkpoint becomes safetensors: a part of it, folded, in the layout of MLX', async () => {
    const output = folder.file('converted.safetensors');
    const options = ['--key', 'generator', '--fold', '--layout', 'mlx', '--transposed', '2=2', '--json'];
    const { code, stdout, stderr } = await runCli(['convert', 'test/golden/torch/g_00000010', '-o', output, ...options]);
    expect([code, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ input: 'test/golden/torch/g_00000010', output });
    expect(report.folded.sort()).toEqual(['0', '2']);
    const { tensors, format } = JSON.parse((await runCli(['inspect', output, '--json'])).stdout);
    expect(format).toBe('safetensors');
    const shapes = Object.fromEntries(tensors.map(({ name, shape }: { name: string; shape: number[] }) => [name, shape]));
    expect(shapes).toEqual({ '0.bias': [4], '0.weight': [4, 3, 3], '2.bias': [2], '2.weight': [2, 4, 2] });
  });

  test('lines for people', async () => {
    const output = folder.file('lines.safetensors');
    expect((await runCli(['convert', 'test/golden/torch/arrays.npz', '-o', output])).stdout).toBe(`${output}: 10 tensors\n`);
    const folded = await runCli(['convert', 'test/golden/torch/g_00000010', '-o', output, '--fold', '--layout', 'mlx', '--transposed', 'none']);
    expect(folded.stdout).toBe(`${output}: 4 tensors, 2 of them folded\n`);
  });

  test('fold and inspect take torch and NumPy files, and inspect shows what is beside the tensors', async () => {
    const output = folder.file('folded-torch.safetensors');
    const folded = JSON.parse((await runCli(['fold', 'test/golden/torch/vocoder/g_02500000', '-o', output, '--json'])).stdout);
    expect(folded.folded).toContain('generator.ups.0');
    const { code, stdout } = await runCli(['inspect', 'test/golden/torch/everything.pth'], { WEIGHTNORM_ADDON: '/nowhere' });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^views\.transposed +F32 +\[6, 4\] +24 +96$/m);
    expect(stdout).toMatch(/^value +name: "größe"$/m);
    expect(stdout).toMatch(/^value +big: "1208925819614629174706176"$/m);
    expect(stdout).toMatch(/^format +torch$/m);
    expect(JSON.parse((await runCli(['inspect', '--json', 'test/golden/torch/arrays.npz'])).stdout)).toMatchObject({ format: 'npz', values: {} });
  });

  test('a hostile checkpoint is one line, and no file', async () => {
    const output = folder.file('hostile.safetensors');
    const { code, stderr } = await runCli(['convert', 'test/golden/torch/script.pt', '-o', output]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^weightnorm: [^\n]*is a TorchScript archive[^\n]*\n$/);
    expect(folder.list()).not.toContain('hostile.safetensors');
  });
});

describe('a failure is one line on stderr, exit code 1, and no file', () => {
  test.each<[string, string[], string, RegExp]>([
    ['a file that does not exist', ['inspect', 'nowhere.safetensors'], 'ERR_IO', /nowhere\.safetensors: cannot be opened: there is no such file/],
    ['a directory', ['inspect', 'test'], 'ERR_IO', /test: cannot be read: it is a directory/],
    ['a file of another format', ['fold', 'package.json', '-o', 'never.safetensors'], 'ERR_FORMAT', /package\.json: header length is/],
    ['an output folder that does not exist', ['fold', checkpoint, '-o', 'nowhere/x.safetensors'], 'ERR_IO', /nowhere\/x\.safetensors: cannot be written/],
  ])('%s', async (_, args, code, message) => {
    const plain = await runCli(args);
    expect([plain.code, plain.stdout]).toEqual([1, '']);
    expect(plain.stderr).toMatch(message);
    expect(plain.stderr).toMatch(/^weightnorm: [^\n]+\n$/);
    const json = await runCli([...args, '--json']);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toEqual({ error: { code, message: expect.stringMatching(message) } });
  });
});
