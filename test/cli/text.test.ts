import { describe, expect, it } from 'vitest';
import { html, safe, safeJson, safeLines, shorten } from '../../src/cli/escape.js';
import { jsonText } from '../../src/cli/json.js';
import { progressText } from '../../src/cli/progress-text.js';
import { bar, merge, sparkline } from '../../src/cli/render/charts.js';
import { count, duration, figure, grouped, percent, shape, size } from '../../src/cli/render/numbers.js';
import { table } from '../../src/cli/render/table.js';
import { fitMiddle, padEnd, textWidth } from '../../src/cli/render/width.js';
import { colorLevel, PLAIN_STYLE, showsUnicode } from '../../src/cli/style.js';
import { parseSize, parseTargetSize, targetBytes } from '../../src/core/size.js';
import { CONTROL } from '../support/cli.js';

const ASCII = { ...PLAIN_STYLE, unicode: false };

describe('sizes on the command line', () => {
  it('are decimal with B, binary with iB or a bare letter', () => {
    const sizes = ['1', '512', '512B', '5GB', '5gb', '4GiB', '512M', '1.5GB', '2 TB', '64k', '1KiB'];
    expect(sizes.map((text) => parseSize(text))).toEqual([
      1,
      512,
      512,
      5e9,
      5e9,
      4 * 1024 ** 3,
      512 * 1024 ** 2,
      1.5e9,
      2e12,
      65_536,
      1024,
    ]);
  });
  it.each(['', '0', '-5', 'GB', '5 XB', '1e3', '5GBs', 'NaN', '99999999PB', '٥'])('refuse %j', (text) => {
    expect(() => parseSize(text)).toThrow(/is not a size/);
  });
  it('to aim at may be a share of the input', () => {
    expect(['60%', ' 12.5 % ', '4KB'].map((text) => targetBytes(parseTargetSize(text), 10_001))).toEqual([
      6000, 1250, 4000,
    ]);
    for (const text of ['0%', '101%']) expect(() => parseTargetSize(text)).toThrow(/is no share/);
    expect(() => parseTargetSize('half')).toThrow(/is not a size/);
  });
});

describe('text from files', () => {
  const hostile = 'a\u001b[31m\u0000\r\n\t\u007f\u009b2J\u202eb\u2066c\u200f\u2028d\ud800';

  it('cannot steer the terminal', () => {
    expect(safe(hostile)).toBe('a\\x1b[31m\\x00\\r\\n\\t\\x7f\\x9b2J\\u202eb\\u2066c\\u200f\\u2028d\\ud800');
    expect(safeLines(hostile)).toMatch(/\n\t/);
    expect(safeLines(hostile)).not.toMatch(CONTROL);
  });
  it('keeps every script that is not a control', () => {
    const names = 'weight ä ß 漢字 かな עברית العربية 😀👩‍👩‍👧 e\u0301';
    expect(safe(names)).toBe(names);
  });
  it('is the same text in JSON, without a raw control character', () => {
    const text = safeJson(JSON.stringify({ [hostile]: hostile }));
    expect(text).not.toMatch(CONTROL);
    expect(JSON.parse(text)).toEqual({ [hostile]: hostile });
  });
  it('is no markup in a page', () => {
    expect(html(`<img src=x onerror="a('b')">&`)).toBe(
      '&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;',
    );
  });
  it('is cut by characters, not in the middle of one', () => {
    expect(shorten('😀😀😀😀', 3)).toBe('😀😀…');
    expect(shorten('abc', 3)).toBe('abc');
  });
});

describe('jsonText', () => {
  it('gives the document back, a line per field and per item', () => {
    const document = {
      command: 'inspect',
      none: undefined,
      empty: [],
      nothing: {},
      deep: { a: { b: { c: [1, { d: null }] } } },
      tensors: [
        { name: 'a', shape: [1, 2] },
        { name: 'b', shape: [] },
      ],
      numbers: [1, Number.NaN],
    };
    const text = jsonText(document);
    expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(document)));
    expect(text).toContain('\n    {"name":"a","shape":[1,2]},\n');
    expect(jsonText([document, document]).split('"tensors": [\n').length).toBe(3);
  });
  it('keeps names that mean something to JavaScript', () => {
    const map = Object.create(null);
    for (const key of ['__proto__', 'constructor', 'toString']) map[key] = { tensors: 1 };
    expect(jsonText({ dtypes: map })).toContain('"__proto__": {');
  });
});

