// The screen that is open, from the part of the address behind "#", and who has logged in.
import { call, get, Problem, type Kind, type LineInfo, type Role, ROLES, type Session } from "./api";

export const SCREENS = ["live", "coils", "review", "line", "health"] as const;
export type Screen = (typeof SCREENS)[number];

function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function read(): { screen: Screen; rest: string[] } {
  const [first = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(plain);
  return { screen: SCREENS.find((each) => each === first) ?? "live", rest };
}

export const page = $state({
  ...read(),
  session: null as Session | null,
  line: null as LineInfo | null,
  problem: "",
});

addEventListener("hashchange", () => Object.assign(page, read()));

export function go(screen: Screen, ...rest: (string | number)[]) {
  location.hash = ["#", screen, ...rest.map((each) => encodeURIComponent(each))].join("/");
}

export function may(role: Role): boolean {
  const own = page.session?.role;
  return !!own && page.session?.name !== null && ROLES.indexOf(own) >= ROLES.indexOf(role);
}

export function kindOf(kind: number): Kind | undefined {
  return page.line?.classes.find((each) => each.kind === kind);
}

/** Where a place across the strip lies in a camera's frame, 0 at the top of its lane and 1 at the bottom. */
export function acrossShare(camera: string, across_mm: number): number {
  const place = page.line?.places[camera];
  if (!place) return 0;
  const share = (across_mm - place.from_mm) / place.width_mm;
  return place.mirrored ? -share : share;
}

export async function enter() {
  page.session = await get<Session>("session");
  if (!page.session.login) page.line = await get<LineInfo>("line");
}

export async function leave() {
  page.session = await call<Session>("DELETE", "session").then(() => ({ login: true, name: null, role: null }));
}

export async function attempt<T>(doing: () => Promise<T>): Promise<T | undefined> {
  try {
    const done = await doing();
    page.problem = "";
    return done;
  } catch (error) {
    page.problem = error instanceof Error ? error.message : String(error);
    // The session has ended, or the account is gone: show the login.
    if (error instanceof Problem && error.status === 401 && !page.session?.login) await enter().catch(() => {});
    return undefined;
  }
}
