/** One more caller, one request after another for `seconds`: ms from the request to the first samples of its answer. Refusals are waited out and left out. */
export async function firstAudio(url, body, seconds) {
  const times = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    const started = performance.now();
    const response = await fetch(`${url}/synthesize`, { method: 'POST', headers: { 'content-type': 'application/x-npy' }, body });
    if (response.status === 429) {
      await response.body.cancel();
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    let bytes = 0;
    for await (const piece of response.body) {
      if (bytes <= 44 && bytes + piece.length > 44) times.push(performance.now() - started);
      bytes += piece.length;
    }
  }
  times.sort((a, b) => a - b);
  return { count: times.length, p50: times[Math.floor(times.length / 2)] ?? 0, max: times.at(-1) ?? 0 };
}
