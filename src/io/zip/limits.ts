/** The limits of zip archives; part of LIMITS in core/limits.ts, which io must not import. */
export const ZIP_LIMITS = {
  /** Members of one zip archive. */
  ZIP_MEMBERS: 2_000_000,
  /** Central directory of one zip archive. */
  ZIP_DIRECTORY_BYTES: 256 * 1024 * 1024,
  /** A compressed part may not declare more than this many times its size. */
  INFLATE_RATIO: 2_000,
} as const;
