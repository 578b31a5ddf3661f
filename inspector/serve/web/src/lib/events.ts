// Events that people note: their names, and their flags on the maps.
import type { Noted } from "./api";
import type { Key } from "./strings";

export const EVENT_KINDS: Record<string, Key> = { note: "evNote", "roll change": "evRoll", "coil change": "evCoil", cleaning: "evClean", maintenance: "evMaint" };
const SIGNS: Record<string, string> = { note: "✎", "roll change": "↻", "coil change": "⇄", cleaning: "✧", maintenance: "⚒" };
const FLAG_PX = 18;

/** What an event is called; one that a command noted may have a kind of its own. */
export const eventName = (kind: string): Key => EVENT_KINDS[kind] ?? "evNote";
export const eventSign = (kind: string): string => SIGNS[kind] ?? "✎";

/** Draw an event's line over all lanes; the marks of the defects lie on it. */
export function drawEventLine(context: CanvasRenderingContext2D, x: number, bottom: number, ink: string, back: string) {
  for (const [stroke, width] of [[back, 4.5], [ink, 1.8]] as const) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, bottom);
    context.stroke();
  }
}

/** Draw an event's flag, with the sign of its kind, at the foot of its line. */
export function drawEventFlag(context: CanvasRenderingContext2D, event: Noted, x: number, bottom: number, right: number, ink: string, back: string) {
  context.save();
  // At the right edge, where a new event is, the flag would leave the map: it then hangs to the left.
  const left = x + FLAG_PX > right ? x - FLAG_PX : x;
  context.fillStyle = back;
  context.fillRect(left - 1.5, bottom - FLAG_PX - 1.5, FLAG_PX + 3, FLAG_PX + 1.5);
  context.fillStyle = ink;
  context.fillRect(left, bottom - FLAG_PX, FLAG_PX, FLAG_PX);
  context.fillStyle = back;
  context.font = "bold 14px system-ui, 'Segoe UI Symbol', 'DejaVu Sans', sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(eventSign(event.kind), left + FLAG_PX / 2, bottom - FLAG_PX / 2 + 0.5);
  context.restore();
}
