import type { ScsiNexus } from '../scsi/types.ts';
import { taskFunctions, taskResponses } from '../../wire/iscsi/codes.ts';
import type { TaskRequest } from '../../wire/iscsi/task-management.ts';
import type { Tasks } from './tasks.ts';

export interface ManagementOptions {
  readonly nexus: ScsiNexus;
  readonly tasks: Tasks;
  /** A command that hasn't come: it counts as received from now on. False: its number is none that could still come. */
  readonly forestall: (cmdSn: number, beforeCmdSn: number) => boolean;
}

type Outcome = (typeof taskResponses)[keyof typeof taskResponses];

/**
 * Carries out a task management function (RFC 7143 §11.5). Settles when every affected write is committed or can't be any more;
 * the affected tasks are then answered by nobody.
 */
export async function manageTasks(request: TaskRequest, options: ManagementOptions): Promise<Outcome> {
  const { nexus, tasks } = options;
  switch (request.function) {
    case taskFunctions.abortTask: {
      const task = tasks.get(request.referencedTag);
      if (task !== undefined) {
        await tasks.abort(task);
        return taskResponses.complete;
      }
      const isForestalled = options.forestall(request.referencedCmdSn, request.cmdSn);
      return isForestalled ? taskResponses.complete : taskResponses.noTask;
    }
    case taskFunctions.abortTaskSet:
      if (!nexus.hasLun(request.lun)) return taskResponses.noLun;
      await tasks.abortAll(); // one logical unit is all there is
      return taskResponses.complete;
    case taskFunctions.clearTaskSet:
      if (!nexus.hasLun(request.lun)) return taskResponses.noLun;
      await nexus.clearTaskSet();
      return taskResponses.complete;
    case taskFunctions.logicalUnitReset:
      if (!nexus.hasLun(request.lun)) return taskResponses.noLun;
      await nexus.reset('logicalUnit');
      return taskResponses.complete;
    case taskFunctions.targetWarmReset:
    case taskFunctions.targetColdReset:
      await nexus.reset('target');
      return taskResponses.complete;
    case taskFunctions.taskReassign:
      return taskResponses.reassignUnsupported;
    default:
      return taskResponses.unsupported;
  }
}
