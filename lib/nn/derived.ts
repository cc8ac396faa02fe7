import { addon } from '../native.js';
import { nativeOf, type Tensor } from '../tensor.js';

const { description } = addon;

/**
 * A tensor computed from one parameter or two, kept until one of them is replaced or rewritten: the key is the identity and
 * version of each. It owns the tensor, which must have been made outside every scope.
 */
export class Derived {
  #value: Tensor | null = null;
  #first: Tensor | null = null;
  #second: Tensor | null = null;
  #firstVersion = 0;
  #secondVersion = 0;
  /** Failures known when the value was last found sound. */
  #failures = 0;

  /** The tensor if it still belongs to its sources and computing it is not known to have failed. */
  current(first: Tensor, second: Tensor = first): Tensor | null {
    const value = this.#value;
    if (value === null || value.disposed || first !== this.#first || second !== this.#second) return null;
    if (first.disposed || first.version !== this.#firstVersion || second.disposed || second.version !== this.#secondVersion) return null;
    // Asking the add-on takes as long as an operation of its own, so only where something has failed since.
    const failures = description[10] as number;
    if (failures !== this.#failures) {
      if (addon.failed(nativeOf(value, 'cached tensor'))) return null;
      this.#failures = failures;
    }
    return value;
  }

  set(value: Tensor, first: Tensor, second: Tensor = first): Tensor {
    this.dispose();
    this.#value = value;
    [this.#first, this.#firstVersion] = [first, first.version];
    [this.#second, this.#secondVersion] = [second, second.version];
    // Its own failure, if it is counted already, is one to be asked about.
    this.#failures = -1;
    return value;
  }

  dispose(): void {
    this.#value?.dispose();
    this.#value = this.#first = this.#second = null;
  }
}
