import type { Api, DeviceType, Outcome, Recording } from '../contract.js';
import { Card } from './card.js';
import { colour } from './colours.js';
import { Player } from './player.js';

const { weightnorm } = window as unknown as { weightnorm: Api };
const find = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const open = find<HTMLButtonElement>('open');
const sample = find<HTMLButtonElement>('sample');
const device = find<HTMLSelectElement>('device');
const synthesize = find<HTMLButtonElement>('synthesize');
const cancel = find<HTMLButtonElement>('cancel');
const progress = find<HTMLProgressElement>('progress');
const error = find('error');
const status = find('status');

const player = new Player();
const before = new Card(find('before'), player);
const after = new Card(find('after'), player);
const deviceNames = { metal: 'the Apple GPU', cpu: 'the CPU' } as const;
let recording: Recording | null = null;
let busy = false;

/** Shows what went wrong, in the library's words; ERR_ABORTED is what the user asked for. */
function shown<T>(outcome: Outcome<T>): T | undefined {
  if (outcome.ok) return outcome.value;
  if (outcome.code === 'ERR_ABORTED') {
    status.textContent = 'Cancelled.';
    return undefined;
  }
  status.textContent = '';
  error.textContent = `${outcome.message} (${outcome.code})`;
  error.hidden = false;
  return undefined;
}

/** Runs one call with everything else disabled meanwhile. */
async function during<T>(message: string, call: () => Promise<Outcome<T>>): Promise<T | undefined> {
  error.hidden = true;
  status.textContent = message;
  busy = true;
  update();
  const outcome = await call();
  busy = false;
  update();
  return shown(outcome);
}

function update(): void {
  open.disabled = sample.disabled = busy;
  device.disabled = busy || device.options.length === 0;
  synthesize.disabled = busy || recording === null || device.value === '';
}

async function load(call: () => Promise<Outcome<Recording | null>>): Promise<void> {
  const loaded = await during('Reading…', call);
  if (loaded === undefined) return;
  if (loaded === null) {
    status.textContent = 'No file was chosen.';
    return;
  }
  recording = loaded;
  const seconds = (loaded.samples.length / loaded.sampleRate).toFixed(2);
  const rate = loaded.originalRate === loaded.sampleRate ? `${loaded.sampleRate} Hz` : `${loaded.originalRate} Hz, resampled to ${loaded.sampleRate} Hz`;
  before.show(loaded, `${loaded.name} · ${seconds} s · ${rate}`);
  after.clear();
  status.textContent = `${loaded.name} is open.`;
  update();
  synthesize.focus();
}

async function run(): Promise<void> {
  const source = recording as Recording;
  progress.value = 0;
  progress.hidden = cancel.disabled = false;
  const made = await during('Synthesising…', () => weightnorm.synthesize({ recording: source.id, device: device.value as DeviceType }));
  progress.hidden = cancel.disabled = true;
  if (!made) return;
  const length = made.samples.length / made.sampleRate;
  after.show(made, `${deviceNames[made.device]} · ${(length / made.seconds).toFixed(1)} × real time`, before.loudest);
  status.textContent = `${length.toFixed(2)} s of sound in ${made.seconds.toFixed(2)} s on ${deviceNames[made.device]}; mean log-mel difference ${made.distance.toFixed(3)}.`;
}

async function listDevices(): Promise<void> {
  const choices = shown(await weightnorm.devices());
  if (!choices) return;
  device.replaceChildren(
    ...choices.map(({ type, name, unavailable }) => {
      const option = new Option(`${type === 'metal' ? 'Metal' : 'CPU'}: ${name}${unavailable ? ' (not here)' : ''}`, type);
      option.disabled = unavailable !== null;
      option.title = unavailable ?? '';
      return option;
    }),
  );
  device.value = choices.find(({ unavailable }) => !unavailable)?.type ?? '';
  const missing = choices.find(({ unavailable }) => unavailable);
  device.title = missing?.unavailable ?? '';
  if (missing?.unavailable) status.textContent = `Not Metal: ${missing.unavailable}`;
  update();
}

function drawLegend(): void {
  const canvas = find<HTMLCanvasElement>('legend');
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${colour(x / (canvas.width - 1)).join(' ')})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

open.addEventListener('click', () => void load(() => weightnorm.open()));
sample.addEventListener('click', () => void load(() => weightnorm.sample()));
synthesize.addEventListener('click', () => void run());
cancel.addEventListener('click', () => void weightnorm.cancel());
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !cancel.disabled) cancel.click();
  if (event.key.toLowerCase() === 'o' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    open.click();
  }
});
weightnorm.onProgress((part) => {
  progress.value = part;
  if (busy) status.textContent = `Synthesising… ${Math.round(part * 100)} %`;
});
drawLegend();
void listDevices();
