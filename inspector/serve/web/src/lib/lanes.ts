// The lanes of a map: one for each camera, the top side first, as high as the camera's part of the strip is wide.
import { number } from "./format";
import { page } from "./page.svelte";
import { t } from "./settings.svelte";

export interface Lane {
  camera: string;
  top: number;
  height: number;
  /** Width of what the camera sees, and its side where the line looks at both. */
  said: string;
}

const widthOf = (camera: string) => page.line?.places[camera]?.width_mm || 1;
const isBottom = (camera: string) => page.line?.places[camera]?.side === "bottom";

export function lanesOf(cameras: readonly string[], height: number, gap: number): Map<string, Lane> {
  const ordered = [...cameras.filter((each) => !isBottom(each)), ...cameras.filter(isBottom)];
  const perMm = (height - gap * Math.max(0, ordered.length - 1)) / ordered.reduce((all, each) => all + widthOf(each), 0);
  const bothSides = ordered.some(isBottom) && !ordered.every(isBottom);
  const lanes = new Map<string, Lane>();
  let top = 0;
  for (const camera of ordered) {
    const side = bothSides ? ` ${t(isBottom(camera) ? "sideBottom" : "sideTop")}` : "";
    const lane = { camera, top, height: widthOf(camera) * perMm, said: `${number(page.line?.places[camera]?.width_mm)} mm${side}` };
    lanes.set(camera, lane);
    top += lane.height + gap;
  }
  return lanes;
}
