import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach } from 'vitest';

/** Paths in a folder of this test file, which is removed after its last test. */
export function ownFolder(name: string): (file: string) => string {
  const folder = mkdtempSync(path.join(tmpdir(), `mlser-${name}-`));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (file) => path.join(folder, file);
}

/** The same with a fresh folder for each test. */
export function folderOfEachTest(name: string): (file: string) => string {
  const at = ownFolder(name);
  let count = 0;
  beforeEach(() => void mkdirSync(at(String(++count))));
  return (file) => path.join(at(String(count)), file);
}
