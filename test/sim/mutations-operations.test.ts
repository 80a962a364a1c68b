import { operationMutations as mutations } from '../../src/sim/mutations/operations.ts';
import { testMutations } from './mutations-run.ts';

testMutations('operations', mutations);
