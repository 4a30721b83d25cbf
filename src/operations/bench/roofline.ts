import type { WorkContext } from '../../core/format.js';
import type { Subject } from './subject.js';
export async function measureRooflines(_s: readonly Subject[], _t: number, _c: WorkContext): Promise<void> {}
