import { describe, expect, it } from 'vitest';
import { collectRegExp } from '../../src/cli/options.js';

describe('patterns of tensor names', () => {
  it('may escape any character, as other tools have it', () => {
    const [pattern] = collectRegExp('layer\\-0\\_a');
    expect(pattern?.test('layer-0_a')).toBe(true);
    expect(collectRegExp('^\\u{e9}', collectRegExp('x'))[1]?.test('é')).toBe(true);
    expect(() => collectRegExp('(')).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});
