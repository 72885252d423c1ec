// Columns that `packed.py` wrote: base64, gzip, byte planes.

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

/** Whether this browser can read packed columns (every one since 2023 can). */
export function canUnpack() {
  return typeof DecompressionStream === "function";
}

/** Return the columns by name: typed arrays, or arrays of texts. */
export async function unpack(columns, base64) {
  const text = atob(base64.trim());
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const found = {};
  let at = 0;
  for (const [name, kind, , nBytes] of columns) {
    const part = bytes.subarray(at, at + nBytes);
    found[name] = kind === "text" ? texts(part) : numbers(ARRAYS[kind], part);
    at += nBytes;
  }
  return found;
}

function texts(bytes) {
  const lines = new TextDecoder().decode(bytes).split("\n");
  lines.pop();
  return lines;
}

function numbers(Type, bytes) {
  const size = Type.BYTES_PER_ELEMENT;
  const n = bytes.length / size;
  const rows = new Uint8Array(bytes.length);
  for (let plane = 0; plane < size; plane++)
    for (let i = 0; i < n; i++) rows[i * size + plane] = bytes[plane * n + i];
  return new Type(rows.buffer); // every browser's machine is little-endian
}
