// Images of items, asked for and decoded before they are shown. One that cannot be shown is not asked for again by itself.

import { get } from "./api.js";

const SIZES = [256, 512, 1024, 2048];
const SMALL = 128; // images of at most this many pixels a side are shown with their pixels as squares

const made = new WeakMap();
const lost = new Set(); // items whose images did not arrive

/** Whether the pixels of an image are to be seen as squares. */
export const isSmall = (item) => item.width !== null && Math.max(item.width, item.height) <= SMALL;

/** The address of an image at a size of the server's, for a place of so many CSS pixels. */
export function address(item, pixels) {
  const wanted = pixels * Math.min(devicePixelRatio, 2);
  return `${item.image}&size=${SIZES.find((size) => size >= wanted) ?? "full"}`;
}

/**
 * The image of an item, the same element each time, so that it is painted without waiting once it is ready.
 * @returns {{img: HTMLImageElement, ready: Promise<boolean>, shown: boolean, why: string}} `ready` is false if it cannot be shown, and `why` says why
 */
export function picture(item, pixels) {
  if (!made.has(item)) {
    const img = new Image();
    img.alt = `Image ${item.id}`;
    img.draggable = false;
    img.src = address(item, pixels);
    const found = { img, shown: false, why: "" };
    found.ready = img.decode().then(() => { found.shown = true; return true; }, async () => {
      const { status, message } = await get(img.src).catch((error) => error);
      found.why = message;
      if (status === 0 && made.get(item) === found) lost.add(item);
      return false;
    });
    made.set(item, found);
  }
  return made.get(item);
}

/** Let the image of an item be asked for again. */
export function forget(item) {
  made.delete(item);
  lost.delete(item);
}

/** Let all images that did not arrive be asked for again. */
export function forgetLost() {
  for (const item of lost) forget(item);
}
