import { leaseMutations as mutations } from '../../src/sim/mutations/leases.ts';
import { testMutations } from './mutations-run.ts';

testMutations('leases', mutations);
