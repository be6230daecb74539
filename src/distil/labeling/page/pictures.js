// Images of items, asked for and decoded before they are shown.

const SIZES = [256, 512, 1024, 2048];
const SMALL = 128; // images of at most this many pixels a side are shown with their pixels as squares

const made = new WeakMap();

/** Whether the pixels of an image are to be seen as squares. */
export const isSmall = (item) => item.width !== null && Math.max(item.width, item.height) <= SMALL;

/** The address of an image at a size of the server's, for a place of so many CSS pixels. */
export function address(item, pixels) {
  const wanted = pixels * Math.min(devicePixelRatio, 2);
  return `${item.image}&size=${SIZES.find((size) => size >= wanted) ?? "full"}`;
}

/**
 * The image of an item, the same element each time, so that it is painted without waiting once it is ready.
 * @returns {{img: HTMLImageElement, ready: Promise<boolean>, done: boolean}} `ready` is false if it cannot be shown
 */
export function picture(item, pixels) {
  if (!made.has(item)) {
    const img = new Image();
    img.alt = `Image ${item.id}`;
    img.draggable = false;
    img.src = address(item, pixels);
    const found = { img, done: false };
    found.ready = img.decode().then(() => true, () => !made.delete(item)); // to be asked for again the next time
    found.ready.then(() => { found.done = true; });
    made.set(item, found);
  }
  return made.get(item);
}
