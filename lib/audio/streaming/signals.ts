interface Followers {
  calls: Set<() => void>;
  stop(): void;
}

const followed = new WeakMap<AbortSignal, Followers>();

/**
 * Calls `call` when the signal aborts; returns what ends that. Many streams may follow one signal, which would warn of a leak if
 * each listened for itself.
 */
export function follow(signal: AbortSignal, call: () => void): () => void {
  const followers = followed.get(signal) ?? listen(signal);
  followers.calls.add(call);
  return () => {
    if (!followers.calls.delete(call) || followers.calls.size > 0) return;
    followers.stop();
    followed.delete(signal);
  };
}

function listen(signal: AbortSignal): Followers {
  const calls = new Set<() => void>();
  const abort = (): void => {
    for (const call of [...calls]) call();
  };
  signal.addEventListener('abort', abort, { once: true });
  const followers = { calls, stop: () => signal.removeEventListener('abort', abort) };
  followed.set(signal, followers);
  return followers;
}
