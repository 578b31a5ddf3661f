// What another limit would have done, from what was seen in the last hours.
import type { Peaks } from "../lib/api";

const STEPS = 256;

/** The first class of scores that reaches a threshold. */
function binOf(threshold: number, bins: number): number {
  return Math.min(bins, Math.round((threshold * (STEPS - 1) * bins) / STEPS));
}

const sum = (bins: number[], from: number, to: number) => bins.slice(from, to).reduce((all, each) => all + each, 0);

export interface Effect {
  /** Frames rejected in addition, at most: the smallest area is left out of account. */
  more: number;
  /** Frames rejected no more, at least. */
  fewer: number;
  /** Frames that this was looked at on. */
  seen: number;
}

/** Returns null where nothing was seen. The frames that were seen stand for all frames with the same decision. */
export function thresholdEffect(peaks: Peaks, kind: number, now: number, tried: number, rejects: boolean): Effect | null {
  const seen = peaks.seen_accepted + peaks.seen_rejected;
  if (!seen) return null;
  if (!rejects) return { more: 0, fewer: 0, seen }; // only recorded, at any threshold
  const [from, to] = [binOf(Math.min(now, tried), peaks.bins), binOf(Math.max(now, tried), peaks.bins)];
  const scaled = (bins: number[] | undefined, all: number, looked: number) =>
    bins && looked ? Math.round((sum(bins, from, to) * Math.max(all, looked)) / looked) : 0;
  return {
    more: tried < now ? scaled(peaks.clean[kind], peaks.accepted, peaks.seen_accepted) : 0,
    fewer: tried > now ? scaled(peaks.alone[kind], peaks.rejected, peaks.seen_rejected) : 0,
    seen,
  };
}

/** Frames by their highest score of a kind, accepted and rejected ones together. */
export function peakCounts(peaks: Peaks, kind: number): number[] {
  return Array.from({ length: peaks.bins }, (_, n) => (peaks.clean[kind]?.[n] ?? 0) + (peaks.alone[kind]?.[n] ?? 0));
}
