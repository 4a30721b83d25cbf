// The sum itself lives in io (zip archives need it there); kernels import it from here.
export { crc32, crc32Combine, crc32Plain } from '../io/crc32.js';
