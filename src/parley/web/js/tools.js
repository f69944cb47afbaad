// A few functions that the model may call and this page carries out, so that calling can be seen.
//
// Laws: harmless; each answers with JSON text, and in it a sentence (`message`) that may be spoken as it is, beside the data; a fault is an
// answer too, so that the model can tell of it.

import { chooseTheme } from "./theme.js";

const TOOLS = {
  get_time: {
    description: "The current date and time, here or in another time zone.",
    parameters: {
      type: "object",
      properties: { time_zone: { type: "string", description: "IANA name such as Europe/Paris; leave it out for the user's own." } },
    },
    run({ time_zone: zone }) {
      const timeZone = zone && isZone(zone) ? zone : Intl.DateTimeFormat().resolvedOptions().timeZone;
      const now = new Date();
      const shown = (parts) => new Intl.DateTimeFormat("en-GB", { timeZone, ...parts }).format(now);
      const [time, date] = [shown({ timeStyle: "short" }), shown({ dateStyle: "full" })];
      const place = timeZone.split("/").at(-1).replaceAll("_", " ");
      return { message: `It is ${time} on ${date}${zone ? ` in ${place}` : ""}.`, time, date, time_zone: timeZone };
    },
  },
  set_theme: {
    description: "Make this page light or dark, or let it follow the device.",
    parameters: {
      type: "object",
      properties: { theme: { type: "string", enum: ["dark", "light", "auto"] } },
      required: ["theme"],
    },
    run({ theme }) {
      chooseTheme(theme);
      return { message: theme === "auto" ? "The page follows your device now." : `The page is ${theme} now.`, theme };
    },
  },
  roll_dice: {
    description: "Roll dice and tell what they show.",
    parameters: {
      type: "object",
      properties: {
        count: { type: "integer", minimum: 1, maximum: 10 },
        sides: { type: "integer", minimum: 2, maximum: 100 },
      },
    },
    run({ count = 1, sides = 6 }) {
      const rolls = Array.from({ length: within(count, 1, 10) }, () => 1 + Math.floor(Math.random() * within(sides, 2, 100)));
      const total = rolls.reduce((sum, roll) => sum + roll, 0);
      const dice = rolls.length === 1 ? "The die shows" : "The dice show";
      return { message: `${dice} ${listed(rolls)}${rolls.length === 1 ? "" : `, ${total} in all`}.`, rolls, total };
    },
  },
};

/** As `session.tools` takes them. */
export const declarations = Object.entries(TOOLS).map(([name, { description, parameters }]) => ({
  type: "function", name, description, parameters,
}));

/** Carries a call out: {output, failed}. */
export function run(name, argumentsText) {
  try {
    const args = argumentsText ? JSON.parse(argumentsText) : {};
    if (!Object.hasOwn(TOOLS, name)) throw new Error(`there is no tool named ${name}`);
    return { output: JSON.stringify(TOOLS[name].run(args)), failed: false };
  } catch (error) {
    return { output: JSON.stringify({ message: `That did not work: ${error.message}.`, error: error.message }), failed: true };
  }
}

function listed(numbers) {
  return new Intl.ListFormat("en", { type: "conjunction" }).format(numbers.map(String));
}

function within(value, least, most) {
  return Math.max(least, Math.min(most, Math.round(Number(value)) || least));
}

function isZone(zone) {
  try {
    Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
