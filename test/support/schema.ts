import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export const REPORTS = [
  'inspect',
  'write',
  'quantize',
  'quantize-preset',
  'sensitivity',
  'prune',
  'optimize',
  'optimize-list',
  'pipeline',
  'reduce',
  'trace',
  'checksum',
  'check',
  'diff',
  'validate',
  'bench',
  'meta',
  'delta-create',
  'delta-add',
  'delta-verify',
  'delta-log',
  'delta-prune',
  'error',
] as const;
export type ReportName = (typeof REPORTS)[number];

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true, strictTypes: false });
const compiled = new Map<ReportName, ValidateFunction>();

function validator(name: ReportName): ValidateFunction {
  const known = compiled.get(name);
  if (known) return known;
  const url = new URL(`../../schemas/reports/${name}.schema.json`, import.meta.url);
  const made = ajv.compile(JSON.parse(readFileSync(url, 'utf8')));
  compiled.set(name, made);
  return made;
}

/** What is wrong with a report by its published JSON Schema; empty if nothing. */
export function schemaErrors(name: ReportName, report: unknown): string[] {
  const validate = validator(name);
  // Through JSON text, because that is what scripts get: undefined fields vanish, NaN becomes null.
  validate(JSON.parse(JSON.stringify(report)));
  return (validate.errors ?? []).map(
    (e) => `${e.instancePath || '/'} ${e.message} ${JSON.stringify(e.params)}`,
  );
}
