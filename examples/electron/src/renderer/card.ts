import type { Sound, Spectrogram } from '../contract.js';
import { colour } from './colours.js';
import type { Player } from './player.js';

/** Natural logarithms from the loudest to what is drawn darkest: 78 dB. */
export const range = 9;

/** Slaney's mel scale, on which the bands are evenly spaced. */
const mel = (hertz: number): number => (hertz < 1000 ? hertz * 0.015 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4));

/** One sound on the page: its spectrogram with axes, and a player. */
export class Card {
  readonly #element: HTMLElement;
  readonly #player: Player;
  #sound: Sound | null = null;
  #loudest = 0;
  #playing = false;

  constructor(element: HTMLElement, player: Player) {
    this.#element = element;
    this.#player = player;
    this.#play.addEventListener('click', () => (this.#playing ? player.stop() : this.#start()));
    this.#seek.addEventListener('input', () => {
      this.#mark(Number(this.#seek.value));
      if (this.#playing) this.#start();
    });
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  #find<E extends HTMLElement>(selector: string): E {
    return this.#element.querySelector(selector) as E;
  }
  get #play(): HTMLButtonElement {
    return this.#find('.play');
  }
  get #seek(): HTMLInputElement {
    return this.#find('.seek input');
  }
  get #canvas(): HTMLCanvasElement {
    return this.#find('canvas');
  }

  /** The largest value of the spectrogram that is shown. */
  get loudest(): number {
    return this.#loudest;
  }

  /**
   * @param facts shown beside the title
   * @param loudest the value that is drawn brightest; by default the sound's own largest
   */
  show(sound: Sound, facts: string, loudest?: number): void {
    this.clear();
    this.#sound = sound;
    this.#loudest = loudest ?? sound.spectrogram.data.reduce((a, b) => Math.max(a, b));
    const seconds = sound.samples.length / sound.sampleRate;
    this.#find('.facts').textContent = facts;
    this.#find('.empty').hidden = true;
    this.#find('.playhead').hidden = false;
    this.#play.disabled = this.#seek.disabled = false;
    this.#mark(0);
    this.#canvas.setAttribute('aria-label', `Spectrogram, ${seconds.toFixed(2)} seconds, up to ${sound.spectrogram.top} hertz`);
    this.#axes(sound.spectrogram, seconds);
    this.#draw();
  }

  /** Back to how the page began. */
  clear(): void {
    if (this.#playing) this.#player.stop();
    this.#sound = null;
    this.#find('.facts').textContent = '';
    this.#find('.empty').hidden = false;
    this.#find('.playhead').hidden = true;
    this.#play.disabled = this.#seek.disabled = true;
    this.#canvas.setAttribute('aria-label', 'No spectrogram yet');
    this.#find('.frequencies').replaceChildren();
    this.#find('.times').replaceChildren();
    this.#draw();
  }

  #start(): void {
    const sound = this.#sound as Sound;
    const from = Number(this.#seek.value);
    void this.#player.play(
      sound.samples as Float32Array<ArrayBuffer>,
      sound.sampleRate,
      from >= 1 ? 0 : from,
      (part) => this.#mark(part),
      () => this.#setPlaying(false),
    );
    this.#setPlaying(true);
  }

  #setPlaying(playing: boolean): void {
    this.#playing = playing;
    this.#play.textContent = playing ? 'Stop' : 'Play';
  }

  #mark(part: number): void {
    this.#seek.value = String(part);
    this.#seek.setAttribute('aria-valuetext', `${(part * this.#seconds).toFixed(2)} seconds`);
    this.#find('.playhead').style.left = `${part * 100}%`;
  }

  get #seconds(): number {
    return this.#sound ? this.#sound.samples.length / this.#sound.sampleRate : 0;
  }

  #axes({ top }: Spectrogram, seconds: number): void {
    const label = (text: string, side: 'left' | 'bottom', part: number): HTMLSpanElement => {
      const span = document.createElement('span');
      span.textContent = text;
      span.style[side] = `${part * 100}%`;
      return span;
    };
    const hertz = [0, 500, 1000, 2000, 4000, 8000, 16000].filter((frequency) => frequency <= top);
    const name = (frequency: number): string => (frequency < 1000 ? `${frequency} Hz` : `${frequency / 1000} kHz`);
    this.#find('.frequencies').replaceChildren(...hertz.map((frequency) => label(name(frequency), 'bottom', 0.02 + (0.96 * mel(frequency)) / mel(top))));
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300];
    const step = steps.find((candidate) => seconds / candidate <= 9) ?? 600;
    const times = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step);
    this.#find('.times').replaceChildren(
      ...times.map((time) => {
        const span = label(`${Number(time.toFixed(1))} s`, 'left', time / seconds);
        span.classList.toggle('last', time / seconds > 0.97);
        return span;
      }),
    );
  }

  /** One column a pixel or a frame, whichever are fewer; a column of several frames shows the loudest. */
  #draw(): void {
    const canvas = this.#canvas;
    const context = canvas.getContext('2d') as CanvasRenderingContext2D;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
    if (!this.#sound) return;
    const { data, bands, frames } = this.#sound.spectrogram;
    const columns = Math.min(frames, canvas.width);
    const image = new ImageData(columns, bands);
    for (let band = 0; band < bands; band++) {
      for (let column = 0; column < columns; column++) {
        const end = Math.max(Math.floor(((column + 1) * frames) / columns), Math.floor((column * frames) / columns) + 1);
        let value = Number.NEGATIVE_INFINITY;
        for (let frame = Math.floor((column * frames) / columns); frame < end; frame++) value = Math.max(value, data[band * frames + frame] as number);
        image.data.set([...colour(1 + (value - this.#loudest) / range), 255], 4 * ((bands - 1 - band) * columns + column));
      }
    }
    const small = new OffscreenCanvas(columns, bands);
    small.getContext('2d')?.putImageData(image, 0, 0);
    context.imageSmoothingQuality = 'high';
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
  }
}
