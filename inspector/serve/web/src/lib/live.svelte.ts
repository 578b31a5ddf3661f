// What the live page knows: filled by one WebSocket, which comes back by itself.
import type { Alarm, MapDefect, Noted, Reject, State, Stretch, TrendPoint } from "./api";

const MOST_STRETCHES = 6000;
const MOST_DEFECTS = 2500;
const MOST_REJECTS = 40;
const MOST_TREND = 900;
export const QUIET_MS = 900;
/** Longest usual time between two messages, ms. */
const USUAL_MS = 450;
const RETRY_MS = 700;
/** How long the message that came with the least delay tells the server's clock, ms. */
const CLOCK_MS = 30_000;

export interface LiveFrame {
  number: number;
  camera: string;
  frame_id: number;
  captured_ms: number;
  position_mm: number;
  decision: number;
  reasons: string[];
  size: [number, number];
  outlines: [number, number[]][];
  picture: ImageBitmap;
}

interface News {
  type: "tick" | "whole";
  now_ms: number;
  state: State;
  alarms: Alarm[];
  alarm_count: number;
  events: Noted[];
  trend: TrendPoint | null;
  trends?: TrendPoint[];
  frames: Stretch[];
  defects: MapDefect[];
  rejects: Reject[];
}

class Live {
  state = $state.raw<State | null>(null);
  /** The newest that stand or are not acknowledged. */
  alarms = $state.raw<Alarm[]>([]);
  /** All of these. */
  alarm_count = $state(0);
  /** With a place on the map, newest first. */
  events = $state.raw<Noted[]>([]);
  rejects = $state.raw<Reject[]>([]);
  trend = $state.raw<TrendPoint[]>([]);
  connected = $state(false);
  /** Counts messages: what draws on a canvas draws again. */
  version = $state(0);
  /** ms since the last message; 0 while messages come, so that nothing is drawn twice. */
  quiet_ms = $state(0);
  frames = $state.raw<Record<string, LiveFrame>>({});
  stretches = new Map<string, Stretch[]>();
  defects: MapDefect[] = [];

  #socket: WebSocket | null = null;
  #heard = performance.now();
  #clock: ReturnType<typeof setInterval> | undefined;
  /** The server's clock minus this browser's steady one, by the promptest message of the last minute and of this one. */
  #ahead: [number, number] = [-Infinity, -Infinity];
  #aheadSince = 0;
  #decoding = new Map<string, ArrayBuffer | null>();

  start() {
    if (this.#clock) return;
    this.#connect();
    this.#clock = setInterval(() => {
      const quiet_ms = performance.now() - this.#heard;
      if (quiet_ms > USUAL_MS) this.quiet_ms = quiet_ms;
    }, 200);
  }

  stop() {
    clearInterval(this.#clock);
    this.#clock = undefined;
    this.#socket?.close();
    this.#socket = null;
  }

  /** Why the data is not to be trusted; null while it is. */
  get stale(): "page" | "line" | null {
    if (!this.connected || this.quiet_ms > QUIET_MS) return "page";
    return this.state !== null && this.state.word !== "up" ? "line" : null;
  }

  /** The time on the server's clock, which the frames' times are on: this PC's may be wrong. */
  get now_ms(): number {
    return Math.max(...this.#ahead) + performance.now();
  }

  #tellClock(now_ms: number) {
    const ahead = now_ms - this.#heard;
    if (this.#heard - this.#aheadSince > CLOCK_MS) {
      this.#ahead = [this.#ahead[1], -Infinity];
      this.#aheadSince = this.#heard;
    }
    this.#ahead[1] = Math.max(this.#ahead[1], ahead);
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/live`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      this.connected = true;
      if (typeof event.data === "string") this.#take(JSON.parse(event.data) as News);
      else this.#picture(event.data);
    };
    socket.onclose = () => {
      this.connected = false;
      if (this.#socket === socket) setTimeout(() => this.#clock && this.#connect(), RETRY_MS);
    };
  }

  #take(news: News) {
    this.#heard = performance.now();
    this.quiet_ms = 0;
    this.#tellClock(news.now_ms);
    if (news.type === "whole") {
      this.stretches.clear();
      this.defects = [];
      this.rejects = [];
      this.trend = news.trends ?? [];
    } else if (news.trend && news.trend.at_s !== this.trend.at(-1)?.at_s) {
      this.trend = [...this.trend.slice(1 - MOST_TREND), news.trend];
    }
    this.state = news.state;
    this.alarms = news.alarms;
    this.alarm_count = news.alarm_count;
    this.events = news.events;
    for (const frame of news.frames) this.#stretch(frame);
    if (news.defects.length) this.defects = [...this.defects, ...news.defects].slice(-MOST_DEFECTS);
    if (news.rejects.length) this.rejects = [...news.rejects.toReversed(), ...this.rejects].slice(0, MOST_REJECTS);
    this.version++;
  }

  #stretch(frame: Stretch) {
    const [camera, start, end, decision, coil] = frame;
    let all = this.stretches.get(camera);
    if (!all) this.stretches.set(camera, (all = []));
    const last = all.at(-1);
    if (last && start < last[1] && !this.state?.line?.strip) {
      // The camera's ingest began again, and with it the position. With a strip, the strip travels back.
      all.length = 0;
      this.defects = this.defects.filter((each) => each.camera !== camera);
    } else if (last && Math.abs(last[2] - start) < (end - start) / 2 && last[3] === decision && last[4] === coil) {
      last[2] = end;
      last[5] = frame[5];
      return;
    }
    all.push(frame);
    if (all.length > MOST_STRETCHES) all.splice(0, all.length - MOST_STRETCHES);
  }

  async #picture(message: ArrayBuffer) {
    const length = new DataView(message).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, length))) as LiveFrame;
    if (this.#decoding.has(header.camera)) {
      // Only the newest one waits: a slow browser shows fewer frames, not older ones.
      this.#decoding.set(header.camera, message);
      return;
    }
    this.#decoding.set(header.camera, null);
    try {
      header.picture = await createImageBitmap(new Blob([new Uint8Array(message, 4 + length)], { type: "image/jpeg" }));
      this.frames[header.camera]?.picture.close();
      this.frames = { ...this.frames, [header.camera]: header };
    } finally {
      const next = this.#decoding.get(header.camera);
      this.#decoding.delete(header.camera);
      if (next) void this.#picture(next);
    }
  }
}

export const live = new Live();
