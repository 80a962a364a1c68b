import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

/** Every option by its name, as it was given or by its default; `--json` is one of all. */
export type Chosen<Name extends string> = Readonly<Record<Name, string>> & { readonly json: boolean };

/**
 * Runs a bench with what its command line asks for; `--help` prints the usage instead.
 * @throws TypeError for an option that isn't there.
 */
export async function runBench<Name extends string>(
  usage: string,
  defaults: Readonly<Record<Name, string>>,
  bench: (chosen: Chosen<Name>) => Promise<void>,
): Promise<void> {
  const options: ParseArgsOptionsConfig = {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  };
  for (const [name, value] of Object.entries<string>(defaults)) options[name] = { type: 'string', default: value };
  const { values } = parseArgs({ options });
  if (values['help'] === true) console.log(usage);
  else await bench(values as Chosen<Name>);
}
