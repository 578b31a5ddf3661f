import type { Histogram } from "./api";

/** The upper end of the class that holds the given percentile, as `inspector status` says it. */
export function under(histogram: Histogram, percentile: number): { ms: number; over: boolean } | null {
  const all = histogram.counts.reduce((sum, each) => sum + each, 0);
  if (!all) return null;
  let seen = 0;
  for (const [n, end] of histogram.ends.entries()) {
    seen += histogram.counts[n] ?? 0;
    if (seen >= (all * percentile) / 100) return { ms: end, over: false };
  }
  return { ms: histogram.ends.at(-1) ?? 0, over: true };
}

export function mean(histogram: Histogram): number | null {
  const all = histogram.counts.reduce((sum, each) => sum + each, 0);
  return all ? histogram.total / all : null;
}
