import { decodeUtf8 } from '../cursor.js';

/** Characters 128 to 255 of IBM code page 437, the default of zip names (APPNOTE 6.3.10, appendix D). */
const CP437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';

/** A member name as text: UTF-8 where flag bit 11 says so (undefined if the bytes are not), else code page 437. */
export function decodeName(bytes: Uint8Array, utf8: boolean): string | undefined {
  if (utf8) return decodeUtf8(bytes);
  const latin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return latin.replace(/[\x80-\xff]/g, (char) => CP437[char.charCodeAt(0) - 128] ?? char);
}

/** Bytes of a name and whether they need flag bit 11; ASCII means the same in both encodings. */
export function encodeName(name: string): { bytes: Uint8Array; utf8: boolean } {
  const bytes = new TextEncoder().encode(name);
  return { bytes, utf8: bytes.byteLength !== name.length };
}
