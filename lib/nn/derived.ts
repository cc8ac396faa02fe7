import { addon } from '../native.js';
import { nativeOf, type Tensor } from '../tensor.js';

/**
 * A tensor computed from parameters, kept until one of them is replaced or rewritten: the key is the identity and version
 * of each. It owns the tensor, which must have been made outside every scope.
 */
export class Derived {
  #value: Tensor | null = null;
  #sources: readonly Tensor[] = [];
  #versions: readonly number[] = [];

  /** The tensor if it still belongs to `sources` and computing it is not known to have failed. */
  current(sources: readonly Tensor[]): Tensor | null {
    const value = this.#value;
    if (value === null || value.disposed || sources.length !== this.#sources.length) return null;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i] as Tensor | null | undefined;
      if (!source || source !== this.#sources[i] || source.disposed || source.version !== this.#versions[i]) return null;
    }
    return addon.failed(nativeOf(value, 'cached tensor')) ? null : value;
  }

  set(value: Tensor, sources: readonly Tensor[]): Tensor {
    this.dispose();
    this.#value = value;
    this.#sources = [...sources];
    this.#versions = sources.map((source) => source.version);
    return value;
  }

  dispose(): void {
    this.#value?.dispose();
    this.#value = null;
    this.#sources = [];
  }
}
