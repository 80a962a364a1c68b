import { replicationMutations as mutations } from '../../src/sim/mutations/replication.ts';
import { testMutations } from './mutations-run.ts';

testMutations('replication', mutations);
