import { toldMutations as mutations } from '../../src/sim/mutations/told.ts';
import { testMutations } from './mutations-run.ts';

testMutations('told', mutations);
