/** Sentences of the rows of a table. One that several rows have is said once, behind the table, and its rows name it. */
export class Notes {
  readonly #shared: readonly string[];

  constructor(texts: readonly string[]) {
    this.#shared = [...new Set(texts.filter((text, i) => texts.indexOf(text) !== i))];
  }

  cell(text: string): string {
    const at = this.#shared.indexOf(text);
    return at < 0 ? text : `note ${at + 1}`;
  }

  get lines(): string[] {
    return this.#shared.map((text, i) => `note ${i + 1}: ${text}`);
  }
}
