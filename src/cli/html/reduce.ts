import type { ReduceReport } from '../../operations/reduce/report.js';
import { html } from '../escape.js';
import { duration, grouped } from '../render/numbers.js';
import { reduceFacts } from '../render/reduce.js';
import { htmlTable, page, section, tiles } from './page.js';
import { findingsPart } from './parts.js';
import { barChart } from './svg.js';

/** Checks that are drawn. */
const MOST = 60;

export function reducePage(report: ReduceReport): string {
  const { input, reduce, findings, seconds } = report;
  return page(`mlser reduce ${input}`, [
    `<h1>${html(input)}</h1>`,
    tiles([
      ['nodes before', grouped(reduce.nodesBefore)],
      ['nodes after', grouped(reduce.nodesAfter)],
      ['checks', grouped(reduce.checks)],
      ['time', duration(seconds)],
    ]),
    section('Found', htmlTable([{ title: '' }, { title: '' }], reduceFacts(report))),
    findingsPart(findings),
    section(
      'Nodes',
      htmlTable(
        [
          { title: 'node', code: true },
          { title: 'operator' },
          { title: 'takes', code: true },
          { title: 'makes', code: true },
        ],
        reduce.nodes.map(({ name, op, inputs, outputs }) => [
          name,
          op,
          inputs.join(', '),
          outputs.join(', '),
        ]),
      ),
    ),
    section(
      'Nodes tried, check by check',
      barChart(
        reduce.steps.slice(0, MOST).map(({ stage, nodes, fails }) => ({
          label: stage,
          value: nodes,
          text: `${nodes} ${fails ? 'fail' : 'pass'}`,
        })),
      ),
    ),
  ]);
}
