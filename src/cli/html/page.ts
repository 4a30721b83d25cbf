import { html } from '../escape.js';

/** Rows of one table on a page; the rest is told, and is in the JSON report. */
export const TABLE_ROWS = 5_000;

/** Text that is already HTML, so that it is not escaped twice and plain text is never put in unescaped. */
export interface Markup {
  readonly markup: string;
}
export type Cell = string | number | Markup;

export const raw = (markup: string): Markup => ({ markup });
export const text = (cell: Cell): string => (typeof cell === 'object' ? cell.markup : html(String(cell)));

export interface HtmlColumn {
  readonly title: string;
  readonly right?: boolean;
  readonly code?: boolean;
}

export function htmlTable(columns: readonly HtmlColumn[], rows: readonly (readonly Cell[])[]): string {
  const attribute = ({ right, code }: HtmlColumn): string => {
    const classes = [...(right ? ['right'] : []), ...(code ? ['code'] : [])];
    return classes.length > 0 ? ` class="${classes.join(' ')}"` : '';
  };
  const head = columns.map((column) => `<th${attribute(column)}>${html(column.title)}</th>`).join('');
  const body = rows
    .slice(0, TABLE_ROWS)
    .map(
      (row) => `<tr>${columns.map((c, i) => `<td${attribute(c)}>${text(row[i] ?? '')}</td>`).join('')}</tr>`,
    );
  const more = rows.length - TABLE_ROWS;
  const note = more > 0 ? `<p class="faint">and ${more} more rows: see the JSON report</p>` : '';
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>${note}`;
}

export const section = (heading: string, ...parts: readonly string[]): string => {
  const body = parts.filter((part) => part !== '').join('\n');
  return body === '' ? '' : `<section><h2>${html(heading)}</h2>\n${body}\n</section>`;
};

/** Large figures side by side. */
export const tiles = (pairs: readonly (readonly [string, Cell])[]): string =>
  `<dl class="tiles">${pairs.map(([key, value]) => `<div><dt>${html(key)}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>`;

export const verdict = (good: boolean, yes: string, no: string): Markup =>
  raw(`<strong class="${good ? 'good' : 'bad'}">${html(good ? yes : no)}</strong>`);

/** A page that needs nothing but itself: no scripts, no fonts, no requests. Light and dark. */
export const page = (title: string, body: readonly string[]): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${html(title)}</title>
<style>${CSS}</style>
</head>
<body>
<main>
${body.filter((part) => part !== '').join('\n')}
</main>
<footer>made by mlser</footer>
</body>
</html>
`;

const CSS = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--faint:#656d76;--line:#d8dee4;--panel:#f6f8fa;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700;
--c0:#0969da;--c1:#bf8700;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#6e7781;--c6:#0a7ea4;--c7:#bc4c00}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--faint:#8d96a0;--line:#30363d;--panel:#161b22;--good:#3fb950;--bad:#f85149;--warn:#d29922;
--c0:#4493f8;--c1:#d29922;--c2:#3fb950;--c3:#ab7df8;--c4:#db61a2;--c5:#8d96a0;--c6:#39c5cf;--c7:#f0883e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
main{max-width:1100px;margin:0 auto;padding:1.5rem 1rem}
h1{font-size:1.4rem;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:2rem 0 .6rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
p{margin:.4rem 0;overflow-wrap:anywhere}
footer{color:var(--faint);text-align:center;padding:1rem;font-size:.85rem}
.scroll{overflow-x:auto;max-height:34rem;overflow-y:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--faint);font-weight:600;position:sticky;top:0;background:var(--bg);white-space:nowrap}
td{overflow-wrap:anywhere}
.right{text-align:right;white-space:nowrap;overflow-wrap:normal}
.code{font-family:ui-monospace,monospace;font-size:.92em}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
.tiles div{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem;min-width:8rem}
.tiles dt{color:var(--faint);font-size:.8rem}
.tiles dd{margin:0;font-size:1.15rem;font-weight:600}
.faint{color:var(--faint)}.good{color:var(--good)}.bad{color:var(--bad)}.warning{color:var(--warn)}
svg{display:block;max-width:100%;height:auto;overflow:visible}
svg text{fill:var(--fg);font:12px system-ui,sans-serif}
svg .faint{fill:var(--faint)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.5rem 0 0;padding:0;list-style:none}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
`;
