// Shapes and dashes of the kinds, the same as in the pictures and the report.
import type { Kind } from "./api";

export function shapePath(shape: Kind["shape"], r: number): string {
  switch (shape) {
    case "circle":
      return `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
    case "square":
      return `M${-r * 0.88} ${-r * 0.88}h${r * 1.76}v${r * 1.76}h${-r * 1.76}z`;
    case "triangle":
      return `M0 ${-r * 1.1}L${r * 1.05} ${r * 0.8}H${-r * 1.05}z`;
    case "diamond":
      return `M0 ${-r * 1.2}L${r * 1.2} 0L0 ${r * 1.2}L${-r * 1.2} 0z`;
  }
}

const paths = new Map<string, Path2D>();

/** A coil has thousands of marks in a few sizes: each path is made once. */
function markPath(shape: Kind["shape"], r: number): Path2D {
  const key = `${shape} ${r.toFixed(1)}`;
  let path = paths.get(key);
  if (!path) paths.set(key, (path = new Path2D(shapePath(shape, Number(r.toFixed(1))))));
  return path;
}

export function drawMark(context: CanvasRenderingContext2D, kind: Kind, x: number, y: number, r: number, ink: string, filled = true) {
  context.save();
  context.translate(x, y);
  const path = markPath(kind.shape, r);
  if (filled) {
    context.fillStyle = kind.colour;
    context.fill(path);
    context.strokeStyle = ink;
    context.lineWidth = 1;
  } else {
    context.strokeStyle = kind.colour;
    context.lineWidth = 1.6;
  }
  context.stroke(path);
  context.restore();
}

/** Draw outlines over a frame; `scale` is px of the canvas per px on the screen. */
export function drawOutlines(context: CanvasRenderingContext2D, kinds: Kind[], outlines: [number, number[]][], scale: number) {
  context.save();
  context.lineJoin = "round";
  for (const [number, points] of outlines) {
    const kind = kinds.find((each) => each.kind === number);
    if (!kind) continue;
    context.beginPath();
    for (let n = 0; n < points.length; n += 2) context.lineTo(points[n]!, points[n + 1]!);
    context.closePath();
    context.setLineDash([]);
    context.lineWidth = 4.5 * scale;
    context.strokeStyle = "rgba(10,12,14,.75)";
    context.stroke();
    context.setLineDash(kind.dashes.map((each) => each * scale * 0.7));
    context.lineWidth = 2.2 * scale;
    context.strokeStyle = kind.colour;
    context.stroke();
  }
  context.restore();
}

/** Size a canvas to its box on the screen, in device pixels; returns its size in CSS px. */
export function fit(canvas: HTMLCanvasElement): { width: number; height: number; context: CanvasRenderingContext2D } | null {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext("2d");
  if (!context || !width || !height) return null;
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { width, height, context };
}

export function colours(element: Element): (name: string) => string {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** Steps of 1, 2 or 5 that give at most `most` ticks. */
export function tickStep(span: number, most: number): number {
  const rough = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10) * power;
}

/** The pattern of what was not inspected. */
export function hatched(context: CanvasRenderingContext2D, line: string, back: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const on = tile.getContext("2d");
  if (!on) return back;
  on.fillStyle = back;
  on.fillRect(0, 0, 8, 8);
  on.strokeStyle = line;
  on.lineWidth = 1.6;
  for (const shift of [-8, 0, 8]) {
    on.beginPath();
    on.moveTo(shift, 8);
    on.lineTo(shift + 8, 0);
    on.stroke();
  }
  return context.createPattern(tile, "repeat") ?? back;
}
