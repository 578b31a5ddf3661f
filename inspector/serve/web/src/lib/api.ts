// The page's routes; what they give is described in /api/openapi.json.
export interface Kind {
  kind: number;
  name: string;
  colour: string;
  shape: "circle" | "square" | "triangle" | "diamond";
  dashes: number[];
  rejects: boolean;
  threshold: number;
  min_area_mm2: number;
}
export interface LineInfo {
  name: string;
  version: string;
  cameras: string[];
  deadline_ms: number;
  config: string;
  recipe: string;
  frame_px: [number, number];
  mm_per_px: [number, number];
  records: boolean;
  view_frames_per_second: number;
  gate: boolean;
  places: Record<string, Place>;
  classes: Kind[];
}
export interface Place {
  /** Where the frame's first column lies across the strip. */
  from_mm: number;
  width_mm: number;
  mirrored: boolean;
  side: "top" | "bottom";
}
export interface Session {
  login: boolean;
  name: string | null;
  role: Role | null;
}
export type Role = "viewer" | "operator" | "quality" | "admin";
export const ROLES: Role[] = ["viewer", "operator", "quality", "admin"];

export interface Histogram {
  ends: number[];
  counts: number[];
  total: number;
}
export interface CameraState {
  captured: number;
  accepted: number;
  rejected: number;
  uninspected: number;
  pending: number;
  late: number;
  shed: number;
  begins: number;
  frames_per_second: number;
  newest: number;
  newest_uninspected: number;
  last_frame: number | null;
  last_verdict_s: number | null;
  heard_s: number | null;
  silent: boolean;
  ended: boolean;
}
export interface LineState {
  version: string;
  config: string;
  recipe: string;
  engine: string;
  deadline_ms: number;
  out: string;
  cameras: Record<string, CameraState>;
  frames: { camera: string; decision: string; reason: string; count: number }[];
  stages: Record<string, Histogram>;
  batches: Histogram;
  worker: { starts: number; waiting: number; unanswered_s: number | null; engine: string };
  sinks: { pictures_lost: number; verdicts_lost: number; records_waiting: number; records_lost: number };
  strip: StripState | null;
  gate: { taking: boolean; faults: string[]; taken: number; missed: number; late: number; longest_ms: number } | null;
}
export interface StripState {
  position_mm: number;
  speed_mm_s: number | null;
  motion: "running" | "threading" | "standing" | "reverse" | "unknown";
  source: string;
  source_answers: boolean | null;
  coil: string | null;
  coil_mm: number | null;
  plan: string;
  plan_why: string;
  level2: string | null;
  level2_connected: boolean;
  results_waiting: number;
  roll_marks: string[];
}
export interface State {
  word: "up" | "old" | "starting" | "down";
  error: string | null;
  age_s: number | null;
  findings: string[];
  healthy: boolean;
  disk_free_bytes: number | null;
  line: LineState | null;
  speeds_mm_s: Record<string, number | null>;
  view_on: boolean;
}
export interface Defect {
  id: string;
  kind: number;
  name: string;
  box: [number, number, number, number];
  area_mm2: number;
  across_mm: number;
  along_mm: number;
  score: number;
}
export interface MapDefect extends Defect {
  camera: string;
  rejected: boolean;
}
export interface Reject {
  number: number;
  camera: string;
  frame_id: number;
  captured_ms: number;
  position_mm: number;
  coil: string | null;
  reasons: string[];
  recipe: string;
  defects: Defect[];
  size: [number, number] | null;
  picture: boolean;
}
export interface Alarm {
  id: number;
  text: string;
  /** The last time. */
  began_ms: number;
  ended_ms: number | null;
  /** How often it came without being acknowledged. */
  times: number;
  acknowledged_by: string | null;
  acknowledged_ms: number | null;
  note: string | null;
}
export interface Noted {
  id: number;
  at_ms: number;
  kind: string;
  text: string;
  who: string;
  coil: string | null;
  position_mm: number | null;
}
export interface TrendPoint {
  at_s: number;
  frames_per_second: number;
  captured: number;
  rejected: number;
  uninspected: number;
  speed_mm_s: number | null;
}
/** Camera, start mm, end mm, decision, coil, captured ms. */
export type Stretch = [string, number, number, number, string | null, number];
export type CoilVerdict = "release" | "downgrade" | "hold";
export interface Card {
  number: number;
  grade: string;
  customer: string;
  width_mm: number | null;
  thickness_mm: number | null;
  stated_length_mm: number | null;
  length_mm: number | null;
  plan: string;
  plan_why: string;
  recipe: string;
  verdict: CoilVerdict | null;
  reasons: string[];
  defects: number | null;
  uninspected_mm: number | null;
  roll_marks: string[];
  ended_ms: number | null;
}
export interface RollMark {
  text: string;
  name: string;
  side: "top" | "bottom";
  period_mm: number;
  across_mm: number;
  from_mm: number;
  to_mm: number;
}
export interface Coil {
  coil: string | null;
  run: number;
  accept: number;
  reject: number;
  uninspected: number;
  cameras: string[];
  from_ms: number;
  to_ms: number;
  from_mm: number;
  to_mm: number;
  kinds: { kind: number; name: string; parts: number; area_mm2: number }[];
  card: Card | null;
}
export interface CoilDefect {
  camera: string;
  kind: number;
  name: string;
  /** By the coil's plan; null until the coil is judged. */
  severity: number | null;
  cameras: string[];
  area_mm2: number;
  frames: number;
  rejected: boolean;
  across_mm: number;
  along_mm: number;
  score: number;
  frame: number;
  epoch: string;
  n: number;
  captured_ms: number;
  box: [number, number, number, number];
}
export interface WholeCoil extends Coil {
  segments: [string, number, number, number][];
  defects: CoilDefect[];
  roll_marks: RollMark[];
  events: Noted[];
}
export interface Rule {
  action: "reject" | "record";
  threshold: number | null;
  min_area_mm2: number | null;
  min_length_mm: number;
  min_width_mm: number;
}
export interface PlanChange {
  id: number;
  at_ms: number;
  who: string;
  why: string;
  changed: string;
  identity: string;
}
export interface Plan {
  name: string;
  file: string;
  identity: string;
  writable: boolean;
  grades: string[];
  customers: string[];
  classes: { kind: number; name: string; given: Rule; engine: { threshold: number; min_area_mm2: number } }[];
  used: string | null;
  changes: PlanChange[];
}
export interface Peaks {
  accepted: number;
  rejected: number;
  seen_accepted: number;
  seen_rejected: number;
  bins: number;
  clean: Record<string, number[]>;
  alone: Record<string, number[]>;
}
export interface Engine {
  name: string;
  identity: string;
  folder: string;
  backend: string;
  precision: string;
  made_ms: number;
  in_config: boolean;
  in_use: boolean;
  refused: string | null;
  defect_iou: number | null;
  escape: number | null;
  overkill: number | null;
  frames_per_second: number | null;
}
export interface DriftPoint {
  at_s: number;
  camera: string;
  frames: number;
  rejected: number;
  uninspected: number;
  grey: number | null;
  peak: number | null;
}
export interface Sample {
  id: number;
  source: "reject" | "uncertain" | "random" | "marked";
  camera: string;
  frame_id: number;
  captured_ms: number;
  position_mm: number;
  coil: string | null;
  decision: string;
  reasons: string[];
  defects: Defect[];
  classes: string[];
  width: number;
  height: number;
}
export interface Reviewed {
  id: number;
  sample_id: number;
  camera: string;
  frame_id: number;
  answer: string;
  decision: string;
  line_decision: string;
  who: string;
  at_ms: number;
  why: string;
}

export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/api/${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw new Problem(0, String(error));
  }
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const detail = (answer as { detail?: string } | null)?.detail;
    throw new Problem(response.status, detail ?? response.statusText);
  }
  return answer as T;
}

export const get = <T>(path: string, values: Record<string, string | number | null | undefined> = {}): Promise<T> => {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
  return call<T>("GET", given.length ? `${path}?${query}` : path);
};
