DelayedTaskSche 3.90525
MainThread 32876.8
SignalInspector 0.6151
V8Worker 9259.76
libuv-worker 1094.48
