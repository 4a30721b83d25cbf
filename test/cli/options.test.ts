import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { collectRegExp, shareFlag } from '../../src/cli/options.js';

describe('patterns of tensor names', () => {
  it('may escape any character, as other tools have it', () => {
    const [pattern] = collectRegExp('layer\\-0\\_a');
    expect(pattern?.test('layer-0_a')).toBe(true);
    expect(collectRegExp('^\\u{e9}', collectRegExp('x'))[1]?.test('é')).toBe(true);
    expect(() => collectRegExp('(')).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});

describe('shares', () => {
  const parsed = (text: string): unknown =>
    new Command()
      .addOption(shareFlag('--sparsity <share>', 'how much', '0.5'))
      .parse(['--sparsity', text], { from: 'user' })
      .opts()['sparsity'];

  it('are numbers or hundredths', () => {
    expect([parsed('0.3'), parsed('30%'), parsed(' 2.5 %'), parsed('1e-3')]).toEqual([0.3, 0.3, 0.025, 1e-3]);
  });

  it.each(['x', '%', '1.2.3%', '-3%', ''])('%j is none', (text) => {
    expect(() => parsed(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});
