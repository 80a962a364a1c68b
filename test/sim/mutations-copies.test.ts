import { copyMutations as mutations } from '../../src/sim/mutations/copies.ts';
import { testMutations } from './mutations-run.ts';

testMutations('copies', mutations);
