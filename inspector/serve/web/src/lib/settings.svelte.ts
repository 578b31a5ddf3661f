import { LANGUAGES, look, type Key, type Language } from "./strings";

function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // a browser without storage forgets the choice
  }
}

function store(key: string, value: string) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above
  }
}

function firstLanguage(): Language {
  const wanted = [stored("language"), ...navigator.languages.map((each) => each.slice(0, 2))];
  return wanted.find((each): each is Language => each !== null && each in LANGUAGES) ?? "en";
}

type Theme = "dark" | "light";
const prefersLight = matchMedia("(prefers-color-scheme: light)").matches;

export const settings = $state({
  language: firstLanguage(),
  theme: ((stored("theme") as Theme | null) ?? (prefersLight ? "light" : "dark")) as Theme,
  outlines: stored("outlines") !== "off",
});

export function apply() {
  document.documentElement.lang = settings.language;
  document.documentElement.dataset.theme = settings.theme;
  store("language", settings.language);
  store("theme", settings.theme);
  store("outlines", settings.outlines ? "on" : "off");
}

export function t(key: Key, ...values: (string | number)[]): string {
  return look(key, settings.language, ...values);
}

export function lastHours(hours: number): string {
  return hours <= 24 ? t("lastHours", hours) : t("lastDays", hours / 24);
}
