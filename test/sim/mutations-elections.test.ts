import { electionMutations as mutations } from '../../src/sim/mutations/elections.ts';
import { testMutations } from './mutations-run.ts';

testMutations('elections', mutations);