describe('figures', () => {
  it('are short and honest', () => {
    expect([0, 999, 1000, 34_424, 1_340_000_000, 999_600].map(size)).toEqual([
      '0 B',
      '999 B',
      '1 kB',
      '34.4 kB',
      '1.34 GB',
      '1 MB',
    ]);
    expect([0, 99_999, 335_141_888, 7e9, 1.2e12].map(count)).toEqual(['0', '99,999', '335M', '7B', '1.2T']);
    expect(grouped(1_234_567)).toBe('1,234,567');
    expect([0, 1, 0.5, 0.0001, 0.9999].map(percent)).toEqual(['0 %', '100 %', '50.0 %', '<0.1 %', '100 %']);
    expect([0, 1e-9, 0.25, 3, 123_456.789, 1e300, Number.NaN, null].map(figure)).toEqual([
      '0',
      '1.00e-9',
      '0.25',
      '3',
      '123500',
      '1.00e300',
      'NaN',
      '–',
    ]);
    expect(shape([1, 'batch', null])).toBe('[1, batch, ?]');
    expect([0.014, 42, 187].map(duration)).toEqual(['0.01 s', '42.0 s', '3:07 min']);
  });
});

describe('tables', () => {
  it('count columns as a terminal does', () => {
    expect(['abc', '漢字', '😀', 'e\u0301', '\u001b[31mred\u001b[39m'].map(textWidth)).toEqual([
      3, 4, 2, 1, 3,
    ]);
    expect(padEnd('漢', 4)).toBe('漢  ');
  });
  it('give way in the middle of names on a narrow terminal only', () => {
    const name = 'encoder.layers.11.attention.self.query.weight';
    const draw = (width: number): string =>
      table(
        [
          { title: 'name', flexible: true },
          { title: 'size', align: 'right' },
        ],
        [
          [name, '1 kB'],
          ['漢字漢字漢字漢字漢字漢字漢字', '20 kB'],
        ],
        { ...PLAIN_STYLE, width },
      );
    expect(draw(Infinity)).toContain(name);
    for (const line of draw(30).split('\n')) expect(textWidth(line)).toBeLessThanOrEqual(30);
    expect(draw(30)).toMatch(/^encoder.*….*weight +1 kB$/m);
    expect(fitMiddle('abcdef', 5)).toBe('ab…ef');
  });
});

describe('charts', () => {
  it('show every value above nothing, in Unicode and in ASCII', () => {
    expect(bar(1, 8, PLAIN_STYLE)).toBe('████████');
    expect(bar(0.0001, 8, PLAIN_STYLE)).toBe('▏');
    expect([bar(0, 8, ASCII), bar(0.0001, 8, ASCII), bar(0.5, 8, ASCII), bar(Number.NaN, 8, ASCII)]).toEqual([
      '',
      '#',
      '####',
      '',
    ]);
    expect(sparkline([0, 1, 4, 8], PLAIN_STYLE)).toBe(' ▂▅█');
    expect(sparkline([0, 1, 4, 8], ASCII)).toBe(' :+#');
    expect(merge([1, 2, 3, 4, 5], 3)).toEqual([3, 7, 5]);
  });
});

describe('colours', () => {
  const tty = { write: () => true, isTTY: true };
  const pipe = { write: () => true };
  it('follow the flag, then NO_COLOR, then FORCE_COLOR, then the stream', () => {
    expect(colorLevel(tty, {}, undefined)).toBe('some');
    expect(colorLevel(pipe, {}, undefined)).toBe('none');
    expect(colorLevel(tty, { NO_COLOR: '1', FORCE_COLOR: '1' }, undefined)).toBe('none');
    expect(colorLevel(tty, { NO_COLOR: '' }, undefined)).toBe('some');
    expect(colorLevel(pipe, { FORCE_COLOR: '1' }, undefined)).toBe('forced');
    expect(colorLevel(tty, { FORCE_COLOR: '0' }, undefined)).toBe('none');
    expect(colorLevel(pipe, { NO_COLOR: '1' }, true)).toBe('forced');
    expect(colorLevel(tty, {}, false)).toBe('none');
  });
  it('and block characters follow the locale', () => {
    expect(
      [{}, { LANG: 'de_DE.UTF-8' }, { LC_ALL: 'C', LANG: 'de_DE.UTF-8' }, { TERM: 'linux' }].map(
        showsUnicode,
      ),
    ).toEqual([true, true, false, false]);
  });
});

describe('the progress line', () => {
  const wide = { unicode: true, columns: 120 };
  it('says what is known', () => {
    expect(progressText({ title: 'write', done: 5e8, total: 1e9, elapsedMs: 1000 }, wide)).toBe(
      'write  ██████████            50.0 %  500 MB of 1 GB  500 MB/s  1 s left',
    );
    expect(progressText({ title: 'hash', done: 0, total: 0, elapsedMs: 0 }, wide)).toBe('hash');
    expect(progressText({ title: 'read', done: 2e6, total: 0, elapsedMs: 500 }, wide)).toBe(
      'read  2 MB  4 MB/s',
    );
    expect(progressText({ title: 'write', done: 2e9, total: 1e9, elapsedMs: 1000 }, wide)).toMatch(
      /100 % {2}1 GB of 1 GB/,
    );
  });
  it('never is wider than the terminal', () => {
    for (let columns = 5; columns < 100; columns += 7)
      expect(
        progressText({ title: 'write', done: 5e8, total: 1e9, elapsedMs: 1000 }, { unicode: false, columns })
          .length,
      ).toBeLessThanOrEqual(Math.max(5, columns));
  });
});
