import { storeMutations as mutations } from '../../src/sim/mutations/stores.ts';
import { testMutations } from './mutations-run.ts';

testMutations('stores', mutations);
