// One hash for one content, as services/kernel/canonical.py computes it: docs/canonical.md has the rules. For browsers, and node from 18 on.

const DEPTH_MAX = 64;
const NAME = /^[A-Za-z0-9_/-]+$/;
const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const ID = new RegExp(`^${UUID}$`);
const ACCOUNT = new RegExp(`^[A-Z][0-9]{2}(/${UUID})?$`);
const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const WHOLE = /^(0|-?[1-9][0-9]*)$/;

/** Throws: what is no content is a fault of the program that hands it in. */
function refuse(why) {
  throw new TypeError(why);
}

/** Whether a field that holds this is left out (rule 4). */
function isEmpty(value) {
  return !value || (typeof value === "object" && Object.keys(value).length === 0);
}

/** The object itself, where it is one of names and values, of whichever window, and no list, Map, Date or object of a class. */
function plainObject(value) {
  if (typeof value === "object" && value !== null) {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === null || Object.getPrototypeOf(prototype) === null) return value;
  }
  return refuse("a content is a plain object");
}

/** The digits of a Number or a BigInt. Beyond 2^53 a Number may have lost some before it came here. */
function digits(value) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) refuse(`${value} is no safe integer: give a BigInt, or its digits as text`);
  if (BigInt.asIntN(64, BigInt(value)) !== BigInt(value)) refuse(`${value} does not fit into 64 bits`);
  return String(value);
}

/** The fields of an object that are not empty, as [name, canonical text], in the order of their names. */
function fields(value, depth) {
  // Names are ASCII, so that JavaScript's order, of UTF-16 units, is that of characters. What is sorted is kept in a list, because an
  // object has names such as "10" before all others, however it is filled.
  return Object.keys(plainObject(value))
    .sort()
    .map(name => [NAME.test(name) ? name : refuse(`${JSON.stringify(name)} is no name of a field`), write(value[name], depth + 1)])
    .filter(([name]) => !isEmpty(value[name]));
}

/** The canonical text of any part of a content; `depth` counts the objects and lists around it, and itself. */
function write(value, depth) {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") return `"${digits(value)}"`;
  if (typeof value === "string") {
    // JSON.stringify would make an escape of half a pair, and TextEncoder U+FFFD.
    if (/\p{Surrogate}/u.test(value)) refuse("half of a surrogate pair is no text");
    return JSON.stringify(value.normalize("NFC"));
  }
  if (depth > DEPTH_MAX) refuse(`a content is at most ${DEPTH_MAX} levels deep`);
  // Array.from, because map passes over the gaps of a list.
  if (Array.isArray(value)) return `[${Array.from(value, part => write(part, depth + 1)).join(",")}]`;
  return `{${fields(value, depth).map(([name, text]) => `"${name}":${text}`).join(",")}}`;
}

/** The canonical text of a content. Integers are BigInt, safe Numbers or text. Throws a TypeError for what is no content. */
export function canonicalText(content) {
  return write(plainObject(content), 1);
}

/** SHA-256 of the canonical text in UTF-8, as 64 hexadecimal digits. A browser has WebCrypto only on pages over HTTPS or of its own machine. */
export async function contentHash(content) {
  const bytes = new TextEncoder().encode(canonicalText(content));
  // Node 18 does not have it among its globals.
  const { subtle } = globalThis.crypto ?? (await import("node:crypto")).webcrypto;
  return Array.from(new Uint8Array(await subtle.digest("SHA-256", bytes)), byte => byte.toString(16).padStart(2, "0")).join("");
}

/** The name of the first field, in the order of names, in which two contents differ; empty where none does. */
export function firstDifference(one, other) {
  const [left, right] = [new Map(fields(one, 1)), new Map(fields(other, 1))];
  return [...left.keys(), ...right.keys()].sort().find(name => left.get(name) !== right.get(name)) ?? "";
}

/** Whether it is a text of this form. */
function isText(value, form) {
  return typeof value === "string" && form.test(value);
}

/** An integer that may come as text, as an integer: "0" would stay where 0 is left out. */
function integer(value, name) {
  if (isText(value, WHOLE)) return BigInt(value);
  return typeof value === "number" || typeof value === "bigint" ? value : refuse(`${name} is no integer`);
}

/** The hash of an institution's position after a meeting: `balances` are {"A03": paise, "L01/<id of the member>": paise, ...}. */
export async function closingHash({ institution_id, number, held_on, balances }) {
  if (!isText(institution_id, ID)) refuse("institution_id is no UUID in lower case");
  if (!isText(held_on, DAY)) refuse("held_on is no day such as 2026-10-05");
  const amounts = Object.entries(plainObject(balances)).map(([account, paise]) =>
    ACCOUNT.test(account) ? [account, integer(paise, account)] : refuse(`${account} is no head, and no head with an id in lower case`));
  return contentHash({ institution_id, number: integer(number, "number"), held_on, balances: Object.fromEntries(amounts) });
}
