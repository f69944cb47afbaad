// How a level looks on a meter.

const FLOOR_DB = -60;

/** 0 to 1 for a level (RMS, 0 to 1): evenly by decibels, since ears hear so. */
export function loudness(level) {
  if (level <= 0) return 0;
  return Math.max(0, Math.min(1, 1 - (20 * Math.log10(level)) / FLOOR_DB));
}
