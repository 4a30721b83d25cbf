import { describe, expect, it } from 'vitest';
import * as api from '../../src/index.js';

describe('the public API', () => {
  it('has these names', () => {
    const surface = Object.entries(api).map(([name, value]) => `${name}: ${typeof value}`);
    expect(surface.sort()).toMatchSnapshot();
  });
});
