/** What unreadable bytes seem to be: the most frequent real failure is a file of another kind under a model's name. */
export interface Looks {
  /** Completes "the file …". */
  readonly what: string;
  readonly hint: string;
  /** True for a kind that no reader here takes for a damaged model: the extension is then not to be believed. */
  readonly sure: boolean;
}

const known = (what: string, hint: string): Looks => ({ what, hint, sure: true });

const UNPACK = 'unpack it first and name the file inside';
const NOT_A_MODEL = 'name the model file';
const OTHER_FORMAT = 'this format is not supported: export the model to safetensors or ONNX';

/** Magic bytes at an offset, as latin1 text. */
const MAGIC: readonly (readonly [number, string, Looks])[] = [
  [0, '\x1f\x8b', known('is a gzip archive', UNPACK)],
  [0, '\x28\xb5\x2f\xfd', known('is zstd-compressed', UNPACK)],
  [0, 'BZh', known('is a bzip2 archive', UNPACK)],
  [0, '\xfd7zXZ', known('is an xz archive', UNPACK)],
  [0, '7z\xbc\xaf\x27\x1c', known('is a 7-Zip archive', UNPACK)],
  [0, 'Rar!', known('is a RAR archive', UNPACK)],
  [257, 'ustar', known('is a tar archive', UNPACK)],
  [0, '\x89HDF\r\n\x1a\n', known('is an HDF5 file (Keras .h5)', OTHER_FORMAT)],
  [4, 'TFL3', known('is a TensorFlow Lite model', OTHER_FORMAT)],
  [0, 'GGUF', known('is a GGUF model', 'this build does not read GGUF')],
  [0, 'ggjt', known('is an old GGML model (before GGUF)', 'convert it to GGUF with llama.cpp first')],
  [0, 'lmgg', known('is an old GGML model (before GGUF)', 'convert it to GGUF with llama.cpp first')],
  [0, '\x93NUMPY', known('is a NumPy array (.npy)', 'give it the extension .npy or put it into an .npz')],
  [0, 'PK\x03\x04', known('is a zip archive, but not a PyTorch, NumPy or Keras one', UNPACK)],
  [0, 'PK\x05\x06', known('is an empty zip archive', NOT_A_MODEL)],
  [0, '\x7fELF', known('is an ELF program or library', NOT_A_MODEL)],
  [0, 'MZ', known('is a Windows program or library', NOT_A_MODEL)],
  [0, '\x89PNG', known('is a PNG image', NOT_A_MODEL)],
  [0, '\xff\xd8\xff', known('is a JPEG image', NOT_A_MODEL)],
  [0, '%PDF', known('is a PDF document', NOT_A_MODEL)],
  [0, 'PAR1', known('is a Parquet table', NOT_A_MODEL)],
  [0, 'ARROW1', known('is an Arrow table', NOT_A_MODEL)],
  [0, 'SQLite format 3', known('is an SQLite database', NOT_A_MODEL)],
];

/** Says what the first bytes of a file look like; undefined if nothing comes to mind. */
export function looksLike(head: Uint8Array, size: number): Looks | undefined {
  if (size === 0) return known('is empty (0 bytes)', 'download or copy it again');
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1');
  for (const [at, magic, looks] of MAGIC) if (text.startsWith(magic, at)) return looks;
  if (head.every((byte) => byte === 0))
    return known(
      size > head.byteLength ? `begins with ${head.byteLength} zero bytes` : 'holds zero bytes only',
      'the download was interrupted or the disk was full: download or copy it again',
    );
  return asText(head, text) ?? asPickle(head);
}

function asText(head: Uint8Array, text: string): Looks | undefined {
  const start = text
    .slice(0, 4096)
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  if (start.startsWith('version https://git-lfs.github.com/spec/'))
    return known(
      'is a Git LFS pointer, not the model itself',
      'run `git lfs pull`, or download the real file',
    );
  if (/^<(!doctype html|html|head|body)/i.test(start))
    return known(
      'is an HTML page, probably an error page of the server',
      'check the address, log in if needed, and download again',
    );
  if (/^<\?xml|^<Error>/i.test(start))
    return known(
      'is an XML document, probably an error of the server',
      'check the address and download again',
    );
  const readable = asUtf8(head.subarray(0, 4096));
  if (readable === undefined || /[\x00-\x08\x0e-\x1f\x7f]/.test(readable)) return undefined;
  if (/^[{[]/.test(start))
    return { what: 'is JSON text', hint: 'name the weights, or a *.index.json of shards', sure: true };
  const begin = JSON.stringify([...readable.trimStart()].slice(0, 40).join(''));
  return { what: `is text that begins ${begin}`, hint: NOT_A_MODEL, sure: false };
}

function asUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true }); // the end may cut a character
  } catch {
    return undefined;
  }
}

/** Protocol 2 to 5 pickles begin with PROTO. */
const asPickle = (head: Uint8Array): Looks | undefined =>
  head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5
    ? known(
        'is a Python pickle, but not one written by torch.save',
        'save the weights as safetensors instead',
      )
    : undefined;
