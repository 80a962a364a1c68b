import { gatewayMutations as mutations } from '../../src/sim/mutations/gateways.ts';
import { testMutations } from './mutations-run.ts';

testMutations('gateways', mutations);
