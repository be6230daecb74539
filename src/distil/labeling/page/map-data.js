// The map as the server sends it.

export const [OPEN, ANSWERED, GONE, UNPLACED] = [0, 1, 2, 3];

/**
 * @typedef {{n: number, method: string, version: number, classes: string[], xy: Float32Array, label: Int16Array, guess: Int16Array, p: Uint8Array, state: Uint8Array}} PoolMap
 */

/** The arrays in the body of /api/map. @param {ArrayBuffer} body @returns {PoolMap} */
export function parse(body) {
  const length = new DataView(body).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length)));
  let at = 4 + length;
  const next = (Kind, count) => {
    const part = new Kind(body, at, count);
    at += Math.ceil(part.byteLength / 4) * 4;
    return part;
  };
  const { n } = header;
  return {
    ...header, xy: next(Float32Array, 2 * n), label: next(Int16Array, n), guess: next(Int16Array, n), p: next(Uint8Array, n), state: next(Uint8Array, n),
  };
}

const shown = (map, row) => map.state[row] === OPEN || map.state[row] === ANSWERED;

/** The rows that are drawn: those without a label, guesses last, and those with one. @param {PoolMap} map */
export function layers(map) {
  const rows = new Int32Array(map.n).map((_, row) => row).filter((row) => shown(map, row));
  const [without, guessed, labeled] = [(row) => map.label[row] < 0 && map.guess[row] < 0, (row) => map.label[row] < 0 && map.guess[row] >= 0, (row) => map.label[row] >= 0]
    .map((belongs) => rows.filter(belongs));
  const plain = new Int32Array(without.length + guessed.length);
  plain.set(without);
  plain.set(guessed, without.length);
  return { plain, labeled };
}
