// A label map: 0 is normal, 1..K the kind, one byte a pixel in reading order.
import type { Kind } from "../lib/api";

export type Run = [number, number, number];

const STEP_PX = 6;
/** Where kinds 1, 2, 3 … are drawn darker, repeated like their dashes and shapes: colour is never the only difference. */
const HATCHES: ((x: number, y: number) => boolean)[] = [
  () => true,
  (x, y) => (x + y) % STEP_PX < STEP_PX / 2,
  (x, y) => (x - y + STEP_PX * 10_000) % STEP_PX < STEP_PX / 2,
  (_, y) => y % STEP_PX < STEP_PX / 2,
];

export class Mask {
  readonly pixels: Uint8Array;
  constructor(
    readonly width: number,
    readonly height: number,
    runs: Run[] = [],
  ) {
    this.pixels = new Uint8Array(width * height);
    for (const [kind, start, length] of runs) this.pixels.fill(kind, start, start + length);
  }

  get empty(): boolean {
    return !this.pixels.some((each) => each > 0);
  }

  runs(): Run[] {
    const found: Run[] = [];
    const { pixels } = this;
    for (let start = 0; start < pixels.length; ) {
      const kind = pixels[start]!;
      let end = start + 1;
      while (end < pixels.length && pixels[end] === kind) end++;
      if (kind) found.push([kind, start, end - start]);
      start = end;
    }
    return found;
  }

  /** Give every marked pixel this kind. */
  relabel(kind: number) {
    for (let n = 0; n < this.pixels.length; n++) if (this.pixels[n]) this.pixels[n] = kind;
  }

  /** Draw a line of discs. */
  stroke(fromX: number, fromY: number, toX: number, toY: number, radius: number, kind: number) {
    const steps = Math.max(1, Math.ceil(Math.hypot(toX - fromX, toY - fromY) / Math.max(1, radius / 2)));
    for (let n = 0; n <= steps; n++) {
      this.#disc(fromX + ((toX - fromX) * n) / steps, fromY + ((toY - fromY) * n) / steps, radius, kind);
    }
  }

