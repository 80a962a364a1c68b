import { startCorelet } from '../corelet/corelet.ts';
import { encodeFounding } from '../corelet/founding.ts';
import { Store } from '../store/store.ts';
import type { SimProgram } from './program.ts';

/** The Corelet itself. */
export const coreletProgram: SimProgram = {
  format: async (flash, corelet, founding, random) => {
    const { cluster, arcs } = founding;
    await Store.format(flash, { cluster, corelet, arcs, founding: encodeFounding(founding) }, random);
  },
  start: startCorelet,
};
