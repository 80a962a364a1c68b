// Stands in for a Corelet: lives until it is told to end. With CORELET_FIXTURE=stubborn it doesn't listen.
process.on('SIGTERM', () => {
  if (process.env['CORELET_FIXTURE'] !== 'stubborn') process.exit(0);
});
process.stdout.write('module started\n');
setInterval(() => undefined, 1_000_000);
