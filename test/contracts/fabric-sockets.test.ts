import { fabricContract } from './fabric-suite.ts';
import { socketWorld, unixAddress } from './fabric-world.ts';

fabricContract('Unix sockets', () => socketWorld(unixAddress));
fabricContract('TCP', () => socketWorld(() => 'tcp:127.0.0.1:0'));
