import { settings } from "./settings.svelte";

/** The browser's own variant of the chosen language: its order of day and month. */
export function locale(): string {
  return navigator.languages.find((each) => each.startsWith(settings.language)) ?? settings.language;
}

const numbers = new Map<string, Intl.NumberFormat>();

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const key = `${settings.language} ${digits}`;
  let format = numbers.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
    numbers.set(key, format);
  }
  return format.format(value);
}

/** A large value in few characters, such as 100 k. */
export function compact(value: number): string {
  return new Intl.NumberFormat(locale(), { notation: "compact" }).format(value);
}

/** A value as it is stored, such as 0.4; six digits tell apart all that a plan holds. */
export function exact(value: number): string {
  return new Intl.NumberFormat(locale(), { maximumSignificantDigits: 6 }).format(value);
}

export function metres(mm: number | null | undefined, digits = 1): string {
  return mm === null || mm === undefined ? "–" : `${number(mm / 1000, digits)} m`;
}

export function area(mm2: number): string {
  // 0.4 mm² is not 0.
  return mm2 < 10 && mm2 % 1 ? `${new Intl.NumberFormat(locale(), { maximumSignificantDigits: 2 }).format(mm2)} mm²` : `${number(mm2, 0)} mm²`;
}

export function percent(share: number | null, digits = 1): string {
  return share === null ? "–" : `${number(100 * share, digits)} %`;
}

export function clock(ms: number): string {
  return new Intl.DateTimeFormat(locale(), { timeStyle: "medium", hourCycle: "h23" }).format(ms);
}

export function moment(ms: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" }).format(ms);
}

export function seconds(s: number): string {
  if (s < 10) return `${number(s, 1)} s`;
  if (s < 120) return `${number(s, 0)} s`;
  return s < 7200 ? `${number(s / 60, 0)} min` : `${number(s / 3600, 1)} h`;
}

export function bytes(value: number | null): string {
  return value === null ? "?" : `${number(value / 1e9, 1)} GB`;
}
