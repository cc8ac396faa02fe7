/** Dark to bright, even steps of lightness. */
const stops = [
  [9, 8, 24],
  [38, 21, 84],
  [91, 30, 125],
  [150, 41, 125],
  [207, 63, 101],
  [243, 107, 76],
  [254, 169, 91],
  [252, 232, 164],
] as const;

/** The colour of a level from 0 to 1, as red, green and blue from 0 to 255. */
export function colour(level: number): [number, number, number] {
  const place = Math.max(0, Math.min(1, level)) * (stops.length - 1);
  const left = Math.min(stops.length - 2, Math.floor(place));
  const [a, b] = [stops[left], stops[left + 1]] as [readonly number[], readonly number[]];
  const mix = (i: number): number => Math.round((a[i] as number) + ((b[i] as number) - (a[i] as number)) * (place - left));
  return [mix(0), mix(1), mix(2)];
}
