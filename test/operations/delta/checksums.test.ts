import { describe, expect, it } from 'vitest';
import { checksumNamed } from '../../../src/operations/delta/dialects/checksums/checksum.js';

/** The bytes of BLAKE3's published test vectors. */
const input = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251);

/** Made by xxhash 4.0.1 and zlib (Python), and by hash-wasm 4 (BLAKE3). */
const DIGESTS: Readonly<Record<string, readonly (readonly [length: number, digest: string])[]>> = {
  'xxh3-128': [
    [0, '99aa06d3014798d86001c324468d497f'],
    [1, 'a6cd5e9392000f6ac44bdff4074eecdb'],
    [3, 'e3b55f57945a17cf5f4299fc161c9cbb'],
    [4, 'eb70bf5fc779e9e6a6111d53e80a3db5'],
    [8, 'e1e4432a62217fe4cfd50c61c8bb98c1'],
    [9, '16c769d83e4aebce907931979dca3746'],
    [16, '72950631827607e2842812cc870dcae2'],
    [17, '685bc458b37d057fc06e233df7729217'],
    [33, '02175c3aabb00637e08d84951339de86'],
    [65, 'ebedf05eeadc28f11aee64a1615de88f'],
    [97, '9b09227e063da5a25b3284a61f91e97d'],
    [128, '14792fc3af88dc6c05321a0b64d67b41'],
    [129, 'dd5e74ac6b45f54ebc30b63382b09a3b'],
    [160, '4e95c1cd6dc7bb85c67fcd13c31b09f4'],
    [240, '65b5be86da5540e7c92b68e16f83bbb6'],
    [241, '1da1cb61bcb8a2a102e8cd95421c6d02'],
    [255, '65652759c081c563074191baf9c49567'],
    [256, '96c36c85d00e5bc544f5d90dacde463a'],
    [512, '5884ea91ad7102d75c021aac13954143'],
    [1024, 'd0ac1f7b93bf57b9e5d78bafa45b2aa5'],
    [1025, '2882ebca04ec915ce95c42288f28186e'],
    [1088, '295519bc52981c5c1a848d807034c403'],
    [2048, 'a5141efedfefc1af25339063db861586'],
    [10000, '89dec82a789965e61cb3abee1c2fc1c4'],
  ],
  blake3: [
    [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
    [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
    [64, '4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98'],
    [65, 'de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee'],
    [1023, '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11'],
    [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
    [1025, 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
    [2048, 'e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a'],
    [2049, '5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030'],
    [3072, 'b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2'],
    [5121, '628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff'],
    [31744, '62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47'],
  ],
  adler32: [
    [0, '00000001'],
    [1, '00010001'],
    [5552, '8f318a94'],
    [5553, '19f28ab2'],
    [31744, '758b70de'],
  ],
};

describe.each(Object.entries(DIGESTS))('%s', (name, digests) => {
  it.each(digests)('of %i bytes, whole and in pieces', (length, digest) => {
    const bytes = input(length);
    for (const step of [Math.max(1, length), 1, 63, 64, 65, 1000]) {
      const sum = checksumNamed(name).start();
      for (let at = 0; at < length; at += step) sum.update(bytes.subarray(at, at + step));
      expect(sum.hex()).toBe(digest);
      expect(sum.hex()).toBe(digest); // asking changes nothing
    }
  });
});

describe('checksumNamed', () => {
  it('says which are known', () => {
    expect(() => checksumNamed('md5')).toThrow(/no checksum is known as "md5"/);
  });
});
