// Zoom and pan of one image: wheel, keys, drag, and a double click to fit it again.

const MOST = 16;

export class Zoom {
  #scale = 1;
  #x = 0;
  #y = 0;
  #sharp = false;

  /** @param {HTMLElement} frame @param {HTMLImageElement} img @param {() => void} sharpen asks for all pixels of the image */
  constructor(frame, img, sharpen) {
    this.frame = frame;
    this.img = img;
    this.sharpen = sharpen;
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.#drag(event));
    frame.addEventListener("dblclick", () => this.fit());
    this.#apply();
  }

  /** Zoom by a factor, around a point of the frame; its middle if none is given. */
  by(factor, x = 0, y = 0) {
    const scale = Math.min(MOST, Math.max(1, this.#scale * factor));
    const ratio = scale / this.#scale;
    [this.#x, this.#y] = scale === 1 ? [0, 0] : [x - (x - this.#x) * ratio, y - (y - this.#y) * ratio];
    this.#scale = scale;
    if (scale > 1.5 && !this.#sharp) {
      this.#sharp = true;
      this.sharpen();
    }
    this.#apply();
  }

  /** Fit the image into its frame. */
  fit() {
    this.#scale = 1;
    [this.#x, this.#y] = [0, 0];
    this.#apply();
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.frame.getBoundingClientRect();
    this.by(Math.exp(-event.deltaY / 400), event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
  }

  #drag(event) {
    if (this.#scale === 1 || event.button !== 0) return;
    this.frame.setPointerCapture(event.pointerId);
    const move = ({ movementX, movementY }) => {
      this.#x += movementX;
      this.#y += movementY;
      this.#apply();
    };
    this.frame.addEventListener("pointermove", move);
    this.frame.addEventListener("lostpointercapture", () => this.frame.removeEventListener("pointermove", move), { once: true });
  }

  #apply() {
    this.img.style.transform = this.#scale === 1 ? "" : `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.frame.classList.toggle("zoomed", this.#scale > 1);
  }
}
