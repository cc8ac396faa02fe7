/** Plays one sound at a time. */
export class Player {
  #context: AudioContext | null = null;
  #stop: () => void = () => {};

  /**
   * @param from where to start, from 0 to 1
   * @param onPosition called for each picture with the position, from 0 to 1
   * @param onEnd called once: at the end, or when something else begins or `stop` is called
   */
  async play(samples: Float32Array<ArrayBuffer>, sampleRate: number, from: number, onPosition: (part: number) => void, onEnd: () => void): Promise<void> {
    this.stop();
    const context = this.#context ?? new AudioContext();
    this.#context = context;
    const buffer = context.createBuffer(1, samples.length, sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    let playing = true;
    this.#stop = () => {
      if (!playing) return;
      playing = false;
      source.onended = null;
      source.stop();
      onEnd();
    };
    source.onended = this.#stop;
    const offset = from * buffer.duration;
    source.start(0, offset);
    await context.resume();
    const started = context.currentTime;
    const tick = (): void => {
      if (!playing) return;
      onPosition(Math.min(1, (offset + context.currentTime - started) / buffer.duration));
      requestAnimationFrame(tick);
    };
    tick();
  }

  stop(): void {
    this.#stop();
  }
}
