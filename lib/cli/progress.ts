const cells = 30;

/** A progress bar on stderr, drawn only where stderr is a terminal. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #shown = '';

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** Whether anything is drawn. */
  get visible(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Draws `fraction`, from 0 to 1, of the work called `label`. */
  update(label: string, fraction: number): void {
    if (!this.visible) return;
    const full = Math.round(Math.min(1, Math.max(0, fraction)) * cells);
    const line = `${'█'.repeat(full)}${'░'.repeat(cells - full)} ${String(Math.floor(fraction * 100)).padStart(3)}% ${label}`;
    if (line === this.#shown) return;
    this.#shown = line;
    this.#stream.write(`\r\x1b[K${line.slice(0, (this.#stream.columns || 80) - 1)}`);
  }

  /** Removes the bar. */
  clear(): void {
    if (this.#shown !== '') this.#stream.write('\r\x1b[K');
    this.#shown = '';
  }
}
