/** A story went otherwise than it says, or says what nobody understands. `line` counts from 1. */
export class StoryProblem extends Error {
  override name = 'StoryProblem';
  readonly file: string;
  readonly line: number;

  constructor(file: string, line: number, message: string) {
    super(`${file}:${line}: ${message}`);
    this.file = file;
    this.line = line;
  }
}

/** Told without a place: whoever runs the line adds it. */
export class Unfulfilled extends Error {
  override name = 'Unfulfilled';
}