  #disc(x: number, y: number, radius: number, kind: number) {
    // A pixel counts by its centre.
    for (let row = Math.max(0, Math.ceil(y - radius - 0.5)); row <= Math.min(this.height - 1, y + radius - 0.5); row++) {
      const half = Math.sqrt(radius * radius - (row + 0.5 - y) ** 2);
      const from = Math.max(0, Math.ceil(x - half - 0.5));
      const to = Math.min(this.width - 1, Math.floor(x + half - 0.5));
      if (to >= from) this.pixels.fill(kind, row * this.width + from, row * this.width + to + 1);
    }
  }

  /** Fill a polygon, its corners in px of the frame; the even-odd rule decides what is inside. */
  polygon(corners: [number, number][], kind: number) {
    for (let row = 0; row < this.height; row++) {
      const at = row + 0.5;
      const cuts: number[] = [];
      for (const [n, [x, y]] of corners.entries()) {
        const [nextX, nextY] = corners[(n + 1) % corners.length]!;
        if (y <= at !== nextY <= at) cuts.push(x + ((at - y) / (nextY - y)) * (nextX - x));
      }
      cuts.sort((a, b) => a - b);
      for (let n = 0; n + 1 < cuts.length; n += 2) {
        const from = Math.max(0, Math.ceil(cuts[n]! - 0.5));
        const to = Math.min(this.width - 1, Math.floor(cuts[n + 1]! - 0.5));
        if (to >= from) this.pixels.fill(kind, row * this.width + from, row * this.width + to + 1);
      }
    }
  }

  /** Unmark the connected region of one kind at this place; says whether there was one. */
  remove(x: number, y: number): boolean {
    const { width, height, pixels } = this;
    const start = Math.floor(y) * width + Math.floor(x);
    if (!(x >= 0 && y >= 0 && x < width && y < height) || !pixels[start]) return false;
    const kind = pixels[start];
    const open = [start];
    pixels[start] = 0;
    while (open.length) {
      const at = open.pop()!;
      const column = at % width;
      for (const next of [at - width, at + width, column ? at - 1 : -1, column < width - 1 ? at + 1 : -1]) {
        if (next >= 0 && next < pixels.length && pixels[next] === kind) {
          pixels[next] = 0;
          open.push(next);
        }
      }
    }
    return true;
  }

  copy(): Mask {
    const copy = new Mask(this.width, this.height);
    copy.pixels.set(this.pixels);
    return copy;
  }

  /** The mask's inside as a picture: each kind in its colour and hatched its own way, `alpha` opaque. */
  picture(kinds: Kind[], alpha: number): ImageData {
    const { width, height, pixels } = this;
    const image = new ImageData(width, height);
    if (!alpha) return image;
    const colours = new Map(kinds.map((each) => [each.kind, parseInt(each.colour.slice(1), 16)]));
    for (let n = 0; n < pixels.length; n++) {
      const kind = pixels[n]!;
      if (!kind) continue;
      const colour = colours.get(kind) ?? 0xffffff;
      const on = HATCHES[(kind - 1) % HATCHES.length]!(n % width, Math.floor(n / width));
      image.data.set([colour >> 16, (colour >> 8) & 255, colour & 255, on ? alpha : alpha / 4], 4 * n);
    }
    return image;
  }

  /** Outlines of the regions, longest first: kind, then x and y of each corner in turn, px of the frame. */
  outlines(): [number, number[]][] {
    const { width, height, pixels } = this;
    const found: [number, number[]][] = [];
    const across = width + 1;
    /** Kind → corner → the corners that an edge leads to from it, the region on its right. */
    const edges = new Map<number, Map<number, number[]>>();
    const add = (kind: number, from: number, to: number) => {
      let all = edges.get(kind);
      if (!all) edges.set(kind, (all = new Map()));
      const next = all.get(from);
      if (next) next.push(to);
      else all.set(from, [to]);
    };
    for (let n = 0; n < pixels.length; n++) {
      const kind = pixels[n]!;
      if (!kind) continue;
      const column = n % width;
      const row = Math.floor(n / width);
      const corner = row * across + column;
      if (row === 0 || pixels[n - width] !== kind) add(kind, corner, corner + 1);
      if (column === width - 1 || pixels[n + 1] !== kind) add(kind, corner + 1, corner + 1 + across);
      if (row === height - 1 || pixels[n + width] !== kind) add(kind, corner + 1 + across, corner + across);
      if (column === 0 || pixels[n - 1] !== kind) add(kind, corner + across, corner);
    }
    for (const [kind, all] of edges) {
      for (const [start, ways] of all) {
        while (ways.length) {
          const points: number[] = [];
          let [at, before] = [start, 0];
          do {
            const next = all.get(at)!.pop()!;
            // A corner, not a place along a straight edge.
            if (next - at !== before) points.push(at % across, Math.floor(at / across));
            [at, before] = [next, next - at];
          } while (at !== start);
          found.push([kind, points]);
        }
      }
    }
    return found.sort((a, b) => b[1].length - a[1].length);
  }

  /** Box of everything marked; null when nothing is. */
  box(): [number, number, number, number] | null {
    let [left, top, right, bottom] = [this.width, this.height, -1, -1];
    for (const [, start, length] of this.runs()) {
      const row = Math.floor(start / this.width);
      const last = Math.floor((start + length - 1) / this.width);
      left = Math.min(left, last > row ? 0 : start % this.width);
      right = Math.max(right, last > row ? this.width - 1 : (start + length - 1) % this.width);
      top = Math.min(top, row);
      bottom = Math.max(bottom, last);
    }
    return right < 0 ? null : [left, top, right - left + 1, bottom - top + 1];
  }
}
