import type { Finding } from '../../errors.js';
import type { WriteReport } from '../reports.js';

export interface CodecTotals {
  readonly tensors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface DeltaCreateReport extends WriteReport {
  readonly base: { readonly content: string };
  /** null: nothing was written. */
  readonly target: { readonly content: string | null };
  /** Tensors that are new, or whose bytes differ from the base's. */
  readonly changedTensors: number;
  /** Share of the elements (by bytes) that differ. */
  readonly changedFraction: number;
  /** What was used for how many tensors: codecs, and `base`, `twin` and `alias` for bytes that lie elsewhere. */
  readonly codecs: Record<string, CodecTotals>;
  readonly depth: number;
  /** Bytes of the tensors and of the file. */
  readonly tensorBytes: number;
  readonly lossy?: string;
}

export interface DeltaVerifyReport {
  readonly command: 'delta verify';
  readonly path: string;
  readonly passed: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly content: string | null;
    readonly error?: { readonly code: string; readonly message: string };
  }[];
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

export interface DeltaLogEntry {
  readonly name: string;
  readonly step: number | null;
  readonly file: string;
  readonly content: string | null;
  /** null: whole by itself. */
  readonly base: string | null;
  readonly depth: number;
  readonly bytes: number;
  readonly tensorBytes: number;
  /** tensorBytes ÷ bytes. */
  readonly ratio: number;
}

export interface DeltaLogReport {
  readonly command: 'delta log';
  readonly path: string;
  readonly entries: readonly DeltaLogEntry[];
  readonly bytes: number;
  readonly tensorBytes: number;
  readonly ratio: number;
  readonly findings: readonly Finding[];
}

export interface DeltaAddReport extends Omit<DeltaCreateReport, 'base'> {
  readonly base: { readonly content: string } | null;
  readonly run: string;
  readonly name: string;
  readonly step: number | null;
  readonly keyframe: boolean;
}

export interface DeltaPruneReport {
  readonly command: 'delta prune';
  readonly path: string;
  readonly dryRun?: boolean;
  readonly kept: readonly string[];
  readonly dropped: readonly string[];
  /** Steps that were written again, because what they built on goes. */
  readonly rewritten: readonly string[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly findings: readonly Finding[];
}
